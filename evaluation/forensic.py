"""Measures of forensic speech and presentation-attack practice. Scores are natural-log likelihood ratios of fake.

Calibration weighs reals and fakes alike, so the log odds of a calibrated P(fake) are its log likelihood ratio. All
measures here but Cllr, the misleading evidence and actDCF keep their value under any rising map of the scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression
from scipy.special import entr, logit

from veracity.calibrate.bootstrap import Draws, Labels, Values, checked, whole
from veracity.calibrate.metrics import Measure

_NEARLY = 1e-9  # shares are sums of floats
FPR = {"tpr_at_1_fpr": 0.01, "tpr_at_01_fpr": 0.001}


@dataclass(frozen=True)
class Costs:
    """What errors cost, and how many fakes are expected: the defaults are those of ASVspoof 5, track 1.

    Source: "ASVspoof 5 Evaluation Plan", 2024, whose own evaluation package has the same numbers: C_miss = 1,
    C_fa = 10, π_spf = 0.05. There a miss is a real that is turned away, a false alarm a fake that is let in.
    """

    real_called_fake: float = 1.0
    fake_called_real: float = 10.0
    fakes: float = 0.05  # their prior probability

    @property
    def beta(self) -> float:
        """Weight of a real that is called fake against a fake that is called real."""
        return self.real_called_fake * (1 - self.fakes) / (self.fake_called_real * self.fakes)

    def of(self, alarms: Values, misses: Values) -> Values:
        """The cost at rates of reals called fake and fakes called real, of any shape; 1 where nothing is looked at."""
        return np.asarray((self.beta * alarms + misses) / min(1.0, self.beta))


ASVSPOOF5 = Costs()


def min_dcf(costs: Costs = ASVSPOOF5) -> Measure:
    """The lowest normalised detection cost at any threshold."""
    return Measure(
        lambda draws: costs.of(draws.rates[0], 1 - draws.rates[1]).min(axis=1),
        "detection cost at the best threshold, with the costs and the prior of ASVspoof 5; 1 is not to look at all",
        more_is_better=False,
    )


def act_dcf(costs: Costs = ASVSPOOF5) -> Measure:
    """The normalised detection cost at Bayes' threshold: calibrated scores are called fake over ln β."""
    return Measure(
        lambda draws: costs.of(
            _of_reals(draws, draws.scores > math.log(costs.beta)),
            _of_fakes(draws, draws.scores <= math.log(costs.beta)),
        ),
        "the same cost at the threshold that calibrated scores would have; over minDCF by what calibration loses",
        more_is_better=False,
    )


def tpr_at(fpr: float) -> Measure:
    """Share of fakes found at a threshold where at most the share ``fpr`` of reals is called fake.

    Fewer than 1 / ``fpr`` reals cannot tell such a rate from none: see :func:`unsupported`.
    """

    def found(draws: Draws) -> Values:
        reals, fakes = draws.rates
        return np.asarray(np.where(reals <= fpr + _NEARLY, fakes, 0).max(axis=1))

    return Measure(found, f"fakes found where at most {100 * fpr:g} % of reals are called fake")


def unsupported(name: str, reals: int) -> str | None:
    """Why a measure says nothing on so few reals; None if it may be said."""
    least = math.ceil(1 / FPR[name] - _NEARLY) if name in FPR else 0
    return f"takes {least} reals, and {reals} are there" if reals < least else None


def tippett(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Values, Values, Values]:
    """Points of a Tippett plot: rising scores [m], and the shares of reals and of fakes [m] that are at or over each.

    Source: Meuwly and Drygajlo, Odyssey 2001. Raises :class:`~veracity.calibrate.metrics.Unmeasurable`.
    """
    truth, values = checked(labels, scores)
    draws, at = whole(truth, values), np.unique(values)
    reals, fakes = (rates[0, :0:-1] for rates in draws.rates)
    return at, reals, fakes


