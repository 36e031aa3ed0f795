"""How often it is right: every clip of a manifest through the pipeline, exhaustively; figures as JSON, CSV and a page.

Clips that were analysed before by the same models and code are not analysed again: interrupted, it goes on.
"""

from __future__ import annotations

import argparse

from evaluation import report, runners, selection
from veracity.calibrate.errors import ManifestError
from veracity.settings import CHECKOUT, Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    selection.add_options(parser, CHECKOUT / "runs" / "accuracy")
    parser.add_argument("--through", choices=("local", "triton"), default="local", help="this process, or tritonserver")
    parser.add_argument(
        "--url", help="a server that runs, its models taken to be the same each time; else one is started"
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write JSON, CSV and page."""
    settings, clips = settings_of(args), selection.clips_of(args)
    with runners.open_runner(args.through, args.url, settings, args.threads) as runner:
        scored = runners.analyze_clips(clips, selection.root(args.manifest), runner, args.out / report.SCORES)
    report.write_report("accuracy", "How often Veracity is right", scored, args, args.through, runner.calibration)
    return 0


def settings_of(args: argparse.Namespace) -> Settings:
    """The environment's; raises ManifestError for options that contradict each other."""
    if args.url and args.through != "triton":
        raise ManifestError("--url is of a server: give --through triton with it")
    return Settings.from_env()
