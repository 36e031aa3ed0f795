"""Several layers' probabilities into one, by what each layer can see.

A layer's calibrated P(fake) holds for the fakes that leave traces where it looks. Of all fakes only a share ``sees``
does: a dubbed mouth leaves none in the voice. So a layer's likelihood ratio r becomes 1 - sees + sees · r, which may
be as high as r and is never lower than 1 - sees: who sees little cannot hold back who sees much. The layers' ratios are
multiplied. One that did not look multiplies by one, and what was not looked at counts as evidence missing, not as real.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EVEN = 0.5  # P(fake) that says nothing
SUREST = 1e-4  # a layer's P(fake) has four decimals: none is surer than that


def log_odds(probabilities: NDArray[np.floating[Any]]) -> Array:
    """Return ln(p / (1 - p)) of probabilities of any shape, at most ±9.2; NaN stays NaN."""
    held = np.clip(np.asarray(probabilities, np.float64), SUREST, 1 - SUREST)
    return np.asarray(np.log(held / (1 - held)))


def probability(logits: NDArray[np.floating[Any]]) -> Array:
    """Return P(fake) of log odds of any shape; NaN stays NaN."""
    return np.asarray(1 / (1 + np.exp(-np.clip(np.asarray(logits, np.float64), -50, 50))))


def fused(scores: Array, sees: Array, strength: float = 1.0) -> Array:
    """Return P(fake) of n clips, [n], from their layers' P(fake), ``scores`` [n, layers]; NaN where none counts.

    A layer that did not score is NaN there. ``sees``, [n, layers] or [layers], is 0 for what says nothing. ``strength``
    multiplies the log odds at the end: under 1 where the layers repeat each other.
    """
    share = np.broadcast_to(sees, scores.shape)
    counted = ~np.isnan(scores) & (share > 0)
    ratios = np.exp(log_odds(np.where(counted, scores, 0.5)))
    said = np.where(counted, np.log1p(share * (ratios - 1)), 0.0)
    return np.where(counted.any(axis=1), probability(strength * said.sum(axis=1)), np.nan)


def needed(sees: float, strength: float, wanted: float) -> float:
    """Return the P(fake) that one layer must say so that the fused one is ``wanted``, by itself; 1 where none does."""
    if not sees or not strength or not 0 < wanted < 1:
        return 1.0
    ratio = 1 + ((wanted / (1 - wanted)) ** (1 / strength) - 1) / sees
    return ratio / (1 + ratio) if ratio > 0 else 0.0
