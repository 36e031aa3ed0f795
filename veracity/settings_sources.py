"""Where each setting comes from: the environment, before the TOML file, before the defaults."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from veracity.settings import CONFIG_FILE, PREFIX, Settings, explain, key, variable
from veracity_client.errors import BadOption

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Source = Literal["default", "file", "environment"]

OTHER_VARIABLES = {  # read by other parts of the project than the server
    CONFIG_FILE,
    "VERACITY_API_KEY",  # the client's
    "VERACITY_LIPFORENSICS",  # the authors' code, which a test of export compares with
}
# Kubernetes and Docker put these into every container beside a service whose name begins with "veracity".
SERVICE = re.compile(
    r"VERACITY(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


@dataclass(frozen=True)
class Loaded:
    """Settings, and by the name of each which source it comes from."""

    settings: Settings
    sources: Mapping[str, Source]
    file: Path | None


def load(environ: Mapping[str, str] | None = None) -> Loaded:
    """Read all sources; raises :class:`BadOption` for what is unknown or wrong in one of them."""
    environ = os.environ if environ is None else environ
    from_env = _read_environment(environ)
    file = Path(environ[CONFIG_FILE]).absolute() if environ.get(CONFIG_FILE) else None
    from_file = {} if file is None else _read_file(file)
    try:
        settings = Settings(**(from_file | from_env))
    except BadOption as error:
        if isinstance(error.__cause__, ValidationError):
            named = {name: f"{name} in {file}" for name in set(from_file) - set(from_env)}
            raise BadOption(explain(error.__cause__, lambda name: named.get(name) or variable(name))) from None
        raise
    sources: dict[str, Source] = dict.fromkeys(Settings.model_fields, "default")
    sources |= {name: "file" for name in sources if key(name) in from_file}
    sources |= {name: "environment" for name in sources if key(name) in from_env}
    return Loaded(settings, sources, file)


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the variables by the keys of their settings; an empty one counts as not given."""
    given = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
    known = {variable(name) for name in Settings.model_fields} | OTHER_VARIABLES
    for name in given:
        if name not in known and not SERVICE.fullmatch(name):
            raise BadOption(f"unknown variable {name}{_suggest(name, known)}")
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): text for name, text in given.items() if text}
    found: dict[str, Any] = source()
    return found


def _read_file(file: Path) -> dict[str, Any]:
    """Return the file's values; its relative paths begin in its folder, since the server may start in any."""
    try:
        given: dict[str, Any] = tomllib.loads(file.read_text())
    except OSError as error:
        raise BadOption(f"{CONFIG_FILE}: {file} cannot be read: {error.strerror}") from None
    except ValueError as error:  # of TOML, or of UTF-8
        raise BadOption(f"{CONFIG_FILE}: {file} is not TOML: {error}") from None
    fields = {key(name): field for name, field in Settings.model_fields.items()}
    for name in given:
        if name not in fields:
            raise BadOption(f"unknown key {name} in {file}{_suggest(name, fields)}")
    paths = [name for name in given if fields[name].annotation in (Path, Path | None) and isinstance(given[name], str)]
    return given | {name: file.parent / Path(given[name]).expanduser() for name in paths}


def _suggest(name: str, known: Iterable[str]) -> str:
    told_apart = {other.removeprefix(PREFIX).lower(): other for other in known}
    nearest = get_close_matches(name.removeprefix(PREFIX).lower(), told_apart, 1)
    return f"; did you mean {told_apart[nearest[0]]}?" if nearest else "; veracity config lists the settings"
