"""Which share of the fakes each layer can see: fitted, and tried on sources and makers that it was not fitted on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from veracity.calibrate import metrics
from veracity.calibrate.fit import Array, Fitted, groups, labels, log_loss, pooled
from veracity.calibrate.labelled_outputs import LabelledClip, able
from veracity.catalog import LAYERS
from veracity.decision.fusion import fused, log_odds

TIGHT = 1.0  # how far the log odds of `sees` and ln(strength) may go for free: a standard deviation, for one clip
COPIES = 7  # of each clip, with layers left out
LEFT_OUT = 0.3  # share of the layers left out in a copy, so that no layer counts on another


@dataclass(frozen=True)
class Table:
    """n clips' P(fake) by layer, [n, layers], NaN where it did not score; ``able`` where the file has its track.

    ``groups`` [n] numbers what is held out together.
    """

    scores: Array
    able: npt.NDArray[np.bool_]
    fakes: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.intp]

    def of(self, chosen: npt.NDArray[np.bool_]) -> Table:
        """Return some of the clips."""
        return Table(self.scores[chosen], self.able[chosen], self.fakes[chosen], self.groups[chosen])

    def with_layers_left_out(self) -> Table:
        """Return the clips, and copies of them in which some layers did not score; the same in every run."""
        rng = np.random.default_rng(0)
        gone = rng.random((COPIES, *self.scores.shape)) < LEFT_OUT
        copies = np.concatenate([self.scores, *np.where(gone, np.nan, self.scores)])
        kept = ~np.isnan(copies).all(axis=1)
        again = [np.concatenate([array] * (1 + COPIES))[kept] for array in (self.able, self.fakes, self.groups)]
        return Table(copies[kept], *again)


@dataclass(frozen=True)
class Fit:
    """The fitted numbers, as in :mod:`veracity.decision.fusion`; ``sees`` [layers]."""

    sees: Array
    strength: float

    def __call__(self, table: Table) -> Array:
        """P(fake) of each clip, NaN where no layer that sees something scored."""
        return fused(table.scores, self.sees, self.strength)


@dataclass(frozen=True)
class Candidate:
    """A fit on everything, and what it gave each clip when fitted without that clip's group."""

    fit: Fit
    held_out: Array
    log_loss: float
    auc: metrics.Estimate
    ece: float


def table(rows: Sequence[LabelledClip], models: Mapping[str, Sequence[str]], fits: Mapping[str, Fitted]) -> Table:
    """Lay out what the ``models`` of each layer say of the clips; a model without a fit says nothing.

    A clip that its model was fitted on gets what the fit without its group gave it. Of a layer's several models the
    mean counts, silent ones left out, as in the verdict.
    """
    scores = np.full((len(rows), len(LAYERS)), np.nan)
    for column, layer in enumerate(LAYERS):
        fitted = [fits[model] for model in models[layer.name] if model in fits]
        heard = [one for one in fitted if not one.calibrator.uninformative] or fitted
        if heard:
            each = np.array([_said(rows, one) for one in heard])
            there = ~np.isnan(each)
            total = np.where(there, each, 0.0).sum(axis=0)
            scores[:, column] = np.where(there.any(axis=0), total / np.maximum(there.sum(axis=0), 1), np.nan)
    can = np.array([able(row) for row in rows]).reshape(-1, len(LAYERS))
    return Table(scores, can, labels(rows), groups(rows))


def _said(rows: Sequence[LabelledClip], fitted: Fitted) -> Array:
    """What one model says of each clip, NaN where it was not asked."""
    known = dict(zip((row.id for row in fitted.rows), fitted.held_out))
    said = np.full(len(rows), np.nan)
    for k, row in enumerate(rows):
        if fitted.model in row.outputs:
            own = known.get(row.id)
            said[k] = pooled([row], fitted.model, fitted.calibrator)[0] if own is None else own
    return said


def fit(data: Table, informative: npt.NDArray[np.bool_]) -> Fit:
    """The likeliest shares and strength at even odds, layers left out at random; 0 for what is not ``informative``.

    A layer that is the only one sees all that the file can show.
    """
    counted = np.flatnonzero(informative & ~np.isnan(data.scores).all(axis=0))
    sees = np.zeros(len(informative))
    if len(counted) < 2:
        sees[counted] = 1.0
        return Fit(sees, 1.0)
    every = data.with_layers_left_out()

    def made(theta: Array) -> Fit:
        sees[counted] = expit(theta[1:])
        return Fit(sees.copy(), math.exp(theta[0]))

    def loss(theta: Array) -> float:
        probabilities = np.nan_to_num(made(theta)(every), nan=0.5)
        return log_loss(every.fakes, probabilities) + float(theta @ theta) / (2 * TIGHT**2 * len(data.fakes))

    bounds = [(-3.0, 0.0), *[(-5.0, 5.0)] * len(counted)]
    return made(minimize(loss, np.zeros(1 + len(counted)), method="L-BFGS-B", bounds=bounds).x)


def held_out(data: Table, fitted: Callable[[Table], Callable[[Table], Array]]) -> Array:
    """P(fake) of each clip by what was ``fitted`` to all other groups; what no layer scored counts as 0.5."""
    result = np.full(len(data.fakes), 0.5)
    for group in np.unique(data.groups):
        own = data.groups == group
        others = data.of(~own)
        if len(set(others.fakes.tolist())) == 2:
            result[own] = np.nan_to_num(fitted(others)(data.of(own)), nan=0.5)
    return result


def candidate(data: Table, informative: npt.NDArray[np.bool_]) -> Candidate:
    """Fit, and measure on groups that it was not fitted on."""
    apart = held_out(data, lambda others: fit(others, informative))
    logits = log_odds(apart)
    return Candidate(
        fit=fit(data, informative),
        held_out=apart,
        log_loss=log_loss(data.fakes, apart),
        auc=metrics.interval(metrics.auc, data.fakes, logits),
        ece=metrics.MEASURES["ece_even"](data.fakes, logits),
    )
