"""``veracity install``, and what the first ``analyze`` or ``serve`` does of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veracity.catalog import MODELS
from veracity.catalog.profiles import PROFILES
from veracity.install import locations
from veracity.install.progress import bars
from veracity_client.errors import BadOption

if TYPE_CHECKING:
    from veracity.settings import Settings

INCOMPLETE = 3


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command ``install``."""
    text = "fetch, verify and build what serving needs; without torch, and only what is not there yet"
    parser = commands.add_parser("install", help=text, description=text)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="models; without names those of the profile")
    parser.add_argument("--profile", choices=tuple(PROFILES), help="instead of VERACITY_PROFILE")
    parser.add_argument("--from", dest="folder", type=Path, metavar="DIR", help="take the files from this folder")
    parser.set_defaults(command=_install)


def _install(args: argparse.Namespace) -> int:
    from veracity.install.installer import models_of_profile
    from veracity.settings import Settings

    settings = Settings.from_env()
    if args.folder and not args.folder.is_dir():
        raise BadOption(f"--from: {args.folder} is no folder")
    if unknown := [name for name in args.models if name not in MODELS]:
        raise BadOption(f"no model is called {', '.join(unknown)}; there are {', '.join(MODELS)}")
    if args.models and args.profile:
        raise BadOption("give models or --profile, not both")
    of_profile = models_of_profile(args.profile or settings.profile, "" if args.profile else settings.models)
    failed = run(args.models or of_profile, settings, args.folder)
    if not failed:
        sys.stderr.write(f"installed: {settings.model_repository}\n")
    return INCOMPLETE if failed else 0


def run(models: Sequence[str], settings: Settings, folder: Path | None = None) -> dict[str, str]:
    """Install with progress on standard error, where what failed is said as well; returns that."""
    from veracity.install.installer import install

    with bars() as (say, watch):
        failed = install(models, settings, from_dir=folder, say=say, watch=watch)
    for name, reason in failed.items():
        sys.stderr.write(f"{name} is not installed: {reason}\n")
    return failed


def before_serving(settings: Settings) -> None:
    """Install what serving lacks, where that is ours to do: at the first run, and after an upgrade.

    A person at a terminal is asked; elsewhere it is done, and said on standard error. A repository or a checkout that
    has its graphs is taken as it is. What cannot be had does not stop the rest: its layer abstains and says why.
    """
    from veracity.install import repository
    from veracity.install.installer import is_complete, models_of_profile, to_fetch

    models = models_of_profile(settings.profile, settings.models)
    target = settings.model_repository
    if not repository.is_ours(target) or repository.is_read_only(target) or is_complete(models, settings):
        return
    if locations.checkout() and _has_graphs(models, settings):
        return  # a developer's graphs, older than the code: `veracity install` builds them anew
    repository.prepare(target)
    size = sum(source.size or 0 for source in to_fetch(models, settings))
    what = f"the models of profile {settings.profile} are not installed ({size / 1e6:.0f} MB to fetch)"
    if _declined(f"{what}. Install them now? [Y/n] "):
        sys.stderr.write("not installed; `veracity install` does it later\n")
        return
    if not sys.stdin.isatty():
        sys.stderr.write(f"{what}: installing them, as `veracity install` does\n")
    run(models, settings)


def _has_graphs(models: Sequence[str], settings: Settings) -> bool:
    from veracity.catalog.assets import VAD
    from veracity.catalog.provenance import GRAPH

    files = [settings.weights / VAD.name, *(settings.model_repository / name / GRAPH for name in models)]
    return all(file.is_file() for file in files)


def _declined(question: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() not in ("", "y", "yes")
