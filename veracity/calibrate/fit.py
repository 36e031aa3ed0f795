"""One model's temperature, bias and quality term, with its pooling in the loop, and whether it separates at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from veracity.calibrate import metrics
from veracity.calibrate.labelled_outputs import LabelledClip
from veracity.calibrate.operating_points import RATE, Judged, bounds
from veracity.decision.calibration import Calibration, Calibrator
from veracity.decision.fusion import log_odds
from veracity.decision.quality import Cue, QualityTerm, values
from veracity.evidence import pooling
from veracity.evidence.detector import detector
from veracity_client.verdict import Thresholds

Array = npt.NDArray[np.float64]
SILENCE = Calibrator(math.inf, 0.0)
# pools of logits, which no temperature reorders: once a clip is enough
_CALIBRATED_LAST = (pooling.mean_logit, pooling.mean_logit_by_seconds, pooling.worst_face)
_HELD = 1e-6  # no clip is surer than that to the fit
FEWEST = 50  # clips that have others of their source and label beside them, for a quality term
CUES: tuple[Cue, ...] = get_args(Cue)


@dataclass(frozen=True)
class Fitted:
    """One model's calibration and how it measured on clips whose sources the fit had not seen.

    ``gain`` is how much less than a coin's its log loss is there, in nats; ``bounds`` hold at the stated rate.
    """

    model: str
    calibrator: Calibrator
    rows: tuple[LabelledClip, ...]
    held_out: Array
    auc: metrics.Estimate
    ece: float
    gain: float
    thresholds: Thresholds

    @property
    def fakes(self) -> npt.NDArray[np.bool_]:
        """Which of the rows are fake."""
        return labels(self.rows)


def labels(rows: Sequence[LabelledClip]) -> npt.NDArray[np.bool_]:
    """Which rows are fake."""
    return np.array([row.fake for row in rows], bool)


class _Raw(Calibrator):
    """Leaves logits as they are."""

    def __call__(self, logits: npt.NDArray[np.floating[Any]]) -> Array:
        return np.asarray(logits, np.float64)


def pooler(rows: Sequence[LabelledClip], model: str, term: QualityTerm | None = None) -> Callable[[Calibrator], Array]:
    """P(fake) of each clip under any temperature and bias, what ``term`` explains taken off, as the verdict has it."""
    alike = Calibrator(quality=term).of_quality_alike
    pool, answers = detector(model).pool, [alike(row.outputs[model]) for row in rows]
    if pool in _CALIBRATED_LAST:
        logits = np.array([pool(answer, _Raw()) for answer in answers], np.float64)
        return lambda scale: scale(logits)
    if pool is pooling.persons:
        return _by_person([pooling.by_person(answer) for answer in answers])
    return lambda scale: np.array([pool(answer, scale) for answer in answers], np.float64)


def _by_person(persons: Sequence[tuple[Array, Array]]) -> Callable[[Calibrator], Array]:
    """The same as pooling each clip, all at once: a fit asks for it a hundred times."""
    means, seen = (np.concatenate([np.zeros(0), *values]) for values in zip(*persons))
    firsts = np.cumsum([0, *(len(of) for of, _ in persons)])[:-1]
    total = np.add.reduceat(seen, firsts) if len(firsts) else seen

    def pool(scale: Calibrator) -> Array:
        if not len(firsts):
            return np.zeros(0)
        return pooling.odds_to_probability(np.add.reduceat(seen * pooling.odds(scale(means)), firsts) / total)

    return pool


def pooled(rows: Sequence[LabelledClip], model: str, scale: Calibrator) -> Array:
    """P(fake) of each clip, as the verdict has it."""
    return pooler(rows, model, scale.quality)(scale)


def balanced(fakes: npt.NDArray[np.bool_]) -> Array:
    """Weights that sum to 1 and suppose even odds, whatever the numbers of reals and fakes."""
    return np.where(fakes, 0.5 / max(fakes.sum(), 1), 0.5 / max((~fakes).sum(), 1))


def log_loss(fakes: npt.NDArray[np.bool_], probability: Array) -> float:
    """Mean log loss in nats at even odds; a coin's is ln 2."""
    held = np.clip(probability, _HELD, 1 - _HELD)
    return float(-balanced(fakes) @ np.log(np.where(fakes, held, 1 - held)))


def quality_term(rows: Sequence[LabelledClip], model: str, cue: Cue) -> QualityTerm | None:
    """How much a cue explains of a model's logits within the clips of one source and label, where nothing else does.

    None where fewer than FEWEST clips have others beside them, or where these are all of one quality.
    """
    found: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    for row, logit in zip(rows, log_odds(pooled(rows, model, Calibrator()))):
        cues = values(cue, row.outputs[model].items)
        if not np.isnan(cues).all():
            found.setdefault((row.source, row.fake), []).append((float(np.nanmean(cues)), float(logit)))
    beside = [np.array(pairs) for pairs in found.values() if len(pairs) > 1]
    if sum(map(len, beside)) < FEWEST:
        return None
    x, y = np.concatenate([pairs - pairs.mean(axis=0) for pairs in beside]).T
    every = np.concatenate(beside)[:, 0]
    if np.ptp(x) == 0:
        return None
    return QualityTerm(cue, float(x @ y / (x @ x)), float(every.mean()), float(every.min()), float(every.max()))


