"""`python -m training COMMAND`: cut media, teach networks, measure and calibrate what came out."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from evaluation.manifest import ManifestError
from networks.errors import CheckpointError
from training import evaluate
from training.folds import FOLDS
from veracity.settings import Settings
from veracity_client.errors import VeracityError

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
CACHE = Path.home() / ".cache" / "veracity-training"

Command = str | Callable[[argparse.Namespace], None]

# name -> the module with `run(options)`, and what it does; none imports torch before it runs
LESSONS = {
    "audio": ("training.audio.command", "teach layer 1 by a plan"),
    "visual": ("training.visual.command", "teach layer 2 by a plan"),
    "lipsync": ("training.lipsync.command", "teach layer 3 by a plan"),
    "semantic": ("training.semantic.command", "teach layer 4 by a plan"),
    "joint": ("training.joint.command", "teach the network that sees and hears at once"),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; answers the exit status: 1 where the media, a plan or a file is not as it must be."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    warnings.filterwarnings("ignore", module=r"lightning\.")  # its advice; what is wrong it raises
    try:
        _function(options.command)(options)
    except (ManifestError, CheckpointError, VeracityError, OSError) as error:
        sys.stderr.write(f"python -m training: {' '.join(str(error).split())}\n")  # of plans, several lines
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("python -m training: stopped; the same command goes on from what is complete\n")
        return 130
    return 0


def _function(command: Command) -> Callable[[argparse.Namespace], None]:
    """What runs: a function, or `module:function`, by default `run`; what needs torch is imported only here."""
    if callable(command):
        return command
    module, _, name = command.partition(":")
    found: Callable[[argparse.Namespace], None] = getattr(importlib.import_module(module), name or "run")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    shared = _shared()
    for name, (module, what) in LESSONS.items():
        lesson = _add(commands, name, module, what, [shared, _learns(name)])
        lesson.set_defaults(out=REPOSITORY / "runs" / name, plan=HERE / "plans" / f"{name}.yaml")
        if name == "audio":
            lesson.add_argument("--without", type=int, choices=range(len(FOLDS)), help="the fold that does not teach")
    _extract(commands, shared)
    _films(commands, shared)
    evaluate.add_arguments(_add(commands, "evaluate", "training.evaluate", "measure chosen models without a server"))
    _explain(commands, shared)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    module: str,
    what: str,
    parents: Sequence[argparse.ArgumentParser] = (),
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name, help=what, parents=list(parents), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    command.set_defaults(command=module)
    return command


def _shared() -> argparse.ArgumentParser:
    """What all that cuts media wants to know."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--data",
        type=Path,
        default=REPOSITORY.parent / "shared" / "data",
        help="folder with a manifest.csv, a CSV video_id,label,split,path, or folders train|val|test/<id>",
    )
    shared.add_argument("--cache", type=Path, default=CACHE, help="for what was cut and made")
    shared.add_argument("--vad", default="silero", choices=("silero", "energy"), help="what finds the speech")
    shared.add_argument("--weights", type=Path, default=Settings.from_env().weights, help="where fetched files lie")
    shared.add_argument("--threads", type=int, default=1, help="that compute; on busy cores more of them only wait")
    return shared


def _learns(name: str) -> argparse.ArgumentParser:
    learns = argparse.ArgumentParser(add_help=False)
    learns.add_argument("--out", type=Path, help="for checkpoints and logs; a run that stopped goes on there")
    learns.add_argument("--plan", type=Path, help="YAML of what to do")
    if name != "joint":  # it learns from `train` alone
        splits = ("train", "validation", "both")
        learns.add_argument("--teach", choices=splits, help="the split that teaches, if not the plan's")
    learns.add_argument("--debug", action="store_true", help="a few tiny steps, to see that it runs")
    return learns


def _extract(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    command = _add(commands, "extract", "training.joint.command:extract", "cut all media before a lesson", [shared])
    kinds = ("video", "images", "audio")
    command.add_argument("--kinds", nargs="+", default=["video"], choices=kinds, help="of clips")
    command.add_argument("--flow", action="store_true", help="Farnebäck's optical flow of the faces, too")


def _films(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    command = _add(commands, "films", "training.films", "make films with fakes of our own, to calibrate on", [shared])
    command.add_argument("--out", type=Path, required=True, help="folder for the films and their manifest.csv")


def _explain(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    command = _add(commands, "explain", "training.explain", "show where a network looks", [shared])
    command.add_argument("model", metavar="CHECKPOINT|MODEL", help="a checkpoint, or an installed model with a CAM")
    command.add_argument("video", type=Path, metavar="VIDEO")
    command.add_argument("--out", type=Path, required=True, help="folder for the pictures")


if __name__ == "__main__":
    sys.exit(main())
