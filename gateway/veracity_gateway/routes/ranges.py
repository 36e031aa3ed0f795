"""``Range`` of a request."""

from __future__ import annotations

import re

from veracity_gateway.errors import RangeNotSatisfiable


def wanted_range(header: str | None, size: int) -> tuple[int, int]:
    """Return the first byte and the one after the last; the whole file where nothing, or several ranges, are asked.

    Raises :class:`RangeNotSatisfiable`.
    """
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header or "")
    if not found or found.group(1) == found.group(2) == "":
        return 0, size
    if found[1]:
        start, end = int(found[1]), min(int(found[2] or size), size - 1) + 1
    else:
        start, end = max(0, size - int(found[2])), size
    if start >= min(end, size):
        raise RangeNotSatisfiable(size)
    return start, end
