"""Commands of packages that are installed beside this one: ``veracity gateway`` and ``veracity bulk``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
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
        _add_missing(commands, "gateway", text)
        return
    gateway = commands.add_parser("gateway", help=text, description=text, parents=[where()])
    add_arguments(gateway, _serve, servers="one is started")


def add_bulk(commands: Commands[Any]) -> None:
    """Add ``bulk``, or, where its package is not installed, what says so."""
    text = "analyse folders, manifests and buckets on Ray, into Parquet"
    try:
        from veracity_bulk.arguments import add_arguments
    except ModuleNotFoundError:
        _add_missing(commands, "bulk", text)
        return
    add_arguments(commands.add_parser("bulk", help=text, description=text), _bulk, servers="one is started")


def _serve(args: argparse.Namespace) -> int:
    try:
        from veracity_gateway import command
        from veracity_gateway.arguments import settings_of
    except ModuleNotFoundError as error:
        raise _not_installed(error.name, "gateway") from None
    command.stop_on_sigterm()
    with ExitStack() as stack:
        urls = args.url or [stack.enter_context(own_server())]
        return command.serve(settings_of(args, urls=tuple(urls)))


def _bulk(args: argparse.Namespace) -> int:
    try:
        from veracity_bulk.arguments import task_of
        from veracity_bulk.run import run
    except ModuleNotFoundError as error:
        raise _not_installed(error.name, "bulk") from None
    if args.ray and not args.url:
        raise BadOption("with --ray give --url as well: a server that this command starts is reached from here alone")
    with ExitStack() as stack:
        urls = args.url or [stack.enter_context(own_server())]
        return run(task_of(args, tuple(urls)))


def _add_missing(commands: Commands[Any], name: str, text: str) -> None:
    parser = commands.add_parser(name, help=text, add_help=False, prefix_chars="\0")  # takes everything
    parser.add_argument("rest", nargs="*")
    parser.set_defaults(command=_missing(name))


def _missing(name: str) -> Callable[[argparse.Namespace], NoReturn]:
    def refuse(_args: argparse.Namespace) -> NoReturn:
        raise _not_installed(f"veracity_{name}", name)

    return refuse


def _not_installed(module: str | None, name: str) -> BadOption:
    return BadOption(f"{module} is missing: {extra(name)}")
