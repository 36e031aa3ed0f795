"""How good a detector is, with how sure we are of it. Scores are log odds of fake, labels True for fake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.metrics import roc_auc_score, roc_curve

Scores = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.bool_]
_RESAMPLES = 1000


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


def auc(labels: Labels, scores: Scores) -> float:
    """Chance that a fake scores above a real: 0.5 is guessing."""
    return float(roc_auc_score(labels, scores))


def eer(labels: Labels, scores: Scores) -> float:
    """Error rate where as many reals are called fake as fakes real."""
    false_alarm, hit, _ = roc_curve(labels, scores, drop_intermediate=False)
    return float(np.interp(0.0, false_alarm - (1 - hit), false_alarm))


def interval(measure: Callable[[Labels, Scores], float], labels: Labels, scores: Scores, seed: int = 0) -> Estimate:
    """The measure with its 95 % bootstrap interval; reals and fakes are drawn apart, so that neither runs out."""
    rng = np.random.default_rng(seed)
    fakes, reals = np.flatnonzero(labels), np.flatnonzero(~labels)
    draws = []
    for _ in range(_RESAMPLES):
        drawn = np.concatenate([rng.choice(fakes, len(fakes)), rng.choice(reals, len(reals))])
        draws.append(measure(labels[drawn], scores[drawn]))
    low, high = np.percentile(draws, (2.5, 97.5))
    return Estimate(measure(labels, scores), float(low), float(high))


def fit_calibration(labels: Labels, scores: Scores) -> tuple[float, float]:
    """(temperature, bias) such that sigmoid(score / temperature + bias) is the likeliest P(fake).

    Reals and fakes weigh the same, whatever their numbers: the answer supposes even odds.
    """
    weights = np.where(labels, 0.5 / max(labels.sum(), 1), 0.5 / max((~labels).sum(), 1))
    signs = np.where(labels, 1.0, -1.0)

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        logits = scores * np.exp(-parameters[0]) + parameters[1]
        return float(np.sum(weights * np.logaddexp(0, -signs * logits)))

    best = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return float(np.exp(best[0])), float(best[1])


def thresholds(labels: Labels, scores: Scores, rate: float) -> tuple[float, float]:
    """P(fake) from which on something is called fake, and down to which real, each wrong about ``rate`` of the time."""
    probability = expit(scores)
    return float(np.quantile(probability[~labels], 1 - rate)), float(np.quantile(probability[labels], rate))


def ece(labels: Labels, scores: Scores, bins: int = 10) -> float:
    """Expected calibration error of sigmoid(scores): mean gap between P(fake) and the share of fakes, over bins."""
    probability = expit(scores)
    place = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = [abs(probability[place == b].mean() - labels[place == b].mean()) * np.mean(place == b) for b in set(place)]
    return float(sum(gaps))
