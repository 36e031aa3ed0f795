"""What container, codec or loudness alone tell of a clip's label: a detector has to be better than each of them.

A cue is a number or a word of each clip, None where the clip has no such thing (:mod:`evaluation.cues` reads them).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from veracity.calibrate import metrics
from veracity.calibrate.metrics import Estimate, Unmeasurable

FEWEST = 5  # clips of a label that a correlation takes
Cue = float | str | None


def shortcuts(cues: Mapping[str, Sequence[Cue]], labels: npt.ArrayLike) -> list[dict[str, Any]]:
    """A row a cue, as JSON types: its ``cue``, the number of ``clips`` that have it, ``auc``, and what is ``fake``.

    ``cues`` map a name to the values of all clips [n], ``labels`` [n] are 1 for fake. ``fake`` says which values fakes
    have: ``more`` or ``less`` of a number, or ``by word``. Numbers have the 95 % interval of resampling clips, words
    the value alone. ``auc`` is None, and ``unmeasurable`` says why, where the clips with this cue are of one label. The
    surest shortcut comes first.
    """
    truth = np.asarray(labels, bool)
    rows = [_row(name, values, truth) for name, values in cues.items()]
    return sorted(rows, key=lambda row: -row["auc"]["value"] if row["auc"] else 0.0)


def _row(name: str, values: Sequence[Cue], truth: npt.NDArray[np.bool_]) -> dict[str, Any]:
    has = np.array([value is not None for value in values], bool)
    known = [value for value in values if value is not None]
    row: dict[str, Any] = {"cue": name, "clips": len(known)}
    try:
        if any(isinstance(value, str) for value in known):
            return row | {"fake": "by word", "auc": {"value": round(word_auc(list(map(str, known)), truth[has]), 4)}}
        auc, more = number_auc(np.array(known, np.float64), truth[has])
    except Unmeasurable as error:
        return row | {"fake": None, "auc": None, "unmeasurable": str(error)}
    return row | {"fake": "more" if more else "less", "auc": auc.to_dict()}


def number_auc(values: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Estimate, bool]:
    """AUC of a number [n] in the better direction, and whether fakes have more of it. Raises :class:`Unmeasurable`."""
    truth, given = metrics.checked(labels, values)
    found = metrics.interval(metrics.auc, truth, given)
    if found.value >= 0.5:
        return found, True
    return Estimate(1 - found.value, 1 - found.high, 1 - found.low), False


def word_auc(words: Sequence[str], labels: npt.ArrayLike) -> float:
    """AUC of a word [n]: each clip scores the share of fakes among the others with its word.

    Every pair of a fake and a real is compared by shares that count neither of the two. Leaving out one clip at a time
    would lower the share of each fake below that of the reals with the same word, and a word that all clips have would
    seem to tell them apart. A word that nobody else has is worth the share over all others. Source: Airola et al.,
    "A comparison of AUC estimators in small-sample studies", 2010. Raises :class:`Unmeasurable`.
    """
    truth, _ = metrics.checked(labels, np.zeros(len(words)))
    fakes = Counter(word for word, fake in zip(words, truth) if fake)
    reals = Counter(word for word, fake in zip(words, truth) if not fake)
    others = (int(truth.sum()) - 1) / (len(truth) - 2) if len(truth) > 2 else 0.5

    def of_pair(real: str, fake: str) -> float:
        if real == fake:
            return 0.5
        low = _rate(fakes[real], reals[real] - 1, others)
        high = _rate(fakes[fake] - 1, reals[fake], others)
        return float(np.heaviside(high - low, 0.5))

    won = sum(n * m * of_pair(real, fake) for real, n in reals.items() for fake, m in fakes.items())
    return won / (sum(reals.values()) * sum(fakes.values()))


def _rate(fakes: int, reals: int, otherwise: float) -> float:
    return fakes / (fakes + reals) if fakes + reals else otherwise


def correlations(cue: Sequence[Cue], scores: Sequence[float | None], labels: npt.ArrayLike) -> dict[str, float | None]:
    """Spearman's correlation of a number with the score, ``real`` and ``fake`` clips apart, -1 to 1.

    Within a label nothing but the cue can be the reason. None where fewer than five clips have both, or where either
    is the same for all. Lists are of the same clips [n].
    """
    truth = np.asarray(labels, bool)
    return {word: correlation([(a, b) for a, b, fake in zip(cue, scores, truth) if fake == label])
            for word, label in (("real", False), ("fake", True))}  # fmt: skip


def correlation(pairs: Sequence[tuple[Cue, float | None]]) -> float | None:
    """Spearman's of a number and a score; None where fewer than five clips have both, or either is the same for all."""
    both = np.array([(a, b) for a, b in pairs if isinstance(a, (int, float)) and b is not None], np.float64)
    if len(both) < FEWEST or (both == both[0]).all(axis=0).any():
        return None
    return round(float(spearmanr(both[:, 0], both[:, 1]).statistic), 4)
