"""Scores as CSV, a row a clip."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from veracity.calibrate.scores import ScoredClip
from veracity.catalog import LAYERS


def score_table(clips: Sequence[ScoredClip]) -> str:
    """CSV, a row a clip: its manifest entry, the verdict and the score of each layer."""
    keys = [layer.key for layer in LAYERS]
    head = ("id", "path", "kind", "label", "split", "source", "how", "seconds", "predicted_label", "fake_probability")
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow((*head, *keys, *(f"{key}_status" for key in keys), "error"))
    for one in clips:
        layers = [one.layers.get(key) for key in keys]
        scores = [layer.fake_probability if layer else None for layer in layers]
        statuses = [layer.status if layer else None for layer in layers]
        writer.writerow((*(getattr(one, name) for name in head), *scores, *statuses, one.error))
    return file.getvalue()
