"""Lips with the face round them, cut as mouths are and wider: what the lip starter looks at.

A tool that repaints a mouth pastes a box or the lower half of a face. The mouth alone shows only what was pasted;
beside cheeks, eyes and what is behind the chin one sees that it is smoother or sharper than the rest of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from veracity.catalog.layers import LIP_SIZE as SIDE  # the eyes lie 53 pixels apart
from veracity.evidence.crops import MEAN_FACE, Image, Points, luma, similarity, smooth

MOUTH_ROWS, MOUTH_COLUMNS = slice(48, 96), slice(40, 104)  # of lips: the mouth without the face round it
STEP = 1.0  # grey levels from one frame to the next, on average over the mouth, that are more than noise of a codec
LEAST_STEPS = 6  # of the 24 in a second


def lip_crops(frames: Sequence[Image], landmarks: Points) -> Image:
    """Cut a second of lips: grey uint8 [n, 144, 144] round the mouth, out of ``frames`` uint8 [H, W] or [H, W, 3].

    ``landmarks`` [n, 5, 2] are one face's in every frame, in the order of ``crops.LANDMARKS``. The alignment
    follows them smoothed, the mouth is in the middle where it is. Raises ValueError when the numbers differ.
    """
    if len(frames) != len(landmarks) or np.shape(landmarks)[1:] != (5, 2):
        raise ValueError(f"{len(frames)} frames want landmarks [{len(frames)}, 5, 2], got {np.shape(landmarks)}")
    aligned = [similarity(points, MEAN_FACE) for points in smooth(landmarks)] if len(frames) else []
    cut = [_cut(frame, turn, points[3:]) for frame, turn, points in zip(frames, aligned, landmarks)]
    return np.stack(cut) if cut else np.empty((0, SIDE, SIDE), np.uint8)


def moves(lips: Image) -> bool:
    """Return whether the mouth moves in a second of lips, uint8 [n, 144, 144].

    A still mouth says nothing of lips: a photograph beside a speaker, a frozen call. In 80 seconds of others' films a
    photograph changed in at most 3 of 24 steps, a mouth that moves in 8 or more.
    """
    mouths = lips[:, MOUTH_ROWS, MOUTH_COLUMNS].astype(np.int16)
    steps = np.abs(np.diff(mouths, axis=0)).mean(axis=(1, 2))
    return int((steps > STEP).sum()) >= min(LEAST_STEPS, len(steps))


def _cut(frame: Image, to_face: Points, mouth: Points) -> Image:
    middle = to_face @ (*np.asarray(mouth, np.float64).mean(axis=0), 1.0)
    corner = [round(float(v)) - SIDE // 2 for v in middle]
    shifted = np.column_stack([to_face[:, :2], to_face[:, 2] - corner])
    return np.asarray(cv2.warpAffine(luma(frame), shifted, (SIDE, SIDE), flags=cv2.INTER_LINEAR), np.uint8)
