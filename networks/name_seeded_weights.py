"""Random weights seeded by their names, to compare two implementations of a network, or to time it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def array(key: str, shape: Sequence[int], gain: float = 1.0) -> NDArray[Any]:
    """Return the values that stand under ``key``, of float32, or int64 for a counter; ``gain`` scales matrices."""
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    random = np.random.default_rng(zlib.crc32(key.encode()))
    if len(shape) > 1:
        scaled = gain * random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        matrix: NDArray[np.float32] = scaled.astype(np.float32)
        return matrix
    if key.endswith(("weight", "running_var")):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    return (0.1 * random.standard_normal(shape)).astype(np.float32)


def state(keys: Mapping[str, Sequence[int]], gain: float = 1.0) -> dict[str, Tensor]:
    """Return a whole state dict, given the shape of each key."""
    return {key: torch.from_numpy(array(key, tuple(shape), gain)) for key, shape in keys.items()}


def fill(net: nn.Module, gain: float = 1.0) -> None:
    """Replace every weight of ``net`` by the one its name gives."""
    net.load_state_dict(state({key: value.shape for key, value in net.state_dict().items()}, gain), strict=True)
