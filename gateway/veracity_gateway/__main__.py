"""``veracity-gateway``: the gateway where nothing else of Veracity is installed, as in its image."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from veracity_client.console import Parser, run_command
from veracity_gateway.arguments import Command, add_arguments, settings_of, where


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error of ours is one line on standard error."""
    return run_command("veracity-gateway", lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    parser = Parser(prog="veracity-gateway", description="A page, jobs and reports over HTTP.", parents=[where()])
    add_arguments(parser, _serve, servers="localhost:8001")
    args = parser.parse_args(argv)
    command: Command = args.command
    return command(args)


def _serve(args: argparse.Namespace) -> int:
    from veracity_gateway.command import serve, stop_on_sigterm

    stop_on_sigterm()
    return serve(settings_of(args, **({"urls": tuple(args.url)} if args.url else {})))


if __name__ == "__main__":
    sys.exit(main())
