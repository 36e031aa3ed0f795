"""``veracity gateway``: the page, jobs and reports, in front of servers or of one that it starts."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import Any, NoReturn

from veracity.install.advice import extra
from veracity.server.commands import Commands, own_server
from veracity_client.errors import BadOption


def add_gateway(commands: Commands[Any]) -> None:
    """Add ``gateway`` with the commands of its package, or, where that is not installed, what says so."""
    text = "serve people and other services over HTTP: a page, jobs, reports"
    try:
        from veracity_gateway.arguments import add_arguments, where
    except ModuleNotFoundError:
        gateway = commands.add_parser("gateway", help=text, add_help=False, prefix_chars="\0")  # takes everything
        gateway.add_argument("rest", nargs="*")
        gateway.set_defaults(command=_missing)
        return
    gateway = commands.add_parser("gateway", help=text, description=text, parents=[where()])
    add_arguments(gateway, _serve, servers="one is started")


def _serve(args: argparse.Namespace) -> int:
    try:
        from veracity_gateway import command
        from veracity_gateway.arguments import settings_of
    except ModuleNotFoundError as error:
        raise _not_installed(error.name) from None
    command.stop_on_sigterm()
    with ExitStack() as stack:
        urls = args.url or [stack.enter_context(own_server())]
        return command.serve(settings_of(args, urls=tuple(urls)))


def _missing(_args: argparse.Namespace) -> NoReturn:
    raise _not_installed("veracity_gateway")


def _not_installed(name: str | None) -> BadOption:
    return BadOption(f"{name} is missing: {extra('gateway')}")
