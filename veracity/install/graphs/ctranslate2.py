"""Reads the weights of a CTranslate2 model file: numbers under names, and nothing else of it. Needs no torch.

The layout, little-endian, of version 6: the version, the name and the revision of the model's kind, how many
variables there are; of each its name, dimensions, type and bytes; then names that stand for other variables, which
nobody here asks for. A string is its length with a zero at its end, then itself.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from veracity.install.graphs.publish import ExportError

VERSION = 6
_TYPES = ("<f4", "<i1", "<i2", "<i4", "<f2")

Variables = dict[str, npt.NDArray[Any]]


def read(path: Path) -> Variables:
    """The variables of a file, by their names; raises ExportError for one that is none, or not whole."""
    try:
        return _variables(_Reader(path.read_bytes()))
    except FileNotFoundError as error:
        raise ExportError(f"no encoder at {path}: fetch it with `veracity weights fetch`") from error
    except (struct.error, ValueError, IndexError) as error:
        raise ExportError(f"{path} is no CTranslate2 model, or is not whole: {error}") from error


class _Reader:
    """Goes through bytes from the front."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self, form: str) -> int:
        """One unsigned number: B of one byte, H of two, I of four."""
        (value,) = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(form)
        return int(value)

    def take(self, count: int) -> bytes:
        """So many bytes; raises ValueError where there are fewer."""
        self._at += count
        if self._at > len(self._data):
            raise ValueError(f"it ends {self._at - len(self._data)} bytes too early")
        return self._data[self._at - count : self._at]

    def text(self) -> str:
        """A string."""
        return self.take(self.number("H"))[:-1].decode()


def _variables(reader: _Reader) -> Variables:
    if (version := reader.number("I")) != VERSION:
        raise ValueError(f"its version is {version}, and {VERSION} is known")
    reader.text(), reader.number("I")
    return dict(_variable(reader) for _ in range(reader.number("I")))


def _variable(reader: _Reader) -> tuple[str, npt.NDArray[Any]]:
    name = reader.text()
    shape = [reader.number("I") for _ in range(reader.number("B"))]
    kind = _TYPES[reader.number("B")]
    return name, np.frombuffer(reader.take(reader.number("I")), kind).reshape(shape)
