"""Where a video comes from. All kinds of source are one type, which gives one open file and the hash of its bytes."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from veracity.media.below import FILE, FileBelow
from veracity.media.sandbox import Limits
from veracity_client.errors import BadVideo, TooLarge

CHUNK = 1 << 20  # bytes that are hashed and copied at a time


@dataclass
class SourceFile:
    """One open file: its descriptor, its size in bytes and the SHA-256 of its bytes in hexadecimal."""

    descriptor: int
    size: int
    sha256: str

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class Source:
    """A video to be analysed: its bytes, the path of a file, or a file that a caller names. It can be opened once.

    Opening lets go of the bytes, so that one copy of an upload is in memory and not two: hold no reference to them.
    """

    def __init__(self, video: bytes | Path | FileBelow) -> None:
        self._video: bytes | Path | FileBelow | None = video

    def open(self, limits: Limits) -> SourceFile:
        """Open the file and hash it; bytes are copied into an anonymous file in memory on the way.

        This blocks for about a second per GB. Raises :class:`TooLarge` before anything is read, and
        :class:`BadVideo` where the file is empty, cannot be opened or is not a regular file; what
        :meth:`FileBelow.open` raises.
        """
        video, self._video = self._video, None
        if video is None:
            raise RuntimeError("a source can be opened once")
        if isinstance(video, Path):
            return _read(_open_path(video), limits)
        if isinstance(video, FileBelow):
            return _read(video.open(), limits)
        _check_size(len(video), limits.max_bytes, "VERACITY_MAX_BYTES")
        return _copy_to_memory(video)


def _check_size(size: int, most: int, setting: str) -> None:
    if size > most:
        raise TooLarge(f"{size} bytes are more than the {most} that {setting} allows")
    if not size:
        raise BadVideo("the file is empty: was the upload cut short?")


def _copy_to_memory(content: bytes) -> SourceFile:
    digest = hashlib.sha256()
    file = SourceFile(os.memfd_create("media"), len(content), "")
    try:
        left = memoryview(content)
        while len(left):
            written = os.write(file.descriptor, left[:CHUNK])
            digest.update(left[:written])
            left = left[written:]
    except BaseException:
        file.close()
        raise
    file.sha256 = digest.hexdigest()
    return file


def _open_path(path: Path) -> int:
    try:
        return os.open(path, FILE)
    except (OSError, ValueError) as error:
        raise BadVideo(f"the file cannot be opened: {getattr(error, 'strerror', None) or 'not a file name'}") from None


def _read(descriptor: int, limits: Limits) -> SourceFile:
    file = SourceFile(descriptor, 0, "")
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BadVideo("this is a folder, a device or a pipe, not a file")
        _check_size(status.st_size, limits.max_file_bytes, "VERACITY_MAX_FILE_BYTES")
        file.size = status.st_size
        file.sha256 = _hash(descriptor, status.st_size)
    except BaseException:
        file.close()
        raise
    return file


def _hash(descriptor: int, size: int) -> str:
    digest = hashlib.sha256()
    for start in range(0, size, CHUNK):
        digest.update(os.pread(descriptor, CHUNK, start))
    return digest.hexdigest()
