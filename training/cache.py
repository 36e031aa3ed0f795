"""Model inputs extracted once, by the engine's own code, and cached on disk for all training tasks."""

from __future__ import annotations

import csv
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

from evaluation.manifest import Clip
from veracity.calibrate.errors import ManifestError
from veracity.install.files import atomic
from veracity_client.errors import VeracityError

log = logging.getLogger(__name__)

Arrays = Mapping[str, npt.NDArray[Any]]
Extracted = TypeVar("Extracted")


class UnusableClip(ValueError):
    """A clip that holds nothing to train on; the message says why."""


class DiskFull(OSError):
    """The disk is full; complete files are kept."""


@dataclass(frozen=True)
class Extractor(Generic[Extracted]):
    """One kind of extraction: ``extract`` makes a clip's arrays, ``read`` the task's view of them.

    ``version`` must change whenever the files would: it holds the extracting code and its constants.
    """

    name: str
    version: str
    extract: Callable[[Clip], Arrays]
    read: Callable[[Clip, Arrays], Extracted]

    def folder(self, cache: Path) -> Path:
        """Where this version's files lie."""
        return cache / f"{self.name}-{hashlib.sha256(self.version.encode()).hexdigest()[:12]}"


def collect(clips: Sequence[Clip], cache: Path, extractor: Extractor[Extracted]) -> tuple[list[Extracted], list[str]]:
    """The extracted inputs of each clip, from ``cache`` where they are there; and a line on each unusable file.

    Resumable: a clip's file appears when it is complete. Raises DiskFull.
    """
    found, bad = [], []
    for clip in tqdm(clips, extractor.name, disable=None):
        try:
            found.append(extractor.read(clip, _arrays(clip, extractor.folder(cache), extractor.extract)))
        except (VeracityError, UnusableClip, ManifestError) as error:
            bad.append(f"{clip.id}: {error}")
    return found, bad


def _arrays(clip: Clip, folder: Path, extract: Callable[[Clip], Arrays]) -> Arrays:
    path = folder / f"{hashlib.sha256(str(clip.path).encode()).hexdigest()[:8]}-{clip.path.name}.npz"
    if not path.is_file():
        if not clip.path.stat().st_size:
            raise UnusableClip("the file is empty")
        keep(path, extract(clip))
    with np.load(path) as file:
        return dict(file)


def keep(path: Path, arrays: Arrays) -> None:
    """Writes a file of arrays atomically, also beside concurrent writers of the same file; raises DiskFull."""
    content = io.BytesIO()  # in memory first: numpy prints a second traceback when a full disk cuts a zip short
    np.savez(content, **arrays)
    with room_for(path), atomic(path) as file:
        file.write(content.getbuffer())


def list_made(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Writes the manifest of files that were made, a row each, all with the same columns; raises DiskFull."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    with room_for(path), atomic(path) as file:
        file.write(text.getvalue().encode())


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Raises DiskFull where writing ``path`` fails for lack of space."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"no space left for {path}; complete files are kept: free some space and run the command again"
            ) from error
        raise


@contextmanager
def log_skipped(bad: Sequence[str]) -> Iterator[None]:
    """Logs at the end of a training task, successful or not, which files were skipped."""
    try:
        yield
    finally:
        for line in report(bad):
            log.warning(line)


def report(bad: Sequence[str]) -> Iterator[str]:
    """Lines on the skipped files and the reasons."""
    if bad:
        yield "1 file was skipped:" if len(bad) == 1 else f"{len(bad)} files were skipped:"
        yield from (f"  {line}" for line in bad)
