"""Histograms of the calibration's clips, and how far another one is from them (PSI)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Values = Sequence[float | str | None]

BINS = 10  # of numbers, as many of the calibration's clips in each
MOST_WORDS = 20
_HALF = 0.5  # a count added to every bin: an empty one would make the index infinite


class Histogram(msgspec.Struct, frozen=True, omit_defaults=True):
    """Counts of the calibration's real and fake clips by bins.

    Numbers have a bin below each of ``edges``, one above them all, and one for "no value"; words have a bin each, and
    one for all others.
    """

    real: tuple[int, ...]
    fake: tuple[int, ...]
    edges: tuple[float, ...] = ()
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        bins = len(self.words) + 1 if self.words else len(self.edges) + 2
        if len(self.real) != bins or len(self.fake) != bins:
            raise ValueError(f"{bins} bins, but {len(self.real)} and {len(self.fake)} counts")
        if not sum(self.real) or not sum(self.fake):
            raise ValueError("no real or no fake clips")

    @classmethod
    def of(cls, values: Values, fakes: npt.NDArray[np.bool_]) -> Histogram | None:
        """Count the calibration's clips; None where they all are alike, or all of one label."""
        bins = _bins(values)
        if bins is None or fakes.all() or not fakes.any():
            return None
        edges, words = bins
        ones = (1,) * (len(words) + 1 if words else len(edges) + 2)
        counted = cls(ones, ones, edges, words)
        real, fake = (counted.count([v for v, f in zip(values, fakes) if f == which]) for which in (False, True))
        return cls(tuple(map(int, real)), tuple(map(int, fake)), edges, words)

    def count(self, values: Values) -> npt.NDArray[np.intp]:
        """Count values by these bins, [bins]."""
        if self.words:
            places = [self.words.index(str(v)) if str(v) in self.words else len(self.words) for v in values]
        else:
            numbers = [float(v) for v in values if v is not None]
            none = [len(self.edges) + 1] * (len(values) - len(numbers))
            places = [*np.searchsorted(self.edges, numbers, side="right").tolist(), *none]
        return np.bincount(np.array(places, np.intp), minlength=len(self.real))

    def names(self) -> list[str]:
        """Return the bins in words."""
        if self.words:
            return [*self.words, "others"]
        edges = [f"{edge:g}" for edge in self.edges]
        inner = [f"{low} to {high}" for low, high in pairwise(edges)]
        return [f"under {edges[0]}", *inner, f"{edges[-1]} and more", "no value"]

    def mixed(self, share: float) -> tuple[Array, float]:
        """Return the shares of the bins, [bins], where this ``share`` is fake, and how many clips they are worth."""
        real, fake = np.array(self.real, float), np.array(self.fake, float)
        worth = 1 / (share**2 / fake.sum() + (1 - share) ** 2 / real.sum())
        return share * fake / fake.sum() + (1 - share) * real / real.sum(), worth


def _bins(values: Values) -> tuple[tuple[float, ...], tuple[str, ...]] | None:
    words = [value for value in values if isinstance(value, str)]
    if words:
        return (), tuple(sorted(word for word, _ in Counter(words).most_common(MOST_WORDS)))
    numbers = np.array([value for value in values if value is not None], float)
    if not len(numbers):
        return None
    cuts = np.quantile(numbers, np.arange(1, BINS) / BINS)
    edges = np.unique([float(f"{cut:.4g}") for cut in cuts])
    edges = edges[(edges > numbers.min()) & (edges <= numbers.max())]
    return (tuple(map(float, edges)), ()) if len(edges) else None


@dataclass(frozen=True)
class Shift:
    """The index of ``clips`` files, what it may be by chance, and the bin that moved most."""

    psi: float
    chance: float
    clips: int
    moved: str
    expected: float
    found: float


def shift(histogram: Histogram, values: Values, share: float, sure: float) -> Shift:
    """Compare files with the calibration's clips, mixed so that this ``share`` of them is fake.

    PSI is the sum of (found - expected) · ln(found / expected) over the bins' shares. Of n and m clips of one kind it
    is about χ² with a degree of freedom less than there are bins, times 1/n + 1/m: ``chance`` is what it exceeds with a
    chance of 1 - ``sure``. Source: B. Yurdakul and J. Naranjo, Statistical properties of the population stability
    index, 2020.
    """
    from scipy.stats import chi2

    counts = histogram.count(values).astype(float)
    shares, worth = histogram.mixed(share)
    there = (counts > 0) | (shares > 0)
    found, expected = (np.where(there, each + _HALF, 0) for each in (counts, shares * worth))
    found, expected = found / found.sum(), expected / expected.sum()
    parts = np.zeros(len(found))
    parts[there] = (found - expected)[there] * np.log(found[there] / expected[there])
    most = int(parts.argmax())
    chance = float(chi2.ppf(sure, max(int(there.sum()) - 1, 1))) * (1 / max(len(values), 1) + 1 / worth)
    where = histogram.names()[most]
    return Shift(float(parts.sum()), chance, len(values), where, float(expected[most]), float(found[most]))
