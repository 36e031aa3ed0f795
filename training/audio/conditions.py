"""Channels that a measurement sends every clip through, so that bandwidth and codec cannot tell the labels apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import signal

from training.audio.coding import through_codec
from training.data import Pcm
from veracity.speech import SAMPLE_RATE

Condition = Callable[[Pcm], Pcm]


def telephone(pcm: Pcm) -> Pcm:
    """300 Hz to 3.4 kHz, as a telephone leaves it."""
    sections = signal.butter(6, (300, 3400), "bandpass", fs=SAMPLE_RATE, output="sos")
    return _int16(signal.sosfiltfilt(sections, pcm.astype(np.float64)))


def noisy(pcm: Pcm) -> Pcm:
    """White noise 15 dB below the clip's mean power."""
    rng = np.random.default_rng(len(pcm))
    level = np.sqrt(np.mean(pcm.astype(np.float64) ** 2)) * 10 ** (-15 / 20)
    return _int16(pcm + level * rng.standard_normal(len(pcm)))


def quiet(pcm: Pcm) -> Pcm:
    """The same 20 dB softer."""
    return _int16(pcm * 0.1)


def gsm(pcm: Pcm) -> Pcm:
    """8 kHz, 13 kbit/s."""
    return through_codec("gsm", pcm)


def opus(pcm: Pcm) -> Pcm:
    """12 kbit/s."""
    return through_codec("opus-12k", pcm)


CONDITIONS: dict[str, Condition] = {effect.__name__: effect for effect in (telephone, noisy, quiet, gsm, opus)}


def _int16(sound: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Pcm:
    return np.clip(np.round(sound), -32_768, 32_767).astype(np.int16)
