"""A file on its way in: written, measured and digested as it comes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from veracity_client.errors import TooLarge
from veracity_gateway.settings import Settings

LONGEST_NAME = 255  # characters


@dataclass(frozen=True)
class Received:
    """A file that came whole. ``name`` is the sender's, for people alone."""

    name: str
    path: Path
    size: int
    sha256: str

    def discard(self) -> None:
        """Delete it."""
        self.path.unlink(missing_ok=True)


class Incoming:
    """Writes a file of at most ``most`` bytes into a folder; it is deleted where it did not come whole."""

    def __init__(self, folder: Path, name: str, most: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        number, path = tempfile.mkstemp(dir=folder)
        self._file = os.fdopen(number, "wb")
        self.path = Path(path)
        self.name = cleaned(name)
        self._most = most
        self._size = 0
        self._digest = hashlib.sha256()

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is not None:
            self.discard()

    def expect(self, size: int) -> None:
        """Say how large the file is going to be; raises TooLarge."""
        if size > self._most:
            raise TooLarge(f"over {self._most:,} bytes, which is the most that this gateway takes of a file")

    def write(self, content: bytes) -> None:
        """Add bytes; raises TooLarge, and OSError where the disk is full."""
        self._size += len(content)
        self.expect(self._size)
        self._digest.update(content)
        self._file.write(content)

    def received(self) -> Received:
        """Close the file and return it."""
        self._file.close()
        return Received(self.name, self.path, self._size, self._digest.hexdigest())

    def discard(self) -> None:
        """Delete what came."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def incoming(settings: Settings) -> Path:
    """Return the folder where files lie while they come in."""
    return settings.data / "incoming"


def inspected(settings: Settings) -> Path:
    """Return the folder where a file lies while its provenance is read."""
    return settings.data / "inspected"


def part_of(settings: Settings, id_: str) -> Path:
    """Return where the bytes of a resumable upload lie until it is complete."""
    return incoming(settings) / id_


def cleaned(name: str) -> str:
    """Return the last part of a sender's file name, without what does not print."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(each for each in last if each.isprintable())[:LONGEST_NAME] or "unnamed"
