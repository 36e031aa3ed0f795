"""Media cut once, by the engine's own code, and kept: `python -m training extract` and every lesson go through here."""

from __future__ import annotations

import errno
import hashlib
import io
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from evaluation.manifest import Clip, ManifestError
from veracity.install.files import atomic
from veracity_client.errors import VeracityError

log = logging.getLogger(__name__)

Arrays = Mapping[str, npt.NDArray[Any]]
Cut = TypeVar("Cut")


class Unusable(ValueError):
    """A clip that has nothing to learn from; the message says why."""


class FullDisk(OSError):
    """The disk is full; what was complete is kept."""


@dataclass(frozen=True)
class Cutter(Generic[Cut]):
    """One way of cutting: ``cut`` makes a clip's arrays, ``read`` what lessons want of them.

    ``version`` is whatever must change the files when it changes: the code and the numbers that cut.
    """

    name: str
    version: str
    cut: Callable[[Clip], Arrays]
    read: Callable[[Clip, Arrays], Cut]

    def folder(self, cache: Path) -> Path:
        """Where this version's files lie."""
        return cache / f"{self.name}-{hashlib.sha256(self.version.encode()).hexdigest()[:12]}"


def collect(clips: Sequence[Clip], cache: Path, cutter: Cutter[Cut]) -> tuple[list[Cut], list[str]]:
    """What was cut of each clip, from ``cache`` where it is there; and a line on each file that cannot be used.

    Stopped midway it goes on where it was: a clip's file appears when it is complete. Raises FullDisk.
    """
    found, bad = [], []
    for clip in tqdm(clips, cutter.name, disable=None):
        try:
            found.append(cutter.read(clip, _arrays(clip, cutter.folder(cache), cutter.cut)))
        except (VeracityError, Unusable, ManifestError) as error:
            bad.append(f"{clip.id}: {error}")
    return found, bad


def _arrays(clip: Clip, folder: Path, cut: Callable[[Clip], Arrays]) -> Arrays:
    path = folder / f"{hashlib.sha256(str(clip.path).encode()).hexdigest()[:8]}-{clip.path.name}.npz"
    if not path.is_file():
        if not clip.path.stat().st_size:
            raise Unusable("the file is empty")
        keep(path, cut(clip))
    with np.load(path) as file:
        return dict(file)


def keep(path: Path, arrays: Arrays) -> None:
    """Writes a file of arrays, whole or not at all, whoever else writes the same; raises FullDisk."""
    content = io.BytesIO()  # a zip that a full disk breaks off says so twice, the second time in a traceback
    np.savez(content, **arrays)
    with room_for(path), atomic(path) as file:
        file.write(content.getbuffer())


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Around whatever writes ``path``: raises FullDisk where the disk is."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FullDisk(f"no room left for {path}; what was there is kept: make room and go on") from error
        raise


@contextmanager
def listing(bad: Sequence[str]) -> Iterator[None]:
    """Around a lesson: when it ends, well or not, the log says which files were left out of it."""
    try:
        yield
    finally:
        for line in report(bad):
            log.warning(line)


def report(bad: Sequence[str]) -> Iterator[str]:
    """The lines that close a run: which files were left out, and why."""
    if bad:
        yield "1 file was left out:" if len(bad) == 1 else f"{len(bad)} files were left out:"
        yield from (f"  {line}" for line in bad)
