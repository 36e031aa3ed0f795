"""The engine's crops against those of the detectors' authors."""

from __future__ import annotations

from typing import Any

import numpy as np

from export.graph import error
from export.parity import Arrays, Golden
from veracity.evidence.crops import face_box, mouth_crop, similarity

STABLE = [33, 36, 39, 42, 45]  # of 68 landmarks: the points that LipForensics aligns by
MOUTH = slice(48, 68)


def faces(facts: dict[str, Any], _arrays: Arrays) -> float:
    """The largest difference in pixels between a side of our box and of SelfBlendedImages'."""
    pairs = [(face_box(case["frame"][::-1], case["bbox"]), case["crop"]) for case in facts["cases"]]
    return float(np.max([np.abs(np.subtract(ours, theirs)) for ours, theirs in pairs]))


def mouths(_facts: dict[str, Any], arrays: Arrays) -> float:
    """The largest difference from LipForensics' alignments, and from its mouths.

    Its preparation cuts fractions of a grey level off where ours rounds, so a level of ours may be theirs or one more.
    """
    errors = []
    mean_face = arrays["mean_face68"][STABLE]
    for k, points in enumerate(arrays["landmarks68"]):
        to_face = similarity(points[STABLE], mean_face)
        more = mouth_crop(arrays["images"][k], to_face, points[MOUTH]).astype(float) - arrays["mouths"][k]
        beyond = np.maximum(-more, more - 1).clip(min=0)
        errors += [error(to_face, arrays["similarity"][k, :2]), float(beyond.max()) / 255]
    return float(np.max(errors))


CASES = {"sbi_face_crop": Golden(numpy=faces), "lipforensics_mouth_crop": Golden(numpy=mouths)}
