"""``veracity-bulk``: the command where nothing else of Veracity is installed, as on the head of a Ray cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from veracity_bulk.arguments import TEXT, add_arguments, task_of
from veracity_client.cli import DEFAULT_URL
from veracity_client.console import Parser, run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; an error of ours is one line on standard error."""
    return run_command("veracity-bulk", lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    parser = Parser(prog="veracity-bulk", description=TEXT)
    add_arguments(parser, _bulk, servers=DEFAULT_URL)
    return _bulk(parser.parse_args(argv))


def _bulk(args: argparse.Namespace) -> int:
    from veracity_bulk.run import run

    return run(task_of(args, tuple(args.url or [DEFAULT_URL])))


if __name__ == "__main__":
    sys.exit(main())
