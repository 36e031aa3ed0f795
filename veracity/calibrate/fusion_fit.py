"""Which rule of fusion, with which weights: tried on sources that the weights were not fitted on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from veracity.calibrate import metrics
from veracity.calibrate.fit import Array, Fitted, labels, log_loss, pooled
from veracity.calibrate.labelled_outputs import LabelledClip, able
from veracity.catalog import LAYERS
from veracity.decision.fusion import RULES, Rule, fused, log_odds

TIGHT = 0.5  # how far ln(weight) and ln(strength) may go for free: a standard deviation, as a clip's weight sees it


@dataclass(frozen=True)
class Table:
    """n clips' P(fake) by layer, [n, layers], NaN where it did not score; ``able`` where the file has its track."""

    scores: Array
    able: npt.NDArray[np.bool_]
    fakes: npt.NDArray[np.bool_]
    sources: npt.NDArray[np.str_]

    def of(self, chosen: npt.NDArray[np.bool_]) -> Table:
        """Return some of the clips."""
        return Table(self.scores[chosen], self.able[chosen], self.fakes[chosen], self.sources[chosen])


@dataclass(frozen=True)
class Fusion:
    """A rule with its fitted numbers; ``weights`` [layers] sum to 1."""

    rule: Rule
    weights: Array
    strength: float

    def __call__(self, table: Table) -> Array:
        """P(fake) of each clip, NaN where no layer with weight scored."""
        return fused(self.rule, table.scores, self.weights * table.able, self.strength)


@dataclass(frozen=True)
class Candidate:
    """A rule, fitted on everything, and what it gave each clip when fitted without that clip's source."""

    fusion: Fusion
    held_out: Array
    log_loss: float
    auc: metrics.Estimate
    ece: float


def table(
    rows: Sequence[LabelledClip], models: Mapping[str, str], fits: Mapping[str, Fitted], *, apart: bool = True
) -> Table:
    """Lay out what the layers' ``models`` (layer → model) say of the clips; a model without a fit says nothing.

    ``apart``: a clip that its model was fitted on gets what the fit without its source gave it.
    """
    scores = np.full((len(rows), len(LAYERS)), np.nan)
    for column, layer in enumerate(LAYERS):
        fitted = fits.get(models[layer.name])
        if fitted is None:
            continue
        known = dict(zip((row.id for row in fitted.rows), fitted.held_out)) if apart else {}
        for k, row in enumerate(rows):
            if fitted.model in row.outputs:
                own = known.get(row.id)
                scores[k, column] = pooled([row], fitted.model, fitted.calibrator)[0] if own is None else own
    sources = np.array([row.source for row in rows])
    return Table(scores, np.array([able(row) for row in rows]).reshape(-1, len(LAYERS)), labels(rows), sources)


def fit(rule: Rule, data: Table, prior: Array) -> Fusion:
    """The likeliest weights and strength at even odds, held to ``prior`` [layers], where 0 stays 0, and to strength 1.

    A sum starts with every layer counted once: so independent witnesses would be.
    """
    counted = np.flatnonzero(prior)
    base = float(len(counted)) if rule == "sum" else 1.0

    def made(theta: Array) -> Fusion:
        weights = np.zeros(len(prior))
        weights[counted] = prior[counted] * np.exp(theta[1:])
        return Fusion(rule, weights / weights.sum(), base * math.exp(theta[0]))

    def loss(theta: Array) -> float:
        probabilities = np.nan_to_num(made(theta)(data), nan=0.5)
        return log_loss(data.fakes, probabilities) + float(theta @ theta) / (2 * TIGHT**2 * len(data.fakes))

    bounds = [(-3.0, 3.0)] * (1 + len(counted))
    return made(minimize(loss, np.zeros(1 + len(counted)), method="L-BFGS-B", bounds=bounds).x)


def held_out(rule: Rule, data: Table, prior: Array) -> Array:
    """P(fake) of each clip by weights fitted on all other sources; by the prior's where those have one class alone."""
    result = np.full(len(data.fakes), np.nan)
    for source in np.unique(data.sources):
        own = data.sources == source
        others = data.of(~own)
        result[own] = fit(rule, others, prior)(data.of(own)) if len(set(others.fakes.tolist())) == 2 else 0.5
    return result


def candidate(rule: Rule, data: Table, prior: Array) -> Candidate:
    """Fit a rule, and measure it on sources that it was not fitted on; what no layer scored counts as 0.5."""
    apart = np.nan_to_num(held_out(rule, data, prior), nan=0.5)
    logits = log_odds(apart)
    return Candidate(
        fusion=fit(rule, data, prior),
        held_out=apart,
        log_loss=log_loss(data.fakes, apart),
        auc=metrics.interval(metrics.auc, data.fakes, logits),
        ece=metrics.MEASURES["ece_even"](data.fakes, logits),
    )


def candidates(data: Table, prior: Array) -> list[Candidate]:
    """All rules, the one with the least log loss first."""
    return sorted((candidate(rule, data, prior) for rule in RULES), key=lambda tried: tried.log_loss)


def fail_fast_threshold_of(fusion: Fusion, fake: float, least: float) -> float:
    """P(fake) of the voice, at least ``least``, from which on it makes a film ``fake``, whatever is not looked at.

    Infinite where it never does.
    """
    heard = np.arange(round(least * 1e4), 10_000) / 1e4
    scores = np.full((len(heard), len(LAYERS)), np.nan)
    scores[:, 0] = heard
    enough = fused(fusion.rule, scores, fusion.weights, fusion.strength) >= fake
    return float(heard[np.argmax(enough)]) if enough.any() else math.inf
