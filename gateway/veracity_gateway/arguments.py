"""The gateway's command line: of ``veracity gateway``, and of ``veracity-gateway`` where no engine is installed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Command = Callable[[argparse.Namespace], int]


def where() -> argparse.ArgumentParser:
    """Return the option that every command takes."""
    parser = argparse.ArgumentParser(add_help=False)
    text = "where jobs, media and keys are kept"
    parser.add_argument("--data", type=Path, metavar="FOLDER", default=argparse.SUPPRESS, help=text)
    return parser


def add_arguments(gateway: argparse.ArgumentParser, serve: Command, *, servers: str) -> None:
    """Declare what the gateway takes beside :func:`where`; ``servers`` says which it is in front of by default."""
    gateway.add_argument(
        "--url", action="append", help=f"a Veracity server; may be given for each (default: {servers})"
    )
    gateway.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    gateway.add_argument("--port", type=int, help="port to listen on (default: 8080)")
    gateway.set_defaults(command=serve)
    groups = gateway.add_subparsers(metavar="keys, webhooks, ready")
    text = "make, list and revoke API keys"
    _add_keys(groups.add_parser("keys", help=text, description=text))
    text = "delete all webhooks, where the key of their secrets is lost"
    webhooks = groups.add_parser("webhooks", help=text, description=text)
    forget = webhooks.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "forget", help=text, parents=[where()]
    )
    forget.set_defaults(command=_forget_webhooks)
    text = "ask the gateway that runs with these settings whether a verdict can be had; exit 1 if not"
    groups.add_parser("ready", help=text, description=text, parents=[where()]).set_defaults(command=_ready)


def settings_of(args: argparse.Namespace, **more: object) -> Any:
    """Return the settings, those of the command line before those of the environment. Raises BadOption."""
    return _module("command").settings_from_env(**more, **_given(args, "data", "host", "port"))


def _add_keys(keys: argparse.ArgumentParser) -> None:
    commands = keys.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser("add", help="make a key and print it, this once", parents=[where()])
    add.add_argument("name", metavar="NAME", help="whose it is, for people")
    add.add_argument("--scopes", help="some of analyze,read,review,admin (default: the first three)")
    add.add_argument("--per-minute", type=int, metavar="N", help="requests a minute (default: 600)")
    add.add_argument("--jobs-a-day", type=int, metavar="N", help="jobs in 24 hours (default: any number)")
    add.add_argument("--key-file", type=Path, metavar="FILE", help="let in the key of a file, which was made elsewhere")
    add.set_defaults(command=_add_key)
    commands.add_parser("list", help="print a line for each key", parents=[where()]).set_defaults(command=_list_keys)
    revoke = commands.add_parser("revoke", help="let nobody in with a key again", parents=[where()])
    revoke.add_argument("id", metavar="ID", help="as `keys list` prints it, or the key itself")
    revoke.set_defaults(command=_revoke_key)


def _add_key(args: argparse.Namespace) -> int:
    given = _given(args, "scopes", "per_minute", "jobs_a_day", "key_file")
    return int(_module("access.commands").add_key(settings_of(args), args.name, **given))


def _list_keys(args: argparse.Namespace) -> int:
    return int(_module("access.commands").list_keys(settings_of(args)))


def _revoke_key(args: argparse.Namespace) -> int:
    return int(_module("access.commands").revoke_key(settings_of(args), args.id))


def _forget_webhooks(args: argparse.Namespace) -> int:
    return int(_module("webhooks.commands").forget_webhooks(settings_of(args)))


def _ready(args: argparse.Namespace) -> int:
    return int(_module("command").ask_whether_ready(settings_of(args)))


def _given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(args, name, None)) is not None}


def _module(name: str) -> Any:
    """Return a module that is slow to import, which only its command needs."""
    return import_module(f"veracity_gateway.{name}")
