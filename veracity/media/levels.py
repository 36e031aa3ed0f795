"""How loud each channel of a track is, and how alike two of them are: what a mix would hide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from veracity.media.sandbox import DecoderProcess

BLOCK_SAMPLES = 1 << 16  # of each channel, read at once
BLOCK_VALUES = 1 << 19  # of all channels, 8 bytes each: less is read at once of over eight channels


@dataclass(frozen=True, eq=False)
class Levels:
    """``products`` [channels, channels] are mean products of samples, -1 to 1: the diagonal is each channel's power."""

    products: NDArray[np.float64]

    @property
    def power(self) -> NDArray[np.float64]:
        """Mean square of each channel, [channels]."""
        return np.diag(self.products)

    @property
    def mix_power(self) -> float:
        """Mean square of the mean of all channels."""
        return float(self.products.mean())

    def correlation(self, a: int, b: int) -> float:
        """Return how alike two channels are, -1 to 1; 1 where one of them is silent."""
        scale = float(np.sqrt(self.power[a] * self.power[b]))
        return float(self.products[a, b]) / scale if scale > 0 else 1.0


async def measure_levels(child: DecoderProcess, channels: int) -> Levels:
    """Read interleaved s16le to its end, a block at a time."""
    products, count = np.zeros((channels, channels)), 0
    block = np.empty((min(BLOCK_SAMPLES, BLOCK_VALUES // channels), channels), np.int16)
    while filled := await child.fill(block.data.cast("B")):
        samples = block[: filled // (2 * channels)] / 32_768.0
        products += samples.T @ samples
        count += len(samples)
    return Levels(products / max(1, count))
