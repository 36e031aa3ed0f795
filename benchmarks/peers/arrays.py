"""Batches of named arrays: taken apart, put together, and as the bytes that go over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

Arrays = Mapping[str, NDArray[Any]]  # by name, each [batch, …]


def items(batch: Arrays) -> list[Arrays]:
    """Return a batch as batches of one."""
    count = len(next(iter(batch.values())))
    return [{name: array[k : k + 1] for name, array in batch.items()} for k in range(count)]


def joined(batches: Sequence[Arrays]) -> Arrays:
    """Return batches as one."""
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def packed(arrays: Arrays) -> bytes:
    """Return arrays as safetensors keeps them: their bytes as they are, behind a header."""
    return bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def unpacked(content: bytes) -> Arrays:
    """Return the arrays that were packed."""
    return dict(load(content))
