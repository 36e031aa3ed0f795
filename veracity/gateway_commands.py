"""``veracity gateway``: the page, jobs and reports, in front of servers or of one that it starts."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from veracity.install.advice import extra
from veracity.server.commands import Commands, own_server
from veracity_client.errors import BadOption


def add_gateway(commands: Commands[Any]) -> None:
    """Add ``gateway`` and ``gateway keys``."""
    text = "serve people and other services over HTTP: a page, jobs, reports"
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument(
        "--data", type=Path, metavar="FOLDER", default=argparse.SUPPRESS, help="where jobs, media and keys are kept"
    )
    gateway = commands.add_parser("gateway", help=text, description=text, parents=[where])
    gateway.add_argument(
        "--url", action="append", help="a Veracity server; may be given for each (default: one is started)"
    )
    gateway.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    gateway.add_argument("--port", type=int, help="port to listen on (default: 8080)")
    gateway.set_defaults(command=_gateway)
    text = "make, list and revoke API keys"
    keys = gateway.add_subparsers(metavar="keys").add_parser("keys", help=text, description=text)
    _add_keys(keys.add_subparsers(required=True, metavar="COMMAND"), where)


def _add_keys(commands: Commands[Any], where: argparse.ArgumentParser) -> None:
    add = commands.add_parser("add", help="make a key and print it, this once", parents=[where])
    add.add_argument("name", metavar="NAME", help="whose it is, for people")
    add.add_argument("--scopes", help="some of analyze,read,review,admin (default: the first three)")
    add.add_argument("--per-minute", type=int, metavar="N", help="requests a minute (default: 600)")
    add.add_argument("--jobs-a-day", type=int, metavar="N", help="jobs in 24 hours (default: any number)")
    add.add_argument("--key-file", type=Path, metavar="FILE", help="let in the key of a file, which was made elsewhere")
    add.set_defaults(command=_add_key)
    commands.add_parser("list", help="print a line for each key", parents=[where]).set_defaults(command=_list_keys)
    revoke = commands.add_parser("revoke", help="let nobody in with a key again", parents=[where])
    revoke.add_argument("id", metavar="ID", help="as `keys list` prints it, or the key itself")
    revoke.set_defaults(command=_revoke_key)


def _gateway(args: argparse.Namespace) -> int:
    command = _imported("command")
    command.stop_on_sigterm()
    with ExitStack() as stack:
        urls = args.url or [stack.enter_context(own_server())]
        return int(command.serve(_settings(args, urls=tuple(urls), **_given(args, "host", "port"))))


def _add_key(args: argparse.Namespace) -> int:
    given = _given(args, "scopes", "per_minute", "jobs_a_day", "key_file")
    return int(_imported("access.commands").add_key(_settings(args), args.name, **given))


def _list_keys(args: argparse.Namespace) -> int:
    return int(_imported("access.commands").list_keys(_settings(args)))


def _revoke_key(args: argparse.Namespace) -> int:
    return int(_imported("access.commands").revoke_key(_settings(args), args.id))


def _settings(args: argparse.Namespace, **given: object) -> Any:
    return _imported("command").settings_from_env(**given, **_given(args, "data"))


def _given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(args, name, None)) is not None}


def _imported(module: str) -> Any:
    """Return a module of the gateway, which is a package of its own; raises BadOption where it is not installed."""
    try:
        return import_module(f"veracity_gateway.{module}")
    except ModuleNotFoundError as error:
        raise BadOption(f"{error.name} is missing: {extra('gateway')}") from None