def platt(rows: Sequence[LabelledClip], model: str, cue: Cue | None = None) -> Calibrator:
    """The likeliest temperature and bias at even odds, what ``cue`` explains taken off before.

    Few clips are held back by targets that never reach 0 and 1: n of them are as sure as n + 1 of n + 2. Source:
    J. Platt, Probabilistic outputs for support vector machines, 1999.
    """
    fakes = labels(rows)
    targets = np.where(fakes, (fakes.sum() + 1) / (fakes.sum() + 2), 1 / ((~fakes).sum() + 2))
    term = quality_term(rows, model, cue) if cue else None
    weights, probability = balanced(fakes), pooler(rows, model, term)

    def loss(theta: Array) -> float:
        probabilities = np.clip(probability(Calibrator(math.exp(theta[0]), theta[1])), _HELD, 1 - _HELD)
        cross = -(targets * np.log(probabilities) + (1 - targets) * np.log(1 - probabilities))
        return float(weights @ cross)

    start = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    options = {"initial_simplex": start, "xatol": 1e-3, "fatol": 1e-6}
    found = minimize(loss, start[0], method="Nelder-Mead", bounds=[(-6, 6), (-12, 12)], options=options)
    return Calibrator(float(math.exp(found.x[0])), float(found.x[1]), term)


def groups(rows: Sequence[LabelledClip]) -> npt.NDArray[np.intp]:
    """Number what is held out together, [n]: clips of one source, and fakes of one maker, hang together."""
    names = [[f"source {row.source}", *([f"maker {row.maker}"] if row.maker else [])] for row in rows]
    number = {name: k for k, name in enumerate(dict.fromkeys(name for each in names for name in each))}
    links = [(number[each[0]], number[name]) for each in names for name in each]
    firsts, seconds = np.array(links, np.intp).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(links)), (firsts, seconds)), shape=(len(number), len(number)))
    of = connected_components(graph, directed=False)[1]
    return np.array([of[number[each[0]]] for each in names], np.intp)


def held_out(rows: Sequence[LabelledClip], model: str, cue: Cue | None = None) -> Array:
    """P(fake) of each clip by a fit on all other groups; 0.5 where those have one class alone."""
    result = np.full(len(rows), 0.5)
    members = groups(rows)
    for group in np.unique(members):
        others = [row for row, member in zip(rows, members) if member != group]
        if len({row.fake for row in others}) == 2:
            own = np.flatnonzero(members == group)
            result[own] = pooled([rows[k] for k in own], model, platt(others, model, cue))
    return result


def fit(rows: Sequence[LabelledClip], model: str, cues: Sequence[Cue] = CUES) -> Fitted:
    """Fit, measure, and silence a model that does not separate: AUC's interval holds 0.5, or a coin's loss is less.

    ``rows`` are of both labels. What one of ``cues`` explains is taken off where the log loss on clips of other sources
    is smaller for it.
    """
    fakes = labels(rows)
    known = [cue for cue in cues if quality_term(rows, model, cue)]
    tried = {cue: held_out(rows, model, cue) for cue in (None, *known)}
    cue = min(tried, key=lambda one: log_loss(fakes, tried[one]))
    scale, apart = platt(rows, model, cue), tried[cue]
    auc = metrics.interval(metrics.auc, fakes, log_odds(pooled(rows, model, scale)))
    gain = math.log(2) - log_loss(fakes, apart)
    if auc.low <= 0.5 or gain <= 0:
        scale, apart = SILENCE, np.full(len(rows), 0.5)
    ece = metrics.MEASURES["ece_even"](fakes, log_odds(apart))
    return Fitted(model, scale, tuple(rows), apart, auc, ece, gain, thresholds(fakes, apart))


def kept(model: str, calibration: Calibration) -> Fitted:
    """The calibration that a model has already, measured on no clips of now."""
    nothing = metrics.Estimate(math.nan, math.nan, math.nan)
    own = calibration.model_thresholds.get(model, Thresholds(None, None))
    return Fitted(model, calibration.calibrator(model), (), np.zeros(0), nothing, math.nan, math.nan, own)


def thresholds(fakes: npt.NDArray[np.bool_], probability: Array) -> Thresholds:
    """P(fake) from which on a layer by itself says fake, and down to which real, at the rate of ``balanced``."""
    everyone = Judged(probability, fakes, np.full(len(fakes), ""), np.arange(len(fakes)))
    return bounds(everyone, RATE["balanced"])
