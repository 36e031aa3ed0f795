"""``weights.lock.json`` in the weights folder: what was fetched, from where, and which digest holds from then on."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from veracity.install.files import WeightsError, atomic

LOCK_FILE = "weights.lock.json"


@dataclass(frozen=True)
class Entry:
    """One fetched file. ``first_use``: nobody stated its digest beforehand, it was recorded when it came.

    ``fetched`` is the time in ISO 8601, UTC; ``revision`` is empty where the source has none.
    """

    source: str
    revision: str
    sha256: str
    size: int
    fetched: str
    licence: str
    first_use: bool


def read(folder: Path) -> dict[str, Entry]:
    """Return the entries by file name; raises :class:`WeightsError` for a lock file that is damaged."""
    path = folder / LOCK_FILE
    if not path.is_file():
        return {}
    try:
        return {name: Entry(**entry) for name, entry in json.loads(path.read_text(encoding="utf-8"))["files"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(
            f"{path} is damaged ({type(error).__name__}): restore it, or delete it to trust the files once more"
        ) from None


def record(folder: Path, name: str, entry: Entry) -> None:
    """Put one entry in; those that others put in at the same time stay."""
    with exclusive(folder):
        entries = {**read(folder), name: entry}
        document = {"version": 1, "files": {key: asdict(entries[key]) for key in sorted(entries)}}
        with atomic(folder / LOCK_FILE) as file:
            file.write(json.dumps(document, indent=2).encode() + b"\n")


@contextmanager
def exclusive(folder: Path, wait: bool = True) -> Iterator[None]:
    """Keep a folder to one process at a time; without ``wait`` raises BlockingIOError where another has it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)
