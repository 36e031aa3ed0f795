"""What was scored, drawn again and again: each resample is a row of how often each thing was drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from veracity.calibrate.errors import ManifestError

Scores = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]
_RESAMPLES = 1000
_AT_ONCE = 4_000_000  # weights held in memory, 32 MB of them


class Unmeasurable(ManifestError):
    """Nothing can be measured on this: it is empty, of one label alone, or its labels or scores are no such."""


@dataclass(frozen=True)
class Draws:
    """What was scored, in falling order of ``scores`` [n], and how often each was drawn: ``weights`` [draws, n]."""

    labels: Labels
    scores: Scores
    weights: Values

    @cached_property
    def rates(self) -> tuple[Values, Values]:
        """Shares of reals and of fakes that score at least each of the m scores there are, [draws, m + 1], from 0."""
        last = np.append(np.flatnonzero(np.diff(self.scores)), len(self.scores) - 1)
        return self._shares(~self.labels, last), self._shares(self.labels, last)

    def _shares(self, label: Labels, last: npt.NDArray[np.intp]) -> Values:
        counted = np.pad(np.cumsum(self.weights[:, label], axis=1), ((0, 0), (1, 0)))
        return np.asarray(counted[:, np.append(0, np.cumsum(label)[last])] / counted[:, -1:])

    @cached_property
    def reals(self) -> Values:
        """How many reals were drawn, [draws]."""
        return np.asarray(self.weights[:, ~self.labels].sum(axis=1))

    @cached_property
    def fakes(self) -> Values:
        """How many fakes were drawn, [draws]."""
        return np.asarray(self.weights[:, self.labels].sum(axis=1))

    @cached_property
    def alarms(self) -> tuple[Values, Values]:
        """How many of the reals and of the fakes are called fake at P(fake) of one half, [draws] each."""
        called = self.scores >= 0
        return self.weights[:, called & ~self.labels].sum(axis=1), self.weights[:, called & self.labels].sum(axis=1)


def checked(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Labels, Scores]:
    """Labels as bool and scores as float64, [n] each; raises :class:`Unmeasurable`."""
    truth, values = np.asarray(labels), np.asarray(scores, np.float64)
    if not truth.size:
        raise Unmeasurable("nothing was scored: there is nothing to measure")
    if truth.shape != values.shape or truth.ndim != 1:
        raise Unmeasurable(f"labels {truth.shape} and scores {values.shape} do not belong together")
    if not np.isin(truth, (0, 1)).all():
        raise Unmeasurable(f"labels are 0 (real) or 1 (fake), not {sorted(set(truth.tolist()) - {0, 1})[:3]}")
    if np.isnan(values).any():
        raise Unmeasurable(f"{int(np.isnan(values).sum())} of {values.size} scores are no numbers")
    truth = truth.astype(bool)
    if truth.all() or not truth.any():
        raise Unmeasurable(f"all {truth.size} are {'fake' if truth[0] else 'real'}: a measure wants both")
    return truth, values


def whole(labels: Labels, scores: Scores) -> Draws:
    """Everything as it is, each thing once."""
    order = np.argsort(-scores, kind="stable")
    return Draws(labels[order], scores[order], np.ones((1, len(order))))


def resamples(labels: Labels, members: npt.NDArray[np.intp], rng: np.random.Generator) -> Iterator[Values]:
    """Yield how often each of n things is drawn, [some draws, n], until there were enough draws.

    ``members`` [n] numbers the group of each. Groups are drawn whole, and apart by what they hold: fakes alone, reals
    alone, or both; so every draw has both labels.
    """
    groups = members.max() + 1
    fake, real = (np.bincount(members, weights=of, minlength=groups) > 0 for of in (labels, ~labels))
    step = max(1, _AT_ONCE // len(labels))
    for first in range(0, _RESAMPLES, step):
        counts = np.zeros((min(step, _RESAMPLES - first), groups))
        for kind in (fake & ~real, real & ~fake, fake & real):
            if kind.any():
                counts[:, kind] = _counts(int(kind.sum()), len(counts), rng)
        yield counts[:, members]


def _counts(number: int, draws: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """How often each of ``number`` things comes when as many are drawn with replacement, [draws, number]."""
    places = rng.integers(number, size=(draws, number)) + number * np.arange(draws)[:, None]
    return np.bincount(places.ravel(), minlength=number * draws).reshape(draws, number)
