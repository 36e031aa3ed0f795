"""What an answer is worth when not every clip is answered: risk against coverage, and verdicts settled early."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from veracity.calibrate import metrics
from veracity.calibrate.metrics import Unmeasurable
from veracity.calibrate.risk_coverage import AURC, risk_coverage

__all__ = ["AURC", "fail_fast", "risk_coverage"]


def fail_fast(labels: npt.ArrayLike, probability: npt.ArrayLike, threshold: float) -> dict[str, Any]:
    """How many verdicts the first layer settles alone, and how many of those are wrong, as JSON types.

    ``labels`` [n] are 1 for fake, ``probability`` [n] is the first layer's P(fake), NaN where it has no score. A clip
    at or over ``threshold`` is called fake at once. ``settled`` is the share of all clips, ``wrong`` the share of reals
    among those settled, None where there is none; both with Wilson's 95 % interval. Raises :class:`Unmeasurable`
    where there is no clip.
    """
    truth, given = np.asarray(labels, bool), np.asarray(probability, np.float64)
    if truth.shape != given.shape:
        raise Unmeasurable(f"labels {truth.shape} and probabilities {given.shape} do not belong together")
    early = given >= threshold
    return {
        "threshold": threshold,
        "clips": int(early.sum()),
        "settled": metrics.share(early).to_dict(),
        "wrong": metrics.share(~truth[early]).to_dict() if early.any() else None,
    }
