"""What the boxes of an mp4 say that ffmpeg does not: whether it is encrypted, and whether its index is there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

PROTECTION = re.compile(rb"schm\0{4}(?:cenc|cens|cbc1|cbcs|piff)")  # an mp4's scheme box, ISO/IEC 23001-7
BOXES = 10_000  # at the top of an mp4 that are read to find its index
INDEX_BYTES = 64 << 20  # of the index that are searched; an hour takes about 2 MB


def is_protected(file: int) -> bool:
    """Return whether an open mp4 is encrypted the way DRM systems do it; decoders make noise of it."""
    index = next(((at, length) for kind, at, length in _top_boxes(file) if kind == b"moov"), None)
    return index is not None and PROTECTION.search(os.pread(file, min(index[1], INDEX_BYTES), index[0])) is not None


def has_index(file: int) -> bool:
    """Return whether an open mp4 has the box without which nothing of it can be read."""
    return any(kind in (b"moov", b"moof", b"meta") for kind, _, _ in _top_boxes(file))


def _top_boxes(file: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, offset and length in bytes of each box at the top."""
    at, size = 0, os.fstat(file).st_size
    for _ in range(BOXES):
        head = os.pread(file, 16, at)
        if len(head) < 8 or not head[4:8].isalnum():
            return
        length = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4], "big")
        length = length or size - at  # 0: to the end of the file
        yield head[4:8], at, length
        at += length
        if length < 8 or at >= size:
            return
