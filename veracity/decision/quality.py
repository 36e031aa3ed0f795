"""What the quality of a sample explains of a model's logits: it is no evidence, and is taken off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from veracity.evidence.requests import ModelOutput, Sample

Cue = Literal["width", "fineness"]
"""Of a sample: the logarithm, to base 2, of the width in pixels of a face, or of a whole picture; how sharp it is."""


@dataclass(frozen=True)
class QualityTerm:
    """``slope`` of the logit for each unit of a cue over ``middle``; beyond ``low`` and ``high`` nothing was measured.

    A sample without the cue is left as it is, and one beyond the bounds is treated as the bound.
    """

    cue: Cue
    slope: float
    middle: float
    low: float
    high: float

    def explains(self, items: tuple[Sample, ...]) -> NDArray[np.float64]:
        """Return how much of each sample's logit is the cue's, [n]."""
        held = np.clip(values(self.cue, items), self.low, self.high)
        return np.where(np.isnan(held), 0.0, self.slope * (held - self.middle))


def taken_off(terms: Sequence[QualityTerm], output: ModelOutput) -> ModelOutput:
    """Return the output with logits as if every sample had the middle quality."""
    if not terms:
        return output
    explained = sum(term.explains(output.items) for term in terms)
    return replace(output, logits=(output.logits - explained).astype(np.float32))


def values(cue: Cue, items: tuple[Sample, ...]) -> NDArray[np.float64]:
    """Return a cue of each sample, [n]; NaN where a sample has none."""
    if cue == "fineness":
        return np.array([np.nan if item.fineness is None else item.fineness for item in items], np.float64)
    return np.log2(np.array([item.width or np.nan for item in items], np.float64))
