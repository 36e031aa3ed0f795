"""Several layers' probabilities into one: the rules that ``python -m training calibrate`` chooses between.

All of them rise with every layer's probability, leave out what weighs nothing, and know nothing of how a layer came
to its score. Which one is in use, and how it measured against the others, stands in ``calibration.toml``. Where one
layer alone could have looked there is nothing to fuse: what it says is the answer, as it was calibrated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Rule = Literal["mean", "sum", "odds"]
Array = NDArray[np.float64]

SUREST = 1e-4  # a layer's P(fake) has four decimals: none is surer than that


def log_odds(probabilities: NDArray[np.floating[Any]]) -> Array:
    """Return ln(p / (1 - p)) of probabilities of any shape, at most ±9.2; NaN stays NaN."""
    held = np.clip(np.asarray(probabilities, np.float64), SUREST, 1 - SUREST)
    return np.asarray(np.log(held / (1 - held)))


def probability(logits: NDArray[np.floating[Any]]) -> Array:
    """Return P(fake) of log odds of any shape; NaN stays NaN."""
    return np.asarray(1 / (1 + np.exp(-np.clip(np.asarray(logits, np.float64), -50, 50))))


def fused(rule: Rule, scores: Array, weights: Array, strength: float) -> Array:
    """Return P(fake) of n clips, [n], from their layers' P(fake), ``scores`` [n, layers]; NaN where none weighs.

    A layer that did not score is NaN there. ``weights``, [n, layers] or [layers], are 0 for what says nothing and for
    what the file could never have shown: the voice of a silent film. ``strength`` multiplies the log odds at the end:
    it was fitted on films of several layers, and touches no clip that one alone could look at.
    """
    heavy = np.broadcast_to(weights, scores.shape)
    seen = ~np.isnan(scores) & (heavy > 0)
    any_seen = seen.any(axis=1)
    given = np.where(seen, scores, 0.5)
    logits = strength * RULES[rule](given[any_seen], heavy[any_seen], seen[any_seen])
    result = np.full(len(scores), np.nan)
    result[any_seen] = probability(logits)
    alone = seen & ((heavy > 0).sum(axis=1, keepdims=True) == 1)
    result[alone.any(axis=1)] = scores[alone]
    return result


def _mean(scores: Array, weights: Array, seen: NDArray[np.bool_]) -> Array:
    """Log odds of the weighted mean of the probabilities of those that scored."""
    counted = weights * seen
    return log_odds((counted * scores).sum(axis=1) / counted.sum(axis=1))


def _sum(scores: Array, weights: Array, _seen: NDArray[np.bool_]) -> Array:
    """Log odds added up: what independent witnesses say together; who said nothing adds nothing."""
    return np.asarray((weights * log_odds(scores)).sum(axis=1))


def _odds(scores: Array, weights: Array, _seen: NDArray[np.bool_]) -> Array:
    """Log of the mean odds, where who said nothing says one to one: the surest layer counts most.

    Right if a fake shows in one layer alone, in each with a chance of its weight: a dubbed mouth has a real voice.
    What was not looked at holds the answer back from real, and hardly from fake.
    """
    return np.asarray(np.log((weights * np.exp(log_odds(scores))).sum(axis=1) / weights.sum(axis=1)))


RULES: Mapping[Rule, Callable[[Array, Array, NDArray[np.bool_]], Array]] = {"mean": _mean, "sum": _sum, "odds": _odds}
