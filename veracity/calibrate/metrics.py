"""How good a detector is, with how sure we are of it. Scores are log odds of fake, labels True (or 1) for fake.

Every measure is counted for all resamples at once (:mod:`veracity.calibrate.bootstrap`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from scipy.stats import binomtest

from veracity.calibrate.bootstrap import Draws, Labels, Scores, Unmeasurable, Values, checked, resamples, whole

__all__ = ["MEASURES", "Estimate", "Labels", "Measure", "Scores", "Unmeasurable", "auc", "checked", "ece", "eer",
           "figures", "interval", "share"]  # fmt: skip

_BINS = 10  # of P(fake), for the calibration error
_NEARLY = 1e-9  # shares are sums of floats


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval from resampling clips."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def to_dict(self) -> dict[str, float]:
        """For JSON, to four places."""
        return {name: round(number, 4) for name, number in asdict(self).items()}


@dataclass(frozen=True)
class Measure:
    """One figure. Call it with labels [n] and scores [n], or ask for it ``of`` many draws at once."""

    of: Callable[[Draws], Values]
    meaning: str
    more_is_better: bool = True

    def __call__(self, labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
        """The figure alone; raises :class:`Unmeasurable`."""
        return float(self.of(whole(*checked(labels, scores)))[0])


def interval(
    measure: Measure, labels: Labels, scores: Scores, seed: int = 0, groups: npt.ArrayLike | None = None
) -> Estimate:
    """The measure with its 95 % bootstrap interval; reals and fakes are drawn apart, so that neither runs out.

    What has the same of ``groups`` [n] is drawn together: the faces of a clip are not so many clips, and the clips of
    a source or of a person are not so many sources. A group may hold both labels.
    """
    return figures(labels, scores, seed, groups, {"it": measure})["it"]


def figures(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    seed: int = 0,
    groups: npt.ArrayLike | None = None,
    measures: dict[str, Measure] | None = None,
) -> dict[str, Estimate]:
    """All of MEASURES, or those given, each with its interval from the same resamples; raises Unmeasurable."""
    truth, values = checked(labels, scores)
    order = np.argsort(-values, kind="stable")
    members = np.arange(len(truth)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    wanted = MEASURES if measures is None else measures
    drawn: dict[str, list[Values]] = {name: [] for name in wanted}
    for weights in resamples(truth, members, np.random.default_rng(seed)):
        draws = Draws(truth[order], values[order], weights[:, order])
        for name, measure in wanted.items():
            drawn[name].append(measure.of(draws))
    full = whole(truth, values)
    bounds = {name: np.percentile(np.concatenate(values), (2.5, 97.5)) for name, values in drawn.items()}
    return {name: Estimate(float(m.of(full)[0]), *map(float, bounds[name])) for name, m in wanted.items()}


def share(flags: npt.ArrayLike) -> Estimate:
    """The share of True in ``flags`` [n] with Wilson's 95 % interval, which is honest about few of them."""
    given = np.asarray(flags, bool)
    if not given.size:
        raise Unmeasurable("a share of nothing")
    bounds = binomtest(int(given.sum()), given.size).proportion_ci(method="wilson")
    return Estimate(float(given.mean()), float(bounds.low), float(bounds.high))


def _auc(draws: Draws) -> Values:
    reals, fakes = draws.rates
    return np.asarray(np.trapz(fakes, reals, axis=1))


def _average_precision(draws: Draws) -> Values:
    reals, fakes = draws.rates
    hits, alarms = fakes * draws.fakes[:, None], reals * draws.reals[:, None]
    precision = np.divide(hits, hits + alarms, out=np.zeros_like(hits), where=hits > 0)
    return np.asarray((np.diff(fakes, axis=1) * precision[:, 1:]).sum(axis=1))


def _eer(draws: Draws) -> Values:
    reals, fakes = draws.rates
    gap = reals - (1 - fakes)  # rises from -1 to 1
    after = np.argmax(gap >= 0, axis=1)
    row = np.arange(len(gap))
    low, high = gap[row, after - 1], gap[row, after]
    start, end = reals[row, after - 1], reals[row, after]
    return np.asarray(start - low / (high - low) * (end - start))


def _alarms_at_95(draws: Draws) -> Values:
    reals, fakes = draws.rates
    return np.asarray(reals[np.arange(len(reals)), np.argmax(fakes >= 0.95 - _NEARLY, axis=1)])


def _accuracy(draws: Draws) -> Values:
    wrong, right = draws.alarms
    return (draws.reals - wrong + right) / (draws.reals + draws.fakes)


def _precision(draws: Draws) -> Values:
    wrong, right = draws.alarms
    return np.divide(right, wrong + right, out=np.zeros_like(right), where=wrong + right > 0)


def _recall(draws: Draws) -> Values:
    return draws.alarms[1] / draws.fakes


def _f1(draws: Draws) -> Values:
    wrong, right = draws.alarms
    return 2 * right / (wrong + right + draws.fakes)


def _ece(draws: Draws) -> Values:
    return _gaps(draws, draws.weights)


def _even_ece(draws: Draws) -> Values:
    alike = np.where(draws.labels, 0.5 / draws.fakes[:, None], 0.5 / draws.reals[:, None])
    return _gaps(draws, draws.weights * alike)


def _gaps(draws: Draws, weights: Values) -> Values:
    probability = expit(draws.scores)
    place = np.minimum((probability * _BINS).astype(int), _BINS - 1)
    each = (probability - draws.labels)[:, None] * (place[:, None] == np.arange(_BINS))
    return np.asarray(np.abs(weights @ each).sum(axis=1) / weights.sum(axis=1))


auc = Measure(_auc, "chance that a fake scores above a real; 0.5 is guessing")
eer = Measure(_eer, "error rate where as many reals are called fake as fakes real", more_is_better=False)
ece = Measure(_ece, "mean gap between P(fake) and the share of fakes, over ten bins of P(fake)", more_is_better=False)
MEASURES: dict[str, Measure] = {
    "auc": auc,
    "average_precision": Measure(_average_precision, "mean precision over all shares of fakes found"),
    "eer": eer,
    "fpr_at_95_tpr": Measure(_alarms_at_95, "reals called fake where 95 % of fakes are found", more_is_better=False),
    "accuracy": Measure(_accuracy, "share called rightly, at P(fake) of one half"),
    "precision": Measure(_precision, "share of fakes in what is called fake; 0 where nothing is"),
    "recall": Measure(_recall, "share of the fakes that are called fake"),
    "f1": Measure(_f1, "harmonic mean of precision and recall"),
    "ece": ece,
    "ece_even": Measure(_even_ece, "the same, reals and fakes weighing alike as they do in the calibration", False),
}
