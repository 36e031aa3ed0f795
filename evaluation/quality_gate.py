"""Whether a model's score follows the quality of a file: it must not, since quality is no evidence.

Rank correlations of each model's calibrated score with each cue of quality, within real and within fake clips: over all
of them, and within their sources, where nothing but the cue can be the reason. A source is as wide as its camera, so
that what goes over all clips tells of few sources as well.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import get_args

import numpy as np

from evaluation import record
from evaluation.shortcuts import correlation
from veracity.calibrate import labelled_outputs
from veracity.calibrate.errors import ManifestError
from veracity.calibrate.fit import FEWEST, MOST, pooled
from veracity.calibrate.job import fits_of
from veracity.calibrate.labelled_outputs import LabelledClip
from veracity.catalog import MODELS
from veracity.catalog.layers import FileKind
from veracity.decision.calibration import Calibrator
from veracity.decision.fusion import log_odds

PICTURES, SOUND = (
    ("width", "fineness", "bytes_per_second"),
    ("bytes_per_second", "sample_rate", "bandwidth", "loudness"),
)
CUES = tuple(dict.fromkeys((*PICTURES, *SOUND)))


@dataclass(frozen=True)
class Followed:
    """How a model's score goes with a cue among the ``clips`` of one label: Spearman's correlations, -1 to 1.

    ``correlation`` is over all of them, ``within`` over how far each lies from the mean of its source, None where fewer
    than FEWEST share one. A ``silent`` model separates nothing, and its score counts nowhere.
    """

    model: str
    kind: FileKind
    cue: str
    label: str
    clips: int
    correlation: float
    within: float | None
    silent: bool

    @property
    def judged(self) -> float:
        """The one that the gate judges by."""
        return self.correlation if self.within is None else self.within

    @property
    def too_much(self) -> bool:
        """Whether it is over MOST, in a score that counts."""
        return abs(self.judged) > MOST and not self.silent


def followed(rows: Sequence[LabelledClip]) -> Iterator[Followed]:
    """Every model on every kind of file, each cue and label, where FEWEST clips have both and neither is constant.

    The scores are as `veracity calibrate` would calibrate them, and as the graphs gave them where they are silent.
    """
    models = sorted({model for row in rows for model in row.outputs})
    moving, still = (fits_of(rows, models, kinds) for kinds in (("sound", "film"), ("still",)))
    for model in models:
        for kind in get_args(FileKind):
            fitted = (still if kind == "still" else moving).get(model)
            silent = fitted is not None and fitted.calibrator.uninformative
            scale = Calibrator() if fitted is None or silent else fitted.calibrator
            for fake in (False, True):
                own = [row for row in rows if row.fake == fake and row.file_kind == kind and model in row.outputs]
                scores = log_odds(pooled(own, model, scale)) if own else np.zeros(0)
                for cue in cues_of(model):
                    known = [
                        (row.source, float(value), float(score))
                        for row, score in zip(own, scores)
                        if isinstance(value := row.cues.get(cue), (int, float))
                    ]
                    over_all = _correlation([pair[1:] for pair in known])
                    if over_all is not None:
                        label = "fake" if fake else "real"
                        yield Followed(model, kind, cue, label, len(known), over_all, _within(known), silent)


def cues_of(model: str) -> tuple[str, ...]:
    """The cues of what a model looks at or listens to: with the others its score goes by chance alone."""
    layer = MODELS[model].layer
    return SOUND if layer == "audio" else CUES if layer == "lipsync" else PICTURES


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """None of fewer than FEWEST pairs, or where one of the two is constant."""
    found = correlation(pairs) if len(pairs) >= FEWEST else None
    return found if found is not None and np.isfinite(found) else None


def _within(known: Sequence[tuple[str, float, float]]) -> float | None:
    """The correlation of how far each of the (source, cue, score) lies from the means of its source."""
    by_source: dict[str, list[tuple[float, float]]] = {}
    for source, cue, score in known:
        by_source.setdefault(source, []).append((cue, score))
    beside = [np.array(pairs) for pairs in by_source.values() if len(pairs) > 1]
    apart = [(pairs - pairs.mean(axis=0)).tolist() for pairs in beside]
    return _correlation([(cue, score) for pairs in apart for cue, score in pairs])


class QualityFollowedError(ManifestError):
    """Some score follows quality; the message names which."""


def run(options: argparse.Namespace) -> None:
    """Print and write every correlation of ``options.scores``.

    Raises QualityFollowedError where one is too much, unless ``options.anyway``.
    """
    found = list(followed(labelled_outputs.read(options.scores)))
    if not found:
        raise ManifestError(
            f"no model has {FEWEST} clips of a label with cues in {', '.join(map(str, options.scores))}"
        )
    models = sorted({one.model for one in found})
    record.write("quality_gate", {"models": dict.fromkeys(models), "rows": [asdict(one) for one in found]}, options.out)
    for one in found:
        mark = " silent" if one.silent else " TOO MUCH" if one.too_much else ""
        within = "" if one.within is None else f", within sources {one.within:+.2f}"
        about = f"{one.model} {one.kind} {one.label} {one.cue} {one.clips}"
        sys.stdout.write(f"{about} {one.correlation:+.2f}{within}{mark}\n")
    worst = [one for one in found if one.too_much]
    if worst and not options.anyway:
        which = ", ".join(f"{one.model} ({one.kind}, {one.label}) follows {one.cue} {one.judged:+.2f}" for one in worst)
        raise QualityFollowedError(f"allowed is {MOST} either way: {which}")
