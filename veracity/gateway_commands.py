"""``veracity gateway``: the page, jobs and reports, in front of servers or of one that it starts."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from veracity.server.commands import Commands, own_server
from veracity_client.errors import BadOption


def add_gateway(commands: Commands[Any]) -> None:
    """Add ``gateway``."""
    text = "serve people and other services over HTTP: a page, jobs, reports"
    gateway = commands.add_parser("gateway", help=text, description=text)
    gateway.add_argument(
        "--url", action="append", help="a Veracity server; may be given for each (default: one is started)"
    )
    gateway.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    gateway.add_argument("--port", type=int, help="port to listen on (default: 8080)")
    gateway.add_argument("--data", type=Path, metavar="FOLDER", help="where jobs and media are kept")
    gateway.set_defaults(command=_gateway)


def _gateway(args: argparse.Namespace) -> int:
    try:
        from veracity_gateway import command
    except ModuleNotFoundError as error:
        raise BadOption(f"{error.name} is missing: pip install 'veracity[gateway]'") from None
    given = {name: value for name in ("host", "port", "data") if (value := getattr(args, name)) is not None}
    command.stop_on_sigterm()
    with ExitStack() as stack:
        urls = args.url or [stack.enter_context(own_server())]
        return command.serve(command.settings_from_env(urls=tuple(urls), **given))
