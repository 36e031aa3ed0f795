"""Real speech with another voice in it, to measure whether its seconds are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from veracity.catalog.layers import SAMPLE_RATE

PAUSE = 0.3  # seconds between two recordings

Pcm = npt.NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Spliced:
    """Speech, int16 [n] at 16 kHz, and from when to when another voice speaks, in seconds."""

    sound: Pcm
    start: float
    end: float


def splice(pieces: Sequence[Pcm], part: Pcm, seconds: float, where: float = 0.5) -> Spliced:
    """``part`` among the first ``seconds`` of the recordings ``pieces``, two or more, at their level.

    It lies between two recordings; ``where`` is the share of them that is before it.
    """
    pause = np.zeros(round(PAUSE * SAMPLE_RATE), np.int16)
    taken: list[Pcm] = []
    total = 0
    for piece in pieces:
        if len(taken) > 1 and total >= seconds * SAMPLE_RATE:
            break
        taken.append(piece)
        total += len(piece)
    cut = min(max(1, int(len(taken) * where)), len(taken) - 1)
    before, after = (
        np.concatenate([sound for one in of for sound in (one, pause)]) for of in (taken[:cut], taken[cut:])
    )
    level = _loudness(taken) / max(_loudness([part]), 1.0)
    loud = np.clip(part * level, -32_768, 32_767).astype(np.int16)
    start = len(before) / SAMPLE_RATE
    return Spliced(np.concatenate([before, loud, pause, after]), start, start + len(loud) / SAMPLE_RATE)


def _loudness(sounds: Sequence[Pcm]) -> float:
    """Root mean square of all samples; an hour of them is not held as floats at once."""
    power = sum(float(np.sum(np.square(sound, dtype=np.float64))) for sound in sounds)
    return float(np.sqrt(power / max(1, sum(map(len, sounds)))))
