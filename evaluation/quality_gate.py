"""Whether a model's score follows the quality of a file: it must not, since quality is no evidence.

Rank correlations of each model's pooled score with each cue of quality, within real and within fake clips, where
nothing but the cue can be the reason.
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
from veracity.calibrate.fit import pooled
from veracity.calibrate.labelled_outputs import LabelledClip
from veracity.catalog.layers import FileKind
from veracity.decision.calibration import Calibrator

CUES = ("width", "fineness", "bytes_per_second", "sample_rate", "bandwidth", "loudness")
MOST = 0.2  # correlation, either way
FEWEST = 50  # clips of a label: of fewer a correlation of 0.2 is chance


@dataclass(frozen=True)
class Followed:
    """How a model's score goes with a cue among the ``clips`` of one label: Spearman's correlation, -1 to 1."""

    model: str
    kind: FileKind
    cue: str
    label: str
    clips: int
    correlation: float

    @property
    def too_much(self) -> bool:
        """Whether it is over MOST."""
        return abs(self.correlation) > MOST


def followed(rows: Sequence[LabelledClip]) -> Iterator[Followed]:
    """Every model on every kind of file, each cue and label, where FEWEST clips have both and neither is constant."""
    for model in sorted({model for row in rows for model in row.outputs}):
        for kind in get_args(FileKind):
            for fake in (False, True):
                own = [row for row in rows if row.fake == fake and row.file_kind == kind and model in row.outputs]
                chances = pooled(own, model, Calibrator()).tolist() if own else []
                for cue in CUES:
                    pairs = [(row.cues.get(cue), chance) for row, chance in zip(own, chances)]
                    known = [pair for pair in pairs if pair[0] is not None]
                    found = correlation(known) if len(known) >= FEWEST else None
                    if found is not None and np.isfinite(found):
                        yield Followed(model, kind, cue, "fake" if fake else "real", len(known), found)


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
        mark = " TOO MUCH" if one.too_much else ""
        sys.stdout.write(f"{one.model} {one.kind} {one.label} {one.cue} {one.clips} {one.correlation:+.2f}{mark}\n")
    worst = [one for one in found if one.too_much]
    if worst and not options.anyway:
        which = ", ".join(
            f"{one.model} ({one.kind}, {one.label}) follows {one.cue} {one.correlation:+.2f}" for one in worst
        )
        raise QualityFollowedError(f"allowed is {MOST} either way: {which}")
