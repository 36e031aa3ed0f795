"""A picture of sound: the log-mel spectrogram of all of it, however long, at a bounded cost."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from veracity.catalog.layers import SAMPLE_RATE

PIECE = 1024  # samples that a spectrum is of: 64 ms
HOP = SAMPLE_RATE // 100  # samples from one column to the next of short sound: 10 ms
COLUMNS = 1200  # at most: 12 s of 10 ms each; of longer sound a column is the mean of more time
SPECTRA = 8  # of a column at most, spread evenly over its time
BANDS = 128
DEPTH = 80.0  # dB under the loudest that are black
LEVELS = 32  # of grey, 2.5 dB each: what a PNG packs well


def log_mel(sound: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return the spectrogram of int16 [samples] at 16 kHz as grey uint8 [BANDS, columns], low frequencies below."""
    columns = int(np.clip(len(sound) // HOP, 1, COLUMNS))
    spectra = min(SPECTRA, max(1, len(sound) // (columns * HOP)))
    starts = np.linspace(0, max(0, len(sound) - PIECE), columns * spectra).astype(np.intp).reshape(columns, spectra)
    padded = np.pad(sound, (0, max(0, PIECE - len(sound))))
    window, bands = np.hanning(PIECE).astype(np.float32), _mel_bands()
    power = np.stack([bands @ _power(padded, own, window) for own in starts], axis=1)
    decibels = 10 * np.log10(np.maximum(power, 1e-10))
    share = np.clip(1 + (decibels - decibels.max()) / DEPTH, 0, 1)
    return np.asarray(np.round(share * (LEVELS - 1)) * (255 / (LEVELS - 1)), np.uint8)[::-1]


def _power(sound: NDArray[np.int16], starts: NDArray[np.intp], window: NDArray[np.float32]) -> NDArray[Any]:
    """Return the mean power spectrum of the pieces that begin at ``starts``: [PIECE / 2 + 1]."""
    pieces = sound[starts[:, None] + np.arange(PIECE)] * window
    return np.asarray((np.abs(np.fft.rfft(pieces, axis=1)) ** 2).mean(axis=0))


def _mel_bands() -> NDArray[np.float64]:
    """Return triangles of equal width on the mel scale, from 0 Hz to the top: [BANDS, PIECE / 2 + 1]."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(PIECE, 1 / SAMPLE_RATE)
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    return np.asarray(np.maximum(0, np.minimum(rise, fall)))
