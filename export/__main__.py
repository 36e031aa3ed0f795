"""`python -m export MODEL…` writes graphs into the model repository; see also `… parity DIR` and `… configs`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from networks.errors import CheckpointError
from veracity import log
from veracity.catalog import FACE_DETECTOR, MODELS, Model
from veracity.settings import CHECKOUT, Settings
from veracity_client.errors import BadOption, VeracityError

# what `make test-export` does before its tests
ENVIRONMENT = (
    "scripts/bootstrap .venv-export requirements/runtime.lock requirements/dev.lock requirements/gateway.lock "
    "requirements/torch.txt"
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status; an error of ours is one line on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    log.configure("error")
    try:
        if arguments[:1] == ["parity"]:
            return _parity(arguments[1:])
        if arguments[:1] == ["migrate"]:
            return _migrate(arguments[1:])
        if arguments[:1] == ["configs"]:
            return _configs(arguments[1:])
        args = _parser().parse_args(arguments)
        models = [MODELS[name] for name in args.models]
        for model in models:
            _refuse_unheeded(model, args)
        for model in models:
            _export(model, args)
    except VeracityError as error:
        sys.stderr.write(f"export: {error.to_wire()}\n")
        return 1
    except CheckpointError as error:
        sys.stderr.write(f"export: {error}\n")
        return 1
    except ModuleNotFoundError as error:
        sys.stderr.write(f"export: {error.name} is not installed in this environment: {ENVIRONMENT} makes one\n")
        return 1
    return 0


def _refuse_unheeded(model: Model, args: argparse.Namespace) -> None:
    """Raise BadOption for an option that the export of ``model`` would ignore."""
    engine = args.format == "tensorrt"
    no_checkpoint = engine or args.untrained or not model.trained_here
    unheeded = {
        "--checkpoint": args.checkpoint is not None and no_checkpoint,
        "--untrained": args.untrained
        and (engine or model.name in {"face_detector", "semantic_starter", "semantic_texture_starter"}),
        "--upstream": args.upstream is not None and (engine or not _published(model)),
    }
    for option, idle in unheeded.items():
        if idle:
            how = " --format tensorrt" if engine else " --untrained" if args.untrained and model.trained_here else ""
            raise BadOption(f"{option} means nothing to python -m export {model.name}{how}")


def _published(model: Model) -> bool:
    """Whether the graph is a network as others published it, all of it."""
    return model is not FACE_DETECTOR and not model.trained_here


def _export(model: Model, args: argparse.Namespace) -> None:
    if args.format == "tensorrt":
        import_module("export.tensorrt").export(model.name, args)
        return
    if args.precision not in model.precisions:
        raise BadOption(f"{model.name} is {' or '.join(model.precisions)} only, got {args.precision}")
    module = import_module(model.export)  # loaded now, since most need torch
    if not _published(model):
        module.export(args)
        return
    from export import published

    published.export(module.DETECTORS[model.name], args)


def _parser() -> argparse.ArgumentParser:
    settings = Settings.from_env()
    parser = argparse.ArgumentParser(
        prog="python -m export", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    known = sorted(MODELS)
    parser.add_argument("models", nargs="+", choices=known, metavar="MODEL", help=", ".join(known))
    parser.add_argument(
        "--format", default="onnx", choices=("onnx", "tensorrt"), help="tensorrt builds from the installed graph"
    )
    parser.add_argument("--precision", default="fp32", choices=("fp32", "fp16", "int8"), help="of its numbers")
    parser.add_argument("--checkpoint", type=Path, help="the trained weights, for models that we train")
    parser.add_argument("--repository", type=Path, default=settings.model_repository, help="where to write to")
    parser.add_argument("--weights", type=Path, default=settings.weights, help="where fetched files lie")
    parser.add_argument("--clip", type=Path, help="a video to compare on; a sample is made on the spot without it")
    parser.add_argument(
        "--untrained", action="store_true", help="weights made of their names: for timing, profile bench"
    )
    parser.add_argument("--upstream", type=Path, metavar="CHECKOUT", help="compare with the authors' own code as well")
    parser.add_argument(
        "--detector",
        default="centerface",
        choices=("centerface", "yunet"),
        help="what finds the faces; yunet is faster",
    )
    return parser


def _parity(arguments: Sequence[str]) -> int:
    from export import parity

    settings = Settings.from_env()
    parser = argparse.ArgumentParser(prog="python -m export parity", description=parity.__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="of cases, NAME.json with NAME.npz")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="which of them; all without")
    parser.add_argument("--weights", type=Path, default=settings.weights, help="where fetched files lie")
    args = parser.parse_args(arguments)
    names = args.cases or parity.cases(args.folder)
    sys.stdout.write(f"{'case':26} {'state dict':>14} {'torch':>10} {'onnx':>10}\n")
    passed = [_passes(case, args.folder, args.weights) for case in names]
    return 0 if all(passed) else 1


def _passes(case: str, folder: Path, weights: Path) -> bool:
    """Run one case and print its line; a case that fails prints the reason."""
    from export import parity

    try:
        row = parity.run(folder, weights, case)
    except (VeracityError, CheckpointError) as error:
        sys.stdout.write(f"{case:26} {error.message if isinstance(error, VeracityError) else error}\n")
        return False
    sys.stdout.write(f"{row.case:26} {row.keys:>14} {_number(row.torch):>10} {_number(row.onnx):>10}  {row.said}\n")
    sys.stdout.flush()
    return row.passed


def _migrate(arguments: Sequence[str]) -> int:
    from export import migrate

    parser = argparse.ArgumentParser(prog="python -m export migrate", description=migrate.__doc__)
    parser.add_argument("old", type=Path, metavar="OLD", help="a state dict of the compact RawNet2, .pt")
    parser.add_argument("new", type=Path, metavar="NEW", help="the checkpoint to be written, .pt")
    parser.add_argument("--level", action="store_true", help="it was trained on sound normalised to one level")
    parser.add_argument("--trained-on", nargs="+", default=["not stated by its state dict"], help="for the provenance")
    args = parser.parse_args(arguments)
    made = migrate.migrate(args.old, args.new, level=args.level, trained_on=tuple(args.trained_on))
    sys.stdout.write("\n".join((*made.steps, f"{migrate.UNSAID}.", f"{args.new} is written.", "")))
    return 0


def _configs(arguments: Sequence[str]) -> int:
    from export import configs

    parser = argparse.ArgumentParser(prog="python -m export configs", description=configs.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail with the difference")
    parser.add_argument("--repository", type=Path, default=CHECKOUT / "model_repository", help="where they are")
    args = parser.parse_args(arguments)
    if args.check:
        return 0 if configs.check(args.repository) else 1
    configs.write(args.repository)
    return 0


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.1e}"


if __name__ == "__main__":
    sys.exit(main())
