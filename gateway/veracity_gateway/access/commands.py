"""``veracity gateway keys``: makes, lists and revokes API keys."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from veracity_client.errors import BadOption
from veracity_gateway.access.caller import SCOPES, Scope
from veracity_gateway.access.keys import FORM, Keys
from veracity_gateway.gateway import Gateway
from veracity_gateway.settings import Settings

USUAL_SCOPES = "analyze,read,review"
USUAL_PER_MINUTE = 600
HEADINGS = ("ID", "NAME", "SCOPES", "A MINUTE", "JOBS A DAY", "MADE", "USED", "REVOKED")


def add_key(
    settings: Settings,
    name: str,
    *,
    scopes: str = USUAL_SCOPES,
    per_minute: int = USUAL_PER_MINUTE,
    jobs_a_day: int | None = None,
    key_file: Path | None = None,
) -> int:
    """Make a key and print it, or let in the one that a file holds. Raises :class:`BadOption`."""
    if not 0 < len(name) <= 200 or not name.isprintable():
        raise BadOption("a key's name has 1 to 200 characters")
    if per_minute < 1 or (jobs_a_day is not None and jobs_a_day < 1):
        raise BadOption("--per-minute and --jobs-a-day are 1 or more")
    if key_file is not None:
        with _keys(settings) as keys:
            keys.put(_read(key_file), name, _scopes(scopes), per_minute, jobs_a_day)
        return 0
    with _keys(settings) as keys:
        sys.stdout.write(f"{keys.add(name, _scopes(scopes), per_minute, jobs_a_day)}\n")
    sys.stderr.write("keep it: it is shown this once, and only a digest of it is stored\n")
    return 0


def list_keys(settings: Settings) -> int:
    """Print a line for each key."""
    with _keys(settings) as keys:
        rows = [
            (key.id, key.name, key.scopes, str(key.per_minute), str(key.jobs_a_day or "any"), _day(key.created),
             _day(key.used), _day(key.revoked))
            for key in keys.all()
        ]  # fmt: skip
    _print_table([HEADINGS, *rows])
    return 0


def revoke_key(settings: Settings, id_: str) -> int:
    """Revoke a key, given whole or by its id; raises NotFound."""
    id_ = said[1] if (said := FORM.fullmatch(id_)) else id_
    with _keys(settings) as keys:
        keys.revoke(id_)
        left = keys.any_active()
    sys.stdout.write(f"{id_} is revoked, with its sessions\n")
    if not left:
        sys.stderr.write("no key is left: nobody comes in until there is a new one\n")
    return 0


@contextmanager
def _keys(settings: Settings) -> Generator[Keys, None, None]:
    gateway = Gateway(settings)
    try:
        yield gateway.keys
    finally:
        gateway.database.close()


def any_active_key(settings: Settings) -> bool:
    """Say whether anybody could come in with a key."""
    with _keys(settings) as keys:
        return keys.any_active()


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"--key-file: {path} cannot be read: {error}") from None


def _scopes(text: str) -> list[Scope]:
    given = [each.strip() for each in text.split(",")]
    if wrong := [each for each in given if each not in SCOPES]:
        raise BadOption(f"there is no scope {wrong[0]!r}; there are {', '.join(SCOPES)}")
    return [scope for scope in SCOPES if scope in given]


def _day(seconds: float | None) -> str:
    return "-" if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M")


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n")
