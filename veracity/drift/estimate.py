"""How right the verdicts are, estimated without labels from their own probabilities.

A calibrated P(fake) says how many of the files that have it are fake: so of files with 0.9 that were called real, nine
of ten were called wrongly. Ours holds where half of the files are fake; which share of these files is, is estimated
first, as the one under which their probabilities are likeliest (M. Saerens et al., Adjusting the outputs of a
classifier to new a priori probabilities, 2002). The rest is what NannyML calls confidence-based performance estimation
(CBPE).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from veracity.decision.fusion import SUREST
from veracity_client.verdict import Label

Array = npt.NDArray[np.float64]

ASSUMED = (
    "the probabilities are still right: real files and fakes of the kinds that the calibration saw, in another mix at "
    "most. "
    "A new kind of fake is not seen by this estimate; only labels show it"
)
DRAWS = 200
_HALVINGS = 30
_LEAST = 1e-3  # share of fakes, and of reals


@dataclass(frozen=True)
class Interval:
    """A figure, and where it lies with 95 % if the assumption holds."""

    value: float
    low: float
    high: float


UNKNOWN = Interval(0.5, 0.0, 1.0)


@dataclass(frozen=True)
class Estimates:
    """Shares: ``fakes`` of all files; ``wrong`` of the decided, and of those that are real or fake; ``auc`` of P(fake).

    None where there is nothing that it could be a share of.
    """

    fakes: Interval
    wrong: Interval | None
    real_called_fake: Interval | None
    fake_called_real: Interval | None
    inconclusive: Interval
    auc: Interval | None


def share_of_fakes(probability: Array, weights: Array) -> Array:
    """Return the likeliest share of fakes, [draws], of P(fake) at even odds, [n], each drawn ``weights`` times."""
    held = np.clip(probability, SUREST, 1 - SUREST)
    low, high = np.full(len(weights), _LEAST), np.full(len(weights), 1 - _LEAST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        slope = ((2 * held - 1) / (middle[:, None] * held + (1 - middle[:, None]) * (1 - held)) * weights).sum(axis=1)
        low, high = np.where(slope > 0, middle, low), np.where(slope > 0, high, middle)
    return np.asarray((low + high) / 2)


def posterior(probability: Array, share: Array) -> Array:
    """Return P(fake), [draws, n], where a ``share`` [draws] of the files is fake and not half of them."""
    fake, real = share[:, None] * probability, (1 - share[:, None]) * (1 - probability)
    return np.asarray(fake / (fake + real))


def estimates(
    probability: Sequence[float], labels: Sequence[Label], share: float | None = None, seed: int = 0
) -> Estimates:
    """Estimate from P(fake) at even odds, [n], and what the files were called, [n]; ``share`` of fakes where known.

    The intervals are of what labels of these files would show: they draw the files, and what each one is.
    """
    rng = np.random.default_rng(seed)
    codes = np.array([("real", "inconclusive", "fake").index(one) for one in labels])
    groups, counts = np.unique(np.column_stack([np.round(probability, 4), codes]), axis=0, return_counts=True)
    value, called = groups[:, 0], groups[:, 1]
    drawn = rng.multinomial(len(codes), counts / counts.sum(), DRAWS).astype(float)
    whole = counts[None].astype(float)
    shares = [np.full(len(w), share) if share is not None else share_of_fakes(value, w) for w in (whole, drawn)]
    fakes = posterior(value, shares[0]) * whole
    drawn_fakes = rng.binomial(drawn.astype(int), posterior(value, shares[1])).astype(float)
    figures = [_figures(called, value, *each) for each in ((whole, fakes), (drawn, drawn_fakes))]
    found = {name: _interval(figures[0][name], figures[1][name]) for name in figures[0]}
    mixed = shares[1] if share is None else drawn_fakes.sum(axis=1) / len(codes)
    return Estimates(
        fakes=_interval(shares[0], mixed) or UNKNOWN,
        wrong=found["wrong"],
        real_called_fake=found["real_called_fake"],
        fake_called_real=found["fake_called_real"],
        inconclusive=found["inconclusive"] or UNKNOWN,
        auc=found["auc"],
    )


def _figures(called: Array, value: Array, counts: Array, fakes: Array) -> dict[str, Array]:
    reals = counts - fakes
    as_fake, as_real, as_neither = (called == code for code in (2, 0, 1))
    false_alarms, misses = reals[:, as_fake].sum(axis=1), fakes[:, as_real].sum(axis=1)
    return {
        "wrong": _share(false_alarms + misses, counts[:, as_fake | as_real].sum(axis=1)),
        "real_called_fake": _share(false_alarms, reals.sum(axis=1)),
        "fake_called_real": _share(misses, fakes.sum(axis=1)),
        "inconclusive": _share(counts[:, as_neither].sum(axis=1), counts.sum(axis=1)),
        "auc": _auc(value, reals, fakes),
    }


def _auc(value: Array, reals: Array, fakes: Array) -> Array:
    """The chance that a fake has more than a real one, half of it where both have the same; ``value`` rises."""
    firsts = np.flatnonzero(np.diff(value, prepend=np.nan) != 0)
    real, fake = np.add.reduceat(reals, firsts, axis=1), np.add.reduceat(fakes, firsts, axis=1)
    below = np.cumsum(real, axis=1) - real / 2
    return _share((fake * below).sum(axis=1), fake.sum(axis=1) * real.sum(axis=1))


def _share(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _interval(value: Array, drawn: Array) -> Interval | None:
    if np.isnan(value).any() or np.isnan(drawn).all():
        return None
    low, high = np.nanpercentile(drawn, (2.5, 97.5))
    return Interval(*(round(float(one), 4) for one in (value[0], low, high)))