def pav(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Values, Values]:
    """Points of a PAV plot: rising scores [m], and the log likelihood ratio [m] that the labels give each.

    Calibrated scores lie on the diagonal. Scores that separate the labels alone have a ratio of ±inf. Source: Brümmer
    and du Preez, "Application-independent evaluation of speaker detection", 2006. Raises Unmeasurable.
    """
    truth, values = checked(labels, scores)
    at = np.unique(values)
    reals, fakes = next(_shares(whole(truth, values)))
    fit = isotonic_regression(fakes / (reals + fakes), weights=reals + fakes, increasing=False)
    return at, np.asarray(logit(fit.x[::-1]))


def _shares(draws: Draws) -> Iterator[tuple[Values, Values]]:
    """Of each draw the shares of reals and of fakes [m] at each score that was drawn, in falling order."""
    for reals, fakes in zip(*(np.diff(rates, axis=1) for rates in draws.rates)):
        drawn = reals + fakes > 0
        yield reals[drawn], fakes[drawn]


def _blocks(draws: Draws) -> Iterator[tuple[Values, Values]]:
    """Of each draw the shares of reals and of fakes [b] in the blocks of pooled adjacent violators, falling.

    Their running sums are the corners of the convex hull of the ROC curve.
    """
    for reals, fakes in _shares(draws):
        fit = isotonic_regression(fakes / (reals + fakes), weights=reals + fakes, increasing=False)
        yield np.add.reduceat(reals, fit.blocks[:-1]), np.add.reduceat(fakes, fit.blocks[:-1])


def _cllr(draws: Draws) -> Values:
    bits = np.logaddexp(0, np.where(draws.labels, -draws.scores, draws.scores)) / math.log(2)
    mean = [(draws.weights * bits)[:, of].sum(axis=1) for of in (~draws.labels, draws.labels)]
    return np.asarray((mean[0] / draws.reals + mean[1] / draws.fakes) / 2)


def _cllr_min(draws: Draws) -> Values:
    """The entropy of the label that is left in the blocks, in bits."""
    return np.array([
        ((reals + fakes) / 2 * (entr(share := fakes / (reals + fakes)) + entr(1 - share))).sum() / math.log(2)
        for reals, fakes in _blocks(draws)
    ])  # fmt: skip


def _hull_eer(draws: Draws) -> Values:
    """Where the hull crosses the line of equal errors: its sum of rates rises from 0 to 2, and is 1 there."""
    found = []
    for reals, fakes in _blocks(draws):
        x, y = (np.append(0, np.cumsum(of)) for of in (reals, fakes))
        found.append(np.interp(1, x + y, x))
    return np.array(found)


def _of_reals(draws: Draws, chosen: Labels) -> Values:
    """The share of the reals that are ``chosen`` [n], [draws]."""
    return np.asarray(draws.weights[:, chosen & ~draws.labels].sum(axis=1) / draws.reals)


def _of_fakes(draws: Draws, chosen: Labels) -> Values:
    return np.asarray(draws.weights[:, chosen & draws.labels].sum(axis=1) / draws.fakes)


def _misleads_to_fake(draws: Draws) -> Values:
    return _of_reals(draws, draws.scores > 0)


def _misleads_to_real(draws: Draws) -> Values:
    return _of_fakes(draws, draws.scores < 0)


CLLR: dict[str, Measure] = {
    "cllr": Measure(
        _cllr, "bits lost by what the scores claim; 1 is saying nothing, more is misleading", more_is_better=False
    ),
    "cllr_min": Measure(_cllr_min, "the same after the best rising recalibration: what the order alone loses", False),
    "misleading_to_fake": Measure(_misleads_to_fake, "share of reals whose score speaks for fake", False),
    "misleading_to_real": Measure(_misleads_to_real, "share of fakes whose score speaks for real", False),
}
"""Cllr after Brümmer and du Preez (2006), rates of misleading evidence after Royall (1997)."""

FORENSIC: dict[str, Measure] = {
    **CLLR,
    "eer_hull": Measure(
        _hull_eer, "equal error rate on the convex hull of the ROC curve: of the best mix of two thresholds", False
    ),
    "min_dcf": min_dcf(),
    "act_dcf": act_dcf(),
    **{name: tpr_at(rate) for name, rate in FPR.items()},
}
