"""Thresholds that hold on sources and makers that nobody met: for 1, 5 and 10 % wrong words of either kind."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from veracity.decision.fusion import EVEN
from veracity.decision.scoring import threshold_label
from veracity_client.options import OperatingPoint
from veracity_client.verdict import Rates, Thresholds

Array = npt.NDArray[np.float64]
Words = npt.NDArray[np.str_]  # labels
RATE: Mapping[OperatingPoint, float] = {"strict": 0.01, "balanced": 0.05, "screening": 0.10}
TIGHTER = (1.0, 0.8, 0.6, 0.4, 0.2, 0.1)  # shares of a rate that are tried until it holds on what was held out
NEW_SOURCES = 2.0  # rates: of sources and makers that nobody met, at most so many may be unlike all that were measured
MANY = 20  # clips of a source, or of a kind of fake, from which on it is held to the rate by itself


@dataclass(frozen=True)
class Judged:
    """n clips' fused P(fake), held out; ``kinds`` of fake (of a real clip whatever), ``groups`` held out together.

    ``possible`` are the kinds of fake that such a file can be.
    """

    probability: Array
    fakes: npt.NDArray[np.bool_]
    kinds: npt.NDArray[np.str_]
    groups: npt.NDArray[np.intp]
    possible: Collection[str] = ()

    @property
    def unmeasured(self) -> list[str]:
        """The possible kinds of which there are not :data:`MANY` fakes: of them no clip can be said to be free."""
        return [kind for kind in self.possible if self.called(kind).sum() < MANY]

    def of(self, chosen: npt.NDArray[np.bool_]) -> Judged:
        """Return some of the clips."""
        return Judged(self.probability[chosen], self.fakes[chosen], self.kinds[chosen], self.groups[chosen])

    def called(self, kind: str) -> npt.NDArray[np.bool_]:
        """Which clips are fakes of a kind; of every kind where it is empty."""
        return self.fakes if not kind else np.asarray(self.fakes & (self.kinds == kind))


def operating_points(judged: Judged) -> dict[OperatingPoint, tuple[Thresholds, Rates]]:
    """Each operating point's thresholds and how they measured.

    ``fake`` is what at most the rate of the next reals reach, of all together and of each source of which there are
    enough clips to tell; ``real`` what at most the rate of the next fakes stay at or under, of all together and of each
    kind, where every possible kind was measured. What too few clips or groups could show is None. What is measured is
    what becomes of each group by thresholds that were set without it. There each must hold, or a tighter one is tried;
    where none holds it is None.
    """
    return {point: _point(judged, RATE[point]) for point in get_args(OperatingPoint)}


def _point(judged: Judged, rate: float) -> tuple[Thresholds, Rates]:
    found, words = labels_apart(judged, rate)
    undecided = [_share(words[judged.fakes == truth] == "inconclusive") for truth in (False, True)]
    return found, Rates(
        real_called_fake=_share(words[~judged.fakes] == "fake"),
        fake_called_real=_worst(judged, words, _told(judged, rate)),
        inconclusive=float(np.mean(undecided)),
        reals=int((~judged.fakes).sum()),
        fakes=int(judged.fakes.sum()),
    )


def labels_apart(judged: Judged, rate: float) -> tuple[Thresholds, Words]:
    """The thresholds of a rate, and what each clip, [n], is called by those that were set without its group."""
    kinds = _told(judged, rate)
    fakes = next((tight * rate for tight in TIGHTER if _false_alarms(judged, tight * rate) <= rate), 0.0)
    reals = next((tight * rate for tight in TIGHTER if _misses(judged, tight * rate, kinds) <= rate), 0.0)
    reals_tell, fakes_tell = (_several(judged.groups[judged.fakes == truth], rate) for truth in (False, True))
    fakes, reals = fakes * reals_tell, reals * (fakes_tell and not judged.unmeasured)
    words = _words(judged, fakes, reals, kinds)
    return Thresholds(_fake(judged, fakes), _real(judged, reals, kinds)), words


def _words(judged: Judged, fakes: float, reals: float, kinds: Sequence[str]) -> Words:
    return np.array([threshold_label(float(p), bounds) for p, bounds in _apart(judged, fakes, reals, kinds)])


def _several(groups: npt.NDArray[np.intp], rate: float) -> bool:
    """Whether there are groups enough: of n that are alike, the next one is unlike them with a chance of 1 in n + 1."""
    return (len(np.unique(groups)) + 1) * NEW_SOURCES * rate >= 1 - 1e-9


def _apart(judged: Judged, fakes: float, reals: float, kinds: Sequence[str]) -> list[tuple[float, Thresholds]]:
    """Each clip's probability with the thresholds that were set without its group."""
    own = {}
    for group in np.unique(judged.groups):
        others = judged.of(judged.groups != group)
        own[group] = Thresholds(_fake(others, fakes), _real(others, reals, kinds))
    return [(float(p), own[group]) for p, group in zip(judged.probability, judged.groups)]


