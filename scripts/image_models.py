"""Makes the image's model repository: the models of one profile, and of the weights what the engine itself reads.

    python scripts/image_models.py PROFILE INTO --export yes|no

Graphs that need no torch are brought by ``veracity install``. Of the others, those that the checkout holds are taken as
they are; with ``--export yes`` those that it lacks are exported, of weights that are fetched for it (profile bench: of
made-up ones). What is missing in the end is said: with VERACITY_ENV=production the image refuses to start so.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from veracity.catalog import MODELS, SPEAKER
from veracity.catalog.assets import VAD_FILE
from veracity.catalog.profiles import BENCH, PROFILES, choose, required, served
from veracity.install.graphs.recipe import BUILDERS
from veracity.server.repository import DETECTORS, read
from veracity.settings import CHECKOUT

REPOSITORY, WEIGHTS = CHECKOUT / "model_repository", CHECKOUT / "weights"


def main() -> None:
    """Do it; a command that fails ends it, as it has said why."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile", choices=tuple(PROFILES))
    parser.add_argument("into", type=Path)
    parser.add_argument("--export", choices=("yes", "no"), default="no")
    args = parser.parse_args()
    choice = choose(args.profile)
    untrained = args.profile == BENCH
    run("veracity.cli", "install", *(name for name in required(choice) if name in BUILDERS))
    if args.export == "yes":
        export([name for name in required(choice) if MODELS[name].released], untrained=untrained)
    copy([*served(args.profile), *DETECTORS], args.into)
    for name, why in missing(required(choice), untrained=untrained).items():
        sys.stderr.write(f"{name}: {why}; this image refuses to start with VERACITY_ENV=production\n")
    for why in missing({SPEAKER.name} & {*served(args.profile)}, untrained=False).values():
        sys.stderr.write(f"{SPEAKER.name}: {why}; in this image explanations do not say who speaks\n")


def export(names: Iterable[str], *, untrained: bool) -> None:
    """Fetch the weights of those models that have no graph yet, and export them one by one."""
    for name in missing(names, untrained=untrained):
        if MODELS[name].files and not untrained:
            run("veracity.cli", "weights", "fetch", name)
        run("export", name, *(["--untrained"] if untrained else []))


def copy(names: Iterable[str], into: Path) -> None:
    """Copy the models' folders and the engine's own weights, for any user to read."""
    for name in names:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, into / "model_repository" / name, ignore=ignore)
    (into / "weights").mkdir()
    shutil.copy(WEIGHTS / VAD_FILE, into / "weights")
    for path in into.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def missing(names: Iterable[str], *, untrained: bool) -> Mapping[str, str]:
    """Return which models have nothing to serve, and why; made-up weights are something for profile bench alone."""
    return read(REPOSITORY, list(names), untrained=untrained).missing


def run(module: str, *arguments: str) -> None:
    """Run a module of the checkout as a program, so that what one export held is free for the next."""
    ended = subprocess.run([sys.executable, "-m", module, *arguments], cwd=CHECKOUT, check=False)
    if ended.returncode:
        sys.exit(f"{module} {' '.join(arguments)} ended with {ended.returncode}")


if __name__ == "__main__":
    main()
