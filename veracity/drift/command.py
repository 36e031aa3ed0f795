"""``veracity drift``: reports of what was analysed, held against what the calibration was fitted on."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veracity_client.console import EXIT_CODES

if TYPE_CHECKING:
    from veracity.drift.drift import Bounds, Drift, KindDrift
    from veracity.drift.estimate import Interval


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command ``drift``."""
    text = "whether what is analysed has moved from what the calibration was fitted on: exit 1, 2 if unknown"
    parser = commands.add_parser("drift", help=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("reports", type=Path, nargs="+", metavar="REPORT",
                        help="files of `veracity analyze --out` or of VERACITY_ANSWERS, the gateway's results.jsonl "
                        "and report.json, score files")  # fmt: skip
    parser.add_argument("--calibration", type=Path, help="what they were answered with (default: the setting's)")
    parser.add_argument("--fakes", type=float, metavar="SHARE", help="share of fakes, if known; else it is estimated")
    parser.add_argument("--psi", type=float, default=0.25, metavar="N", help="index from which on something drifted")
    parser.add_argument("--wrong", type=float, default=0.10, metavar="SHARE",
                        help="of the decided; drift where more are wrong by estimate, surely")  # fmt: skip
    parser.add_argument("--files", type=int, default=100, metavar="N", help="of a kind at least, to say anything of it")
    parser.add_argument(
        "--graph", default="", metavar="SHA256", help="count answers of this graph alone; its beginning"
    )
    parser.add_argument("--json", action="store_true", help="print a document for programs")
    parser.set_defaults(command=_run)


def _run(args: argparse.Namespace) -> int:
    from veracity.calibrate.command import require_scipy

    require_scipy("veracity drift")
    from veracity.drift import reference, reports
    from veracity.drift.drift import Bounds, compare
    from veracity.settings import Settings

    settings, bounds = Settings.from_env(), Bounds(args.psi, args.wrong, args.files)
    _check(args)
    calibration, known = reference.belonging(args.calibration or settings.calibration, settings.profile)
    read = reports.read(args.reports, settings.profile, calibration, args.graph)
    found = compare(read, known, bounds, args.fakes)
    if args.json:
        sys.stdout.write(json.dumps(found.to_dict(), indent=1) + "\n")
    else:
        _print(found, bounds)
    return EXIT_CODES[found.drifted]


def _check(args: argparse.Namespace) -> None:
    from veracity_client.errors import BadOption

    for name in ("fakes", "wrong"):
        value = getattr(args, name)
        if value is not None and not 0 < value < 1:
            raise BadOption(f"--{name} is a share between 0 and 1, got {value:g}")
    if args.psi <= 0 or args.files < 1:
        raise BadOption("--psi and --files are over 0")


def _print(found: Drift, bounds: Bounds) -> None:
    """Print a table a kind of file, what drifted, and what the estimate rests on."""
    from rich.console import Console

    from veracity.drift.drift import kind_in_words
    from veracity.drift.estimate import ASSUMED

    console = Console(highlight=False)
    for kind, one in found.kinds.items():
        _print_kind(console, kind_in_words(kind, one.files), one, bounds)
    for unknown, files in found.unknown.items():
        console.print(f"{kind_in_words(unknown, files)}: the calibration has no reference of such files")
    if found.errors:
        console.print("not analysed: " + ", ".join(f"{count} {name}" for name, count in sorted(found.errors.items())))
    words = {True: "drifted", False: "nothing drifted", None: "too few files to tell"}
    if any(one.estimates for one in found.kinds.values()):
        console.print(f"Estimates suppose that {ASSUMED}.")
    console.print(words[found.drifted])


def _print_kind(console: Any, title: str, one: KindDrift, bounds: Bounds) -> None:
    from rich.table import Table

    table = Table("", "PSI", "by chance up to", "files", "moved most", title=title, title_justify="left", box=None)
    for name, moved in one.shifts.items():
        most = f"{moved.moved}: {moved.expected:.0%} there, {moved.found:.0%} here"
        table.add_row(name, f"{moved.psi:.2f}", f"{moved.chance:.2f}", str(moved.clips), most)
    console.print(table)
    if one.untold:
        console.print(f"  not told by these reports: {', '.join(one.untold)}")
    if one.skipped:
        console.print(f"  in {one.skipped} files layers were skipped: what the others scored is a choice of the policy "
                      "then; --policy exhaustive shows all")  # fmt: skip
    if one.too_few:
        console.print(f"  too few: {bounds.files} of a kind are wanted to say anything (--files)")
    if found := one.estimates:
        said = {"fakes among them": found.fakes, "wrong of the decided": found.wrong,
                "real called fake": found.real_called_fake, "fake called real": found.fake_called_real,
                "inconclusive": found.inconclusive}  # fmt: skip
        console.print("  by estimate: " + ", ".join(f"{name} {_shown(value)}" for name, value in said.items()))
    for why in one.why:
        console.print(f"  drifted: {why}")


def _shown(value: Interval | None) -> str:
    return "–" if value is None else f"{value.value:.1%} [{value.low:.1%}, {value.high:.1%}]"