def _false_alarms(judged: Judged, rate: float) -> float:
    """The share of the reals that are called fake."""
    return _share(_words(judged, rate, 0.0, [""])[~judged.fakes] == "fake")


def _misses(judged: Judged, rate: float, kinds: Sequence[str]) -> float:
    """The worst kind's share that is called real; 1 where the others are too few to say so of some group's fakes."""
    found = _apart(judged, 0.0, rate, kinds)
    if any(bounds.real is None for (_, bounds), fake in zip(found, judged.fakes) if fake):
        return 1.0
    return _worst(judged, np.array([threshold_label(p, bounds) for p, bounds in found]), kinds)


def _worst(judged: Judged, words: Words, kinds: Sequence[str]) -> float:
    return max(_share(words[judged.called(kind)] == "real") for kind in kinds)


def _told(judged: Judged, rate: float) -> list[str]:
    """All fakes together, and the kinds of which there are enough to tell of the rate."""
    kinds, counts = np.unique(judged.kinds[judged.fakes], return_counts=True)
    many = kinds[(counts >= MANY) & ((counts + 1) * rate >= 1)]
    return ["", *map(str, many)]


def bounds(judged: Judged, rate: float) -> Thresholds:
    """The thresholds of a rate, of all clips together."""
    return Thresholds(_fake(judged, rate), _real(judged, rate, [""]))


def _fake(judged: Judged, rate: float) -> float | None:
    whole = limit(judged.probability[~judged.fakes], rate)
    if whole is None:
        return None
    sources = (judged.probability[~judged.fakes & (judged.groups == group)] for group in set(judged.groups))
    limits = (limit(one, rate) for one in sources if len(one) >= MANY)
    highest = max([whole, *(one for one in limits if one is not None)])
    return round(min(max(math.floor(highest * 1e3) / 1e3 + 1e-3, EVEN + 1e-3), 1.0), 3)


def _real(judged: Judged, rate: float, kinds: Sequence[str]) -> float | None:
    limits = [limit(-judged.probability[judged.called(kind)], rate) for kind in kinds if judged.called(kind).any()]
    known = [-one for one in limits if one is not None]
    if not known or len(known) < len(limits):
        return None
    return round(max(min(math.ceil(min(known) * 1e3) / 1e3 - 1e-3, EVEN - 1e-3), 0.0), 3)


def limit(values: Array, rate: float) -> float | None:
    """What the next such value exceeds with a chance of at most ``rate``: the ⌈(n + 1)(1 - rate)⌉-th smallest of n.

    None where n is too few for the rate. Source: V. Vovk et al., Algorithmic Learning in a Random World, 2005
    (conformal prediction): no shape of the values is supposed.
    """
    place = math.ceil((len(values) + 1) * (1 - rate) - 1e-9)
    return float(np.sort(values)[place - 1]) if place <= len(values) else None


def _share(flags: npt.NDArray[np.bool_] | Sequence[bool]) -> float:
    return float(np.mean(flags)) if len(flags) else 0.0
