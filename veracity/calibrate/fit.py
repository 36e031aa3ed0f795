"""One model's temperature, bias and quality term, with its pooling in the loop, and whether it separates at all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.stats import spearmanr

from veracity.calibrate import metrics
from veracity.calibrate.labelled_outputs import LabelledClip
from veracity.calibrate.operating_points import RATE, Judged, bounds
from veracity.decision.calibration import Calibration, Calibrator
from veracity.decision.fusion import log_odds
from veracity.decision.quality import Cue, QualityTerm, taken_off, values
from veracity.evidence import pooling
from veracity.evidence.detector import detector
from veracity_client.verdict import Thresholds

Array = npt.NDArray[np.float64]
SILENCE = Calibrator(math.inf, 0.0)
# pools of logits, which no temperature reorders: once a clip is enough
_CALIBRATED_LAST = (pooling.mean_logit, pooling.mean_logit_by_seconds, pooling.worst_face)
_HELD = 1e-6  # no clip is surer than that to the fit
MOST = 0.2  # that a score may go with the quality of a file: a rank correlation, either way
FEWEST = 50  # clips, each with others of its source and label beside it: of fewer a correlation of 0.2 is chance
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


def pooler(
    rows: Sequence[LabelledClip], model: str, terms: Sequence[QualityTerm] = ()
) -> Callable[[Calibrator], Array]:
    """P(fake) of each clip under any temperature and bias, what ``terms`` explain taken off, as the verdict has it."""
    pool, answers = detector(model).pool, [taken_off(terms, row.outputs[model]) for row in rows]
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


def _cues(rows: Sequence[LabelledClip], model: str, cue: Cue) -> Array:
    """Each clip's cue, the mean of its samples', [n]; NaN where none of them has one."""
    samples = [values(cue, row.outputs[model].items) for row in rows]
    return np.array([math.nan if np.isnan(of).all() else np.nanmean(of) for of in samples], np.float64)


def _within(rows: Sequence[LabelledClip], of_clip: Array) -> Array:
    """Each clip's value less the mean of its source and label, [n]; NaN where no other of those has one."""
    beside: dict[tuple[str, bool], list[int]] = {}
    for k in np.flatnonzero(~np.isnan(of_clip)):
        beside.setdefault((rows[k].source, rows[k].fake), []).append(int(k))
    result = np.full(len(rows), math.nan)
    for own in beside.values():
        if len(own) > 1:
            result[own] = of_clip[own] - of_clip[own].mean()
    return result


def quality_terms(rows: Sequence[LabelledClip], model: str, cues: Sequence[Cue]) -> tuple[QualityTerm, ...]:
    """How much each cue explains of a model's logits within the clips of one source and label, the others held still.

    None where fewer than FEWEST clips have others beside them, or where these are all of one quality.
    """
    every = np.array([_cues(rows, model, cue) for cue in cues]).reshape(len(cues), len(rows))
    gaps = np.where(np.isnan(every).any(axis=0), math.nan, 0.0)  # all is counted from the means of the same clips
    apart = np.array([_within(rows, of + gaps) for of in every]).reshape(every.shape)
    known = ~np.isnan(apart).any(axis=0)
    if not cues or known.sum() < FEWEST or (np.ptp(apart[:, known], axis=1) == 0).any():
        return ()
    logits = _within(rows, log_odds(pooled(rows, model, Calibrator())) + gaps)
    slopes = np.linalg.lstsq(apart[:, known].T, logits[known], rcond=None)[0]
    return tuple(
        QualityTerm(cue, float(slope), float(of.mean()), float(of.min()), float(of.max()))
        for cue, slope, of in zip(cues, slopes, every[:, known])
    )


