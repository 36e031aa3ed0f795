"""``--out``: a file of one JSON line a video, with which a later run of the same command goes on.

A line is appended when its video is done. A video that is asked again gets another line; the last one counts, and at
the end the earlier ones are taken out and the rest is put in the order given. The file is locked meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

from veracity_client._source import shortened
from veracity_client.console import ERROR, EXIT_CODES
from veracity_client.errors import BY_NAME, BadOption, BadVideo, LimitExceeded, VeracityError

BEGIN = b'{"file": '  # of every line; what begins otherwise is not touched
OF_THE_FILE = (BadVideo, LimitExceeded)  # errors that another try does not mend


@dataclass(frozen=True)
class Line:
    """A line of the file: where it is, which content was asked about in which way, and how that ended."""

    start: int
    size: int
    sha256: str | None
    asked: Any
    error: VeracityError | None
    code: int

    @classmethod
    def read(cls, start: int, text: bytes) -> tuple[str, Line]:
        """Return the name of the video and its line. Raises ValueError for what is no such line."""
        try:
            found = json.loads(text)
            error = _error(found["error"]) if "error" in found else None
            code = ERROR if error else EXIT_CODES[found["final_verdict"]]
            sha256 = found.get("input", {}).get("sha256")
            return _text(found["file"]), cls(start, len(text), sha256, found.get("asked"), error, code)
        except (KeyError, TypeError, AttributeError, RecursionError) as wrong:
            raise ValueError(f"no result: {wrong!r}") from None

    @property
    def stands(self) -> bool:
        """Whether another try would say the same again."""
        return self.error is None or isinstance(self.error, OF_THE_FILE)


class ResultsFile:
    """The file at ``path``, locked until it is closed. ``names`` are the videos of this run, each once.

    Raises :class:`BadOption` for a file that cannot be written, that another run writes, or that is no file of results.
    """

    def __init__(self, path: str, names: Sequence[str]) -> None:
        self._shown, self._path, self._names = shortened(path), Path(os.path.realpath(path)), names
        self._lines: dict[str, Line] = {}  # in the order of the file
        self._outdated = False  # whether it has lines that do not count
        self._end = 0
        try:
            self._file = _open_locked(self._path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise self._error(_reason(error)) from None
        try:
            self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> ResultsFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with contextlib.closing(self._file):
            if kind is None or kind is KeyboardInterrupt:
                self._put_in_order()

    def kept(self, name: str, sha256: str, asked: Mapping[str, Any]) -> Line | None:
        """Return the line of a video where it holds for this content, asked about in this way."""
        line = self._lines.get(name)
        return line if line and line.stands and (line.sha256, line.asked) == (sha256, asked) else None

    def text(self, line: Line) -> str:
        """Return a line as it was written."""
        return os.pread(self._file.fileno(), line.size, line.start).decode()

    def append(self, text: str) -> None:
        """Write a line, but none that another try may mend over one that stands, and none that is there already.

        Raises :class:`BadOption` where it cannot be written; those before it stay.
        """
        content = text.encode()
        name, line = Line.read(self._end, content)
        before = self._lines.get(name)
        if before and (self.text(before) == text or (before.stands and not line.stands)):
            return
        try:
            _write(self._file, content)
        except OSError as error:
            with contextlib.suppress(OSError):  # else the next run takes it off
                self._file.truncate(self._end)
            raise self._error(f"{_reason(error)}; {self._written()}: give it room and run the command again") from None
        self._add(name, line)

    def _read(self) -> None:
        with self._path.open("rb") as file:
            for number, text in enumerate(iter(file.readline, b""), 1):
                if not text.startswith(BEGIN[: len(text)]):
                    raise self._error(f"line {number} is no result of this command; give another file")
                if not text.endswith(b"\n"):  # the run that wrote it was ended
                    self._truncate()
                    break
                try:
                    self._add(*Line.read(self._end, text))
                except ValueError:
                    raise self._error(f"line {number} is no result of this command; give another file") from None
        self._file.seek(self._end)

    def _add(self, name: str, line: Line) -> None:
        self._outdated |= self._lines.pop(name, None) is not None
        self._lines[name] = line
        self._end += line.size

    def _truncate(self) -> None:
        try:
            self._file.truncate(self._end)
        except OSError as error:
            raise self._error(_reason(error)) from None

    def _put_in_order(self) -> None:
        """Leave one line a video: those of other runs first, then those of this one in its order."""
        wanted = set(self._names)
        given = [name for name in self._names if name in self._lines]
        if not self._outdated and given == [name for name in self._lines if name in wanted]:
            return
        others = [name for name in self._lines if name not in wanted]
        try:
            self._replace([*others, *given])
        except OSError as error:
            raise self._error(
                f"{_reason(error)}; {self._written()}, of several lines of a file the last counts"
            ) from None

    def _replace(self, names: Sequence[str]) -> None:
        number, made = tempfile.mkstemp(prefix=f".{self._path.name[:100]}.", dir=self._path.parent)
        try:
            with FileIO(number, "w") as file:
                _lock(file)  # who opens it under its name finds it locked, until this run lets go of both
                for name in names:
                    _write(file, os.pread(self._file.fileno(), self._lines[name].size, self._lines[name].start))
                os.fchmod(number, stat.S_IMODE(os.fstat(self._file.fileno()).st_mode))
                os.fsync(number)
                Path(made).replace(self._path)
        except BaseException:
            Path(made).unlink(missing_ok=True)
            raise

    def _written(self) -> str:
        return f"the lines of {len(self._lines)} files that are in it stay"

    def _error(self, reason: str) -> BadOption:
        return BadOption(f"--out {self._shown}: {reason}")


def _open_locked(path: Path) -> FileIO:
    """Open a file, made where there is none; raises OSError where that or the lock cannot be had."""
    while True:
        file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
        try:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError("it is no file")
            _lock(file)
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # another run has just replaced it


def _lock(file: FileIO) -> None:
    try:
        import fcntl
    except ModuleNotFoundError:
        raise OSError("this system has no flock(2), which keeps two runs apart") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError("another run writes to it; wait for its end or give another file") from None


def _write(file: FileIO, content: bytes) -> None:
    while content:
        content = content[file.write(content) :]


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError("a name is text")
    return name


def _error(said: Mapping[str, str]) -> VeracityError:
    return BY_NAME.get(said["type"], VeracityError)(said["message"])


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
