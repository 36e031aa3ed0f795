"""A stretch of a clip with a score, of which a verdict and its explanation are made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """One stretch of the clip and its score."""

    start: float
    end: float
    score: float
