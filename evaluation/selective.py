"""What an answer is worth when not every clip is answered: risk against coverage, and verdicts settled early."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from veracity.calibrate import metrics
from veracity.calibrate.bootstrap import Draws, Values, checked, whole
from veracity.calibrate.metrics import Measure, Unmeasurable


def risk_coverage(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Values, Values]:
    """Coverage [m], rising to 1, and the risk [m] there, of labels and log odds of fake [n] each.

    The surest clips, those farthest from even odds, are answered first: coverage is their share, risk the share of
    wrong ones among them. Clips that are equally sure are answered together. Source: Geifman and El-Yaniv, "Selective
    Classification for Deep Neural Networks", 2017. Raises :class:`Unmeasurable`.
    """
    coverage, risk = _curve(whole(*checked(labels, scores)))
    return coverage[0], risk[0]


def _curve(draws: Draws) -> tuple[Values, Values]:
    sure = np.abs(draws.scores)
    order = np.argsort(-sure, kind="stable")
    last = np.append(np.flatnonzero(np.diff(sure[order])), len(order) - 1)
    drawn = draws.weights[:, order]
    wrong = drawn * ((draws.scores >= 0) != draws.labels)[order]
    answered, errors = (np.cumsum(of, axis=1)[:, last] for of in (drawn, wrong))
    risk = np.divide(errors, answered, out=np.zeros_like(errors), where=answered > 0)
    return np.asarray(answered / answered[:, -1:]), risk


def _aurc(draws: Draws) -> Values:
    coverage, risk = _curve(draws)
    return np.asarray((np.diff(coverage, axis=1, prepend=0) * risk).sum(axis=1))


AURC: dict[str, Measure] = {
    "aurc": Measure(
        _aurc, "mean share of wrong answers over all shares of clips answered, the surest first", more_is_better=False
    )
}


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