def follows(rows: Sequence[LabelledClip], model: str, scale: Calibrator, cues: Sequence[Cue]) -> float:
    """The furthest that the score goes with a cue within sources, among reals or among fakes: Spearman's, 0 to 1.

    Infinite where FEWEST clips of a label are not there to tell.
    """
    fakes, scores = labels(rows), log_odds(pooled(rows, model, scale))
    found = [0.0]
    for cue in cues:
        apart = _within(rows, _cues(rows, model, cue))
        for label in (False, True):
            own = np.flatnonzero(~np.isnan(apart) & (fakes == label))
            if len(own) < FEWEST:
                return math.inf
            beside = _within([rows[k] for k in own], scores[own])
            if np.ptp(apart[own]) > 0 and np.ptp(beside) > 0:
                found.append(abs(float(spearmanr(apart[own], beside).statistic)))
    return max(found)


def platt(rows: Sequence[LabelledClip], model: str, cues: Sequence[Cue] = ()) -> Calibrator:
    """The likeliest temperature and bias at even odds, what ``cues`` explain taken off before.

    Few clips are held back by targets that never reach 0 and 1: n of them are as sure as n + 1 of n + 2. Source:
    J. Platt, Probabilistic outputs for support vector machines, 1999.
    """
    fakes = labels(rows)
    targets = np.where(fakes, (fakes.sum() + 1) / (fakes.sum() + 2), 1 / ((~fakes).sum() + 2))
    terms = quality_terms(rows, model, cues)
    weights, probability = balanced(fakes), pooler(rows, model, terms)

    def loss(theta: Array) -> float:
        probabilities = np.clip(probability(Calibrator(math.exp(theta[0]), theta[1])), _HELD, 1 - _HELD)
        cross = -(targets * np.log(probabilities) + (1 - targets) * np.log(1 - probabilities))
        return float(weights @ cross)

    start = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    options = {"initial_simplex": start, "xatol": 1e-3, "fatol": 1e-6}
    found = minimize(loss, start[0], method="Nelder-Mead", bounds=[(-6, 6), (-12, 12)], options=options)
    return Calibrator(float(math.exp(found.x[0])), float(found.x[1]), terms)


def groups(rows: Sequence[LabelledClip]) -> npt.NDArray[np.intp]:
    """Number what is held out together, [n]: clips of one source, and fakes of one maker, hang together."""
    names = [[f"source {row.source}", *([f"maker {row.maker}"] if row.maker else [])] for row in rows]
    number = {name: k for k, name in enumerate(dict.fromkeys(name for each in names for name in each))}
    links = [(number[each[0]], number[name]) for each in names for name in each]
    firsts, seconds = np.array(links, np.intp).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(links)), (firsts, seconds)), shape=(len(number), len(number)))
    of = connected_components(graph, directed=False)[1]
    return np.array([of[number[each[0]]] for each in names], np.intp)


def held_out(rows: Sequence[LabelledClip], model: str, cues: Sequence[Cue] = ()) -> Array:
    """P(fake) of each clip by a fit on all other groups; 0.5 where those have one class alone."""
    result = np.full(len(rows), 0.5)
    members = groups(rows)
    for group in np.unique(members):
        others = [row for row, member in zip(rows, members) if member != group]
        if len({row.fake for row in others}) == 2:
            own = np.flatnonzero(members == group)
            result[own] = pooled([rows[k] for k in own], model, platt(others, model, cues))
    return result


def fit(rows: Sequence[LabelledClip], model: str, cues: Sequence[Cue] = CUES) -> Fitted:
    """Fit, measure, and silence a model that does not separate: AUC's interval holds 0.5, or a coin's loss is less.

    ``rows`` are of both labels. Of ``cues`` those are taken off with which the score :func:`follows` none by more than
    MOST; of several such choices, and where there is none, the one with the least log loss on clips of other sources.
    """
    fakes = labels(rows)
    known = [cue for cue in cues if quality_terms(rows, model, [cue])]
    choices = [chosen for count in range(len(known) + 1) for chosen in itertools.combinations(known, count)]
    scales = {chosen: platt(rows, model, chosen) for chosen in choices}
    free = [chosen for chosen in choices if follows(rows, model, scales[chosen], known) <= MOST]
    tried = {chosen: held_out(rows, model, chosen) for chosen in free or choices}
    chosen = min(tried, key=lambda one: log_loss(fakes, tried[one]))
    scale, apart = scales[chosen], tried[chosen]
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
