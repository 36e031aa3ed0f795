"""`python -m export LAYER… [--format onnx] …`: writes each layer's graph into the model repository."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from veracity.settings import Settings
from veracity_client.errors import VeracityError

# layer → module with `export(args: argparse.Namespace) -> None`; loaded when asked for, since most need torch
LAYERS = {
    "audio_starter": "export.audio_starter",
    "face_detector": "export.face_detector",
}


def main(arguments: list[str] | None = None) -> int:
    """Exports the layers named, in order; answers the exit status."""
    args = _parser().parse_args(arguments)
    try:
        for layer in args.layers:
            import_module(LAYERS[layer]).export(args)
    except VeracityError as error:
        sys.stderr.write(f"export: {error.to_wire()}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    settings = Settings.from_env()
    parser = argparse.ArgumentParser(
        prog="python -m export", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("layers", nargs="+", choices=sorted(LAYERS), metavar="LAYER", help=", ".join(sorted(LAYERS)))
    parser.add_argument("--format", default="onnx", choices=("onnx",), help="of the graph")
    parser.add_argument("--checkpoint", type=Path, help="the trained weights, for layers that we train")
    parser.add_argument("--repository", type=Path, default=settings.model_repository, help="where to write to")
    parser.add_argument("--weights", type=Path, default=settings.weights, help="where fetched files lie")
    parser.add_argument(
        "--detector", default="auto", choices=("auto", "centerface", "yunet"), help="auto: YuNet where it is installed"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
