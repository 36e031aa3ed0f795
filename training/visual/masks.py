"""Masks of altered regions: outlines in the mean face of `veracity.evidence.crops`, mapped to landmarks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from training.visual.faces import Face, Points
from veracity.evidence.crops import MEAN_FACE, similarity

Mask = npt.NDArray[np.float32]  # [h, w], 0 to 1
Rng = np.random.Generator

# Ellipses in the 256 × 256 pixels of the mean face: centre x, y, half axes x, y. A mask is one row of them.
OUTLINES: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "face": ((128, 132, 62, 84),),
    "inner": ((128, 130, 50, 54),),
    "lower": ((128, 168, 54, 46),),
    "mouth": ((130, 158, 36, 24),),
    "eyes": ((103, 94, 26, 18), (156, 94, 26, 18)),
    "centre": ((129, 128, 26, 40),),
    "head": ((128, 120, 88, 120),),
}
_CORNERS = 48  # of an outline


def unit(face: Face) -> float:
    """Pixels of the picture to one of the mean face."""
    turn = similarity(MEAN_FACE, face.landmarks)
    return float(np.hypot(turn[0, 0], turn[1, 0]))


def outline(face: Face, name: str, rng: Rng) -> Mask:
    """The mask with hard edges: its ellipses pulled about by up to a fifth, some of them with corners."""
    mask = np.zeros(face.context.shape[:2], np.float32)
    turn = similarity(MEAN_FACE, face.landmarks)
    grow, shift = rng.uniform(0.85, 1.15, 2), rng.normal(0, 4, 2)
    for ellipse in OUTLINES[name]:
        points = _polygon(np.array(ellipse), grow, shift, rng)
        placed = points @ turn[:, :2].T + turn[:, 2]
        cv2.fillPoly(mask, [placed.round().astype(np.int32)], (1.0,))
    return mask


def _polygon(ellipse: npt.NDArray[Any], grow: npt.NDArray[Any], shift: npt.NDArray[Any], rng: Rng) -> Points:
    corners = int(rng.choice([7, 9, 12, _CORNERS, _CORNERS]))
    angle = 2 * np.pi * (np.arange(corners) + rng.uniform(0, 0.7, corners)) / corners
    radius = np.ones_like(angle)
    for wave in (1, 2, 3):
        radius += rng.normal(0, 0.06 / wave) * np.sin(wave * angle + rng.uniform(0, 2 * np.pi))
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]
    return np.asarray(ellipse[:2] + shift + circle * ellipse[2:] * grow)


def box(face: Face, rng: Rng, lower: bool) -> Mask:
    """The detector's rectangle, a little off, or its lower half, with hard edges: what Wav2Lip pastes."""
    mask = np.zeros(face.context.shape[:2], np.float32)
    x0, y0, x1, y1 = face.box
    width, height = x1 - x0, y1 - y0
    if lower:
        y0 += height * rng.uniform(0.4, 0.6)
    off = rng.normal(0, 0.04, 4) * (width, height, width, height)
    left, top, right, bottom = (round(v) for v in (x0 + off[0], y0 + off[1], x1 + off[2], y1 + off[3] + height * 0.05))
    mask[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = 1.0
    return mask


def soften(mask: Mask, sigma: float) -> Mask:
    """Blurred by ``sigma`` pixels, from the edge inwards, so that nothing outside is touched by much."""
    if sigma < 0.3:
        return mask
    blurred = cv2.GaussianBlur(mask, (0, 0), sigma)
    return np.asarray(np.clip(blurred * 2 - 1, 0, 1) if sigma > 1.5 else blurred, np.float32)
