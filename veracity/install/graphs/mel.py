"""The first step of networks that look at a mel spectrogram, as matrices. Needs no torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from veracity.catalog.layers import SAMPLE_RATE

Matrix = npt.NDArray[np.float64]


def mel_filters(bands: int = 80, size: int = 512, rate: int = SAMPLE_RATE) -> Matrix:
    """Return triangles [bands, size / 2 + 1] over the bins of a Fourier transform, each of area 1 in Hz.

    Their corners are evenly spread on Slaney's mel scale from 0 to half the rate: linear up to 1 kHz, 15 mel, then 27
    to a factor of 6.4. The same as librosa's ``filters.mel``.
    """
    top = 15 + 27 * np.log(rate / 2 / 1000) / np.log(6.4)
    mel = np.linspace(0, top, bands + 2)
    corners = np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    bins = np.linspace(0, rate / 2, size // 2 + 1)
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    triangles: Matrix = np.minimum(rising, falling).clip(min=0) * 2 / (high - low)
    return triangles


def fourier(size: int, window: Matrix) -> Matrix:
    """Cosines, then negative sines, of a Fourier transform under a window [size]: [size + 2, size]."""
    angle = 2 * np.pi * np.outer(np.arange(size // 2 + 1), np.arange(size)) / size
    return np.concatenate([np.cos(angle) * window, -np.sin(angle) * window])
