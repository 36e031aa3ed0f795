"""`python -m training COMMAND`: extract inputs, train networks, measure and calibrate them."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from evaluation.results import RESULTS
from networks.errors import CheckpointError
from training import evaluate
from training.data import command as data
from training.folds import FOLDS
from veracity.calibrate.errors import ManifestError
from veracity.settings import Settings
from veracity_client.errors import VeracityError

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
CACHE = Path.home() / ".cache" / "veracity-training"

Command = str | Callable[[argparse.Namespace], None]

# name -> the module with `run(options)`, and what it does; none imports torch before it runs
TASKS = {
    "audio": ("training.audio.command", "train layer 1"),
    "visual": ("training.visual.command", "train layer 2"),
    "lipsync": ("training.lipsync.command", "train layer 3"),
    "semantic": ("training.semantic.command", "train layer 4, for films"),
    "texture": ("training.texture.command", "train layer 4, for still pictures"),
    "joint": ("training.joint.command", "train the joint audio-visual network of layer 5"),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit status: 1 where media, a plan or a file are invalid."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    warnings.filterwarnings("ignore", module=r"lightning\.")  # its advice; errors are raised
    try:
        _function(options.command)(options)
    except (ManifestError, CheckpointError, VeracityError, OSError) as error:
        sys.stderr.write(f"python -m training: {' '.join(str(error).split())}\n")  # of plans, several lines
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("python -m training: interrupted; run the same command to resume\n")
        return 130
    return 0


def _function(command: Command) -> Callable[[argparse.Namespace], None]:
    """The function of a command: itself, or `module:function`, by default `run`; modules that need torch load here."""
    if callable(command):
        return command
    module, _, name = command.partition(":")
    found: Callable[[argparse.Namespace], None] = getattr(importlib.import_module(module), name or "run")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    shared = _shared()
    for name, (module, what) in TASKS.items():
        task = _add(commands, name, module, what, [shared, _run_options(name)])
        task.set_defaults(out=REPOSITORY / "runs" / name, plan=HERE / "plans" / f"{name}.yaml")
        if name == "audio":
            task.add_argument("--held-out-fold", type=int, choices=range(len(FOLDS)), help="fold not to train on")
            task.add_argument("--spoken", type=Path, metavar="FOLDER", help="what `speak` made, to train on as well")
        if name == "texture":
            task.add_argument(
                "--without", default="", metavar="SOURCE", help="source not to train on: part of its name"
            )
    _extract(commands, shared)
    _compose(commands, shared)
    _splice(commands, shared)
    _group(commands, shared)
    _speak(commands, shared)
    data.add_arguments(_add(commands, "data", "training.data.command", "fetch the media, show their split"))
    evaluate.add_arguments(_add(commands, "evaluate", "training.evaluate", "measure models without a server"))
    _explain(commands, shared)
    _gate(commands)
    _effects(commands)
    _add(commands, "speakers", "training.lipsync.speakers", "measure who is said to speak, of two", [shared])
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
    """Options of every command that extracts inputs."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--data",
        type=Path,
        default=REPOSITORY.parent / "shared" / "data",
        help="folder with a manifest.csv, a CSV video_id,label,split,path, or folders train|val|test/<id>",
    )
    shared.add_argument("--cache", type=Path, default=CACHE, help="folder of extracted inputs")
    shared.add_argument("--vad", default="silero", choices=("silero", "energy"), help="voice activity detector")
    shared.add_argument("--weights", type=Path, default=Settings.from_env().weights, help="folder of fetched files")
    shared.add_argument("--threads", type=int, default=1, help="of computation")
    return shared


def _run_options(name: str) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--out", type=Path, help="folder of checkpoints and logs; an interrupted run resumes there")
    options.add_argument("--plan", type=Path, help="YAML file of training/plans")
    if name != "joint":  # it always trains on `train`
        splits = ("train", "validation", "both")
        options.add_argument("--train-on", choices=splits, help="split of the training set, instead of the plan's")
    options.add_argument("--debug", action="store_true", help="a few small steps, to check that it runs")
    return options


def _extract(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    command = _add(
        commands, "extract", "training.joint.command:extract", "extract all inputs before training", [shared]
    )
    kinds = ("video", "images", "audio")
    command.add_argument("--kinds", nargs="+", default=["video"], choices=kinds, help="of clips")
    command.add_argument("--flow", action="store_true", help="also the optical flow of the faces (Farnebäck)")


def _compose(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    command = _add(
        commands, "compose", "training.composed_videos", "compose videos with forgeries, to calibrate on", [shared]
    )
    command.add_argument("--out", type=Path, required=True, help="folder for the videos and their manifest.csv")


def _splice(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    command = _add(
        commands, "splice", "training.audio.spliced", "put fake seconds into real speech, to measure on", [shared]
    )
    command.add_argument("--split", default="test", choices=("train", "validation", "test"), help="of the voices")
    command.add_argument("--out", type=Path, required=True, help="folder for the sounds and their manifest.csv")


def _group(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    command = _add(
        commands, "group", "training.group_videos", "put a fake person beside real ones, to measure on", [shared]
    )
    command.add_argument("--split", default="test", choices=("train", "validation", "test"), help="of the films")
    command.add_argument("--out", type=Path, required=True, help="folder for the films and their manifest.csv")


def _speak(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    command = _add(
        commands, "speak", "training.audio.spoken", "let text-to-speech systems say what real clips say", [shared]
    )
    command.add_argument("--out", type=Path, required=True, help="folder for the sounds and their manifest.csv")


def _explain(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    command = _add(commands, "explain", "training.explain", "show which parts of the input a network uses", [shared])
    command.add_argument("model", metavar="CHECKPOINT|MODEL", help="a checkpoint, or an installed model with a CAM")
    command.add_argument("video", type=Path, metavar="VIDEO")
    command.add_argument("--out", type=Path, required=True, help="folder for the pictures")


def _gate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add(commands, "gate", "evaluation.quality_gate", "refuse scores that follow the quality of the files")
    command.add_argument("scores", type=Path, nargs="+", metavar="SCORES.jsonl", help="of clips that did not teach")
    command.add_argument("--out", type=Path, default=RESULTS, help="folder for quality_gate_KIND.json")
    command.add_argument("--anyway", action="store_true", help="say so, and refuse nothing")


def _effects(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add(commands, "effects", "evaluation.effects", "measure what each rule around the models does alone")
    command.add_argument("scores", type=Path, nargs="+", metavar="SCORES.jsonl", help="of development clips")
    command.add_argument("--out", type=Path, default=RESULTS, help="folder for effects.json")


if __name__ == "__main__":
    sys.exit(main())
