"""Whether a model's score follows the quality of a file: it must not, since quality is no evidence.

Rank correlations of each model's calibrated score with each cue of quality, within real and within fake clips: over all
of them, and within their sources. A source is as wide as its camera, so that what goes over all clips tells of few
sources as well; and within a source the sharper clip may show something else. So what copies at another quality change
is correlated too: a clip and its copy differ in quality and in nothing else.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

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
FEWEST_PAIRS = 20  # that a correlation of changes takes; fewer than FEWEST are shown and not judged


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


@dataclass(frozen=True)
class Moved:
    """How the change of a model's score goes with that of a cue, from a clip to its copy: Spearman's, -1 to 1.

    ``pairs`` are those of one label whose cue changes, each counted both ways: a score that is lower in each copy, and
    each is coarser, goes with fineness. ``change`` is the mean change of the score, in log odds.
    """

    model: str
    kind: FileKind
    cue: str
    label: str
    pairs: int
    correlation: float
    change: float
    silent: bool

    @property
    def too_much(self) -> bool:
        """Whether it is over MOST, in a score that counts, of pairs enough."""
        return abs(self.correlation) > MOST and self.pairs >= FEWEST and not self.silent


@dataclass(frozen=True, eq=False)
class _Scored:
    """What a model says of the clips of one kind of file and one label: log odds [n]."""

    model: str
    kind: FileKind
    label: str
    silent: bool
    clips: Sequence[LabelledClip]
    scores: NDArray[np.float64]

    def known(self, cue: str) -> list[tuple[LabelledClip, float, float]]:
        """The clips with a number of that cue: it and the score."""
        return [
            (clip, float(value), float(score))
            for clip, score in zip(self.clips, self.scores)
            if isinstance(value := clip.cues.get(cue), (int, float))
        ]


def followed(rows: Sequence[LabelledClip]) -> Iterator[Followed]:
    """Every model on every kind of file, each cue and label, where FEWEST clips have both and neither is constant."""
    for one in _scored(rows):
        for cue in cues_of(one.model):
            known = [(clip.source, value, score) for clip, value, score in one.known(cue)]
            over_all = _correlation([pair[1:] for pair in known])
            if over_all is not None:
                within = _within(known)
                yield Followed(one.model, one.kind, cue, one.label, len(known), over_all, within, one.silent)


def moved(rows: Sequence[LabelledClip]) -> Iterator[Moved]:
    """Every model on every kind of file, each cue and label, where FEWEST_PAIRS of a clip and its copy differ in it."""
    for one in _scored(rows):
        for cue in cues_of(one.model):
            known = {clip.id: (clip.original, value, score) for clip, value, score in one.known(cue)}
            steps = [
                (value - known[original][1], score - known[original][2])
                for original, value, score in known.values()
                if original in known and value != known[original][1]
            ]
            back = [(-of_cue, -of_score) for of_cue, of_score in steps]
            related = _correlation([*steps, *back], 2 * FEWEST_PAIRS)
            if related is not None:
                change = float(np.mean([of_score for _, of_score in steps]))
                yield Moved(one.model, one.kind, cue, one.label, len(steps), related, change, one.silent)


def _scored(rows: Sequence[LabelledClip]) -> Iterator[_Scored]:
    """Scores as `veracity calibrate` would calibrate them; of silent models as the graphs gave them."""
    models = sorted({model for row in rows for model in row.outputs})
    moving, still = (fits_of(rows, models, kinds) for kinds in (("sound", "film"), ("still",)))
    for model in models:
        for kind in get_args(FileKind):
            fitted = (still if kind == "still" else moving).get(model)
            silent = fitted is not None and fitted.calibrator.uninformative
            scale = Calibrator() if fitted is None or silent else fitted.calibrator
            for fake in (False, True):
                own = [row for row in rows if row.fake == fake and row.file_kind == kind and model in row.outputs]
                if own:
                    scores = log_odds(pooled(own, model, scale))
                    yield _Scored(model, kind, "fake" if fake else "real", silent, own, scores)


def cues_of(model: str) -> tuple[str, ...]:
    """The cues of what a model looks at or listens to: with the others its score goes by chance alone."""
    layer = MODELS[model].layer
    return SOUND if layer == "audio" else CUES if layer == "lipsync" else PICTURES


def _correlation(pairs: Sequence[tuple[float, float]], fewest: int = FEWEST) -> float | None:
    """None of fewer than ``fewest`` pairs, or where one of the two is constant."""
    found = correlation(pairs) if len(pairs) >= fewest else None
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
    """Print every correlation of ``options.scores``, and write those of a kind of file as quality_gate_KIND.json.

    Raises QualityFollowedError where one is too much, unless ``options.anyway``.
    """
    rows = labelled_outputs.read(options.scores)
    found, changes = list(followed(rows)), list(moved(rows))
    lines: list[Followed | Moved] = [*found, *changes]
    if not lines:
        raise ManifestError(
            f"no model has {FEWEST} clips of a label with cues in {', '.join(map(str, options.scores))}"
        )
    for kind in sorted({one.kind for one in lines}):
        models = dict.fromkeys(sorted({one.model for one in lines if one.kind == kind}))
        own = [[asdict(one) for one in several if one.kind == kind] for several in (found, changes)]
        record.write(f"quality_gate_{kind}", {"models": models, **dict(zip(("rows", "pairs"), own))}, options.out)
    sys.stdout.writelines(f"{_line(one)}\n" for one in lines)
    worst = "; ".join(_reason(one) for one in lines if one.too_much)
    if worst and not options.anyway:
        raise QualityFollowedError(f"allowed is {MOST} either way: {worst}")


def _line(one: Followed | Moved) -> str:
    mark = " silent" if one.silent else " TOO MUCH" if one.too_much else ""
    about = f"{one.model} {one.kind} {one.label} {one.cue}"
    if isinstance(one, Moved):
        return f"{about} {one.pairs} pairs {one.correlation:+.2f}, changed by {one.change:+.2f}{mark}"
    within = "" if one.within is None else f", within sources {one.within:+.2f}"
    return f"{about} {one.clips} {one.correlation:+.2f}{within}{mark}"


def _reason(one: Followed | Moved) -> str:
    about = f"{one.model} ({one.kind}, {one.label})"
    if isinstance(one, Moved):
        return f"{about} moves with {one.cue} {one.correlation:+.2f} from a clip to its copy"
    return f"{about} follows {one.cue} {one.judged:+.2f}"
