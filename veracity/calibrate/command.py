"""``veracity calibrate``: a user's own labelled clips, or score files, to a calibration file. No torch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command ``calibrate``."""
    formatter = argparse.ArgumentDefaultsHelpFormatter
    text = "fit temperatures, fusion and thresholds on labelled clips of yours"
    parser = commands.add_parser("calibrate", formatter_class=formatter, help=text)
    parser.add_argument("data", type=Path, nargs="+", metavar="DATA",
                        help="a folder with real/ and fake/, whose subfolders are sources; a CSV with the columns "
                        "path, label and, if known, source; or score files (*.jsonl)")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("calibration.toml"),
                        help="the file to write, or to change: tables of other models stay as they are")  # fmt: skip
    parser.add_argument("--scores", type=Path, default=None,
                        help="where the models' outputs for the clips are kept, so that an interrupted run resumes "
                        "(default: beside --out, with the ending .scores.jsonl)")  # fmt: skip
    parser.add_argument("--trained-on", nargs="*", default=[], metavar="MODEL:SPLIT[:KIND[:LABEL]]",
                        help="clips that a model was trained on: those outputs are left out")  # fmt: skip
    parser.add_argument("--test", type=Path, nargs="*", default=[], metavar="SCORES",
                        help="score files of test clips: measured for the statements, never fitted on")  # fmt: skip
    parser.add_argument("--allow-test", action="store_true",
                        help="fit on test clips too: they can measure nothing afterwards")  # fmt: skip
    parser.set_defaults(command=_run)


def require_scipy(command: str) -> None:
    """Raise ManifestError with what to install, where the extra of what fits and measures is missing."""
    try:
        import scipy  # noqa: F401
    except ImportError:
        from veracity.calibrate.errors import ManifestError
        from veracity.install.advice import extra

        raise ManifestError(f"{command} needs scipy: {extra('calibrate')}") from None


def _run(args: argparse.Namespace) -> int:
    require_scipy("veracity calibrate")
    from veracity.calibrate.run import run

    sys.stdout.writelines(run(args))
    return 0
