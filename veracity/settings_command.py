"""``veracity config``, and the list of settings that ``veracity serve --help`` ends with."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command ``config``."""
    parser = commands.add_parser("config", help="show every setting, its value and where it comes from")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.set_defaults(command=_config)


def _config(args: argparse.Namespace) -> int:
    from veracity.settings import key, variable
    from veracity.settings_sources import load

    loaded = load()
    rows = [(name, getattr(loaded.settings, name), source) for name, source in loaded.sources.items()]
    if args.json:
        found = {key(name): {"value": value, "source": source} for name, value, source in rows}
        document = {"file": loaded.file, "settings": found}
        sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")
        return 0
    sys.stdout.write(_columns([("setting", "value", "source"), *((variable(n), _shown(v), s) for n, v, s in rows)]))
    if loaded.file is not None:
        sys.stdout.write(f"file: {loaded.file}\n")
    return 0


class SettingsHelp(argparse._HelpAction):
    """``--help`` that lists the settings too. Their module is imported only then: it takes 0.2 s."""

    def __call__(self, parser: argparse.ArgumentParser, *given: Any, **more: Any) -> None:
        """Print the help and leave."""
        parser.epilog = _list_of_settings()
        super().__call__(parser, *given, **more)


def _list_of_settings() -> str:
    from veracity.settings import Settings, variable

    head = "settings, as environment variables or as keys of the TOML file that VERACITY_CONFIG names:\n"
    return head + "".join(
        f"  {variable(name)} (default: {_shown(field.default)})\n      {field.description}\n"
        for name, field in Settings.model_fields.items()
    )


def _shown(value: object) -> str:
    return "–" if value is None else str(value) or "–"


def _columns(rows: list[tuple[str, str, str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "".join(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source}\n" for name, value, source in rows)
