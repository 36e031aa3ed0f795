"""Risk against coverage: what an answer is worth when not every clip is answered."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from veracity.calibrate.bootstrap import Draws, Values, checked, whole
from veracity.calibrate.metrics import Measure


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
