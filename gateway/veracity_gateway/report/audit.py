"""An audit log that is only appended to. Every entry holds the digest of the one before it, so that a change shows.

What it cannot show by itself is that its last entries were cut off: whoever holds a report holds its entry, and
``veracity verify --audit`` looks for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Protocol

import msgspec

from veracity_gateway.report.canonical import canonical, digest, parse
from veracity_gateway.report.errors import AuditLogError, BadEvidence

FIRST = "0" * 64  # what the first entry has before it
BLOCK = 4096


@dataclass(frozen=True)
class Entry:
    """One line of the log: what happened (``event``) to what. ``entry`` is the digest of the rest.

    ``sha256`` is that of the report's evidence; None where it is about no report.
    """

    sequence: int
    time: str
    event: str
    subject: str
    sha256: str | None
    previous: str
    entry: str

    def fault(self) -> str | None:
        """Return why this is no whole entry; None where its digest is that of the rest."""
        rest = asdict(self)
        del rest["entry"]
        return None if digest(rest) == self.entry else f"entry {self.sequence} was changed"


class Rows(Protocol):
    """Where entries are kept."""

    def add(self, make: Callable[[Entry | None], Entry]) -> Entry:
        """Keep what ``make`` returns for the last entry; nobody else adds one in between."""

    def entries(self) -> Iterator[Entry]:
        """Return all in their order; raises :class:`AuditLogError` at what is no entry."""


class AuditLog:
    """The log over its rows."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def append(self, event: str, subject: str, sha256: str | None, time: datetime) -> Entry:
        """Write down what happened; ``sha256`` is that of the report's evidence."""
        said = msgspec.to_builtins(time)

        def make(last: Entry | None) -> Entry:
            sequence, previous = (last.sequence + 1, last.entry) if last else (1, FIRST)
            entry = Entry(sequence, said, event, subject, sha256, previous, "")
            rest = asdict(entry)
            del rest["entry"]
            return Entry(**rest, entry=digest(rest))

        return self._rows.add(make)

    def check(self) -> list[str]:
        """Return what is wrong with the log: entries that were changed, taken out or put elsewhere."""
        faults: list[str] = []
        sequence, previous = 0, FIRST
        try:
            for entry in self._rows.entries():
                faults += _faults(entry, sequence, previous)
                sequence, previous = entry.sequence, entry.entry
        except AuditLogError as error:
            faults.append(error.message)
        return faults

    def entries(self) -> Iterator[Entry]:
        """Return all in their order."""
        return self._rows.entries()

    def find(self, sequence: int) -> Entry | None:
        """Return the entry of this number."""
        return next((entry for entry in self._rows.entries() if entry.sequence == sequence), None)


def _faults(entry: Entry, sequence: int, previous: str) -> list[str]:
    found = [fault] if (fault := entry.fault()) else []
    if entry.sequence != sequence + 1:
        found.append(f"entry {entry.sequence} follows entry {sequence}: entries are missing, doubled or out of order")
    elif entry.previous != previous:
        found.append(f"entry {entry.sequence} does not follow the entry before it: that was changed or exchanged")
    return found


class FileRows:
    """A file of one JSON document a line. Several processes may append to it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, make: Callable[[Entry | None], Entry]) -> Entry:
        """Append under a lock. A line that a killed process left unfinished was never answered for, and goes."""
        try:
            with _locked(self._path) as file:
                end, last = _last_line(file)
                file.truncate(end)
                entry = make(_read(last, "the last line") if last else None)
                file.seek(end)
                content = canonical(entry) + b"\n"
                while content:
                    content = content[file.write(content) :]
                os.fsync(file.fileno())
                return entry
        except OSError as error:
            raise AuditLogError(f"the audit log {self._path} cannot be written: {error.strerror}") from None

    def entries(self) -> Iterator[Entry]:
        """Return all in their order."""
        try:
            with self._path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if not line.endswith(b"\n"):
                        raise AuditLogError(f"line {number} of the audit log was not finished")
                    yield _read(line, f"line {number}")
        except OSError as error:
            raise AuditLogError(f"the audit log {self._path} cannot be read: {error.strerror}") from None


def _read(line: bytes, where: str) -> Entry:
    try:
        raw = parse(line)
        entry = msgspec.convert(raw, Entry)
        if canonical(entry) != line.rstrip(b"\n"):
            raise ValueError("not in the canonical form")
    except (ValueError, BadEvidence) as error:
        raise AuditLogError(f"{where} of the audit log is no entry: {error}") from None
    return entry


@contextmanager
def _locked(path: Path) -> Iterator[FileIO]:
    try:
        import fcntl
    except ModuleNotFoundError:
        raise AuditLogError("this system has no flock(2), which keeps two processes apart") from None
    with FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _last_line(file: FileIO) -> tuple[int, bytes]:
    """Return where the last finished line ends, and that line; nothing where there is none."""
    start, tail = file.seek(0, os.SEEK_END), b""
    while start and tail.count(b"\n") < 2:
        step = min(start, max(BLOCK, len(tail)))
        start -= step
        tail = os.pread(file.fileno(), step, start) + tail
    whole = tail[: tail.rfind(b"\n") + 1]
    return start + len(whole), whole[whole.rfind(b"\n", 0, -1) + 1 :]
