"""Forgeries that imitate generators: pictures, or their head, down-scaled and up-scaled again.

Generators leave no sensor noise, clean texture, sharp edges and their up-scaler's pattern; the content stays the same.
Degradations come later, alike for original and forgery (`training.visual.degradations`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from training.visual.faces import Image
from training.visual.masks import Rng

Picture = npt.NDArray[np.float32]  # RGB [h, w, 3] within 0 to 255
Network = Callable[[Image], Image]  # training.visual.redrawing.Upscaler
Box = Sequence[float]

_SIDES = (96, 224)  # pixels of the longer side after down-scaling
_MOST = 0.8  # of the picture's side at most
_ROOM = 0.6  # margin of the head around a face, in sides of the face
_UP = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def headed(picture: Image, box: Box, networks: Sequence[Network], rng: Rng) -> Image:
    """The head re-rendered by a network and pasted with a soft edge, as SadTalker does."""
    x0, y0, x1, y1 = _head(picture, box)
    drawn = redrawn(picture[y0:y1, x0:x1], box, networks, rng)
    across, down = (x1 - x0) // 10 + 1, (y1 - y0) // 10 + 1
    mask = np.zeros((y1 - y0, x1 - x0), np.float32)
    mask[down:-down, across:-across] = 1
    soft = cv2.GaussianBlur(mask, (0, 0), max(across, down) / 3)[..., None]
    whole, real = picture.copy(), picture[y0:y1, x0:x1].astype(np.float32)
    whole[y0:y1, x0:x1] = (real + (drawn - real) * soft).round()
    return whole


def redrawn(picture: Image, box: Box, networks: Sequence[Network], rng: Rng) -> Image:
    """The whole picture down-scaled and up-scaled by a network."""
    del box
    large = networks[int(rng.integers(len(networks)))](_bytes(_small(picture, rng)))
    way = cv2.INTER_AREA if large.shape[0] > picture.shape[0] else cv2.INTER_CUBIC
    return _bytes(cv2.resize(large, picture.shape[1::-1], interpolation=way))


def smoothed(picture: Image, box: Box, networks: Sequence[Network], rng: Rng) -> Image:
    """The whole picture down-scaled, denoised and up-scaled without a network; half of the time sharpened."""
    del box, networks
    small, style = _small(picture, rng), rng.integers(4)
    if style == 0:
        small = np.asarray(cv2.GaussianBlur(small, (0, 0), rng.uniform(0.4, 1.0)), np.float32)
    elif style == 1:
        small = np.asarray(cv2.bilateralFilter(small, 5, rng.uniform(8, 30), rng.uniform(1, 3)), np.float32)
    elif style == 2:
        small = cv2.medianBlur(_bytes(small), 3).astype(np.float32)
    large = cv2.resize(small, picture.shape[1::-1], interpolation=int(rng.choice(_UP)))
    if rng.random() < 0.5:
        amount = rng.uniform(0.3, 1.5)
        large = cv2.addWeighted(large, 1 + amount, cv2.GaussianBlur(large, (0, 0), 1.2), -amount, 0)
    return _bytes(large)


METHODS: Mapping[str, Callable[[Image, Box, Sequence[Network], Rng], Image]] = {
    "head": headed,
    "redrawn": redrawn,
    "smoothed": smoothed,
}


def _head(picture: Image, box: Box) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = box
    dx, dy = _ROOM * (x1 - x0), _ROOM * (y1 - y0)
    height, width = picture.shape[:2]
    return max(0, int(x0 - dx)), max(0, int(y0 - dy)), min(width, int(x1 + dx)), min(height, int(y1 + dy))


def _small(picture: Image, rng: Rng) -> Picture:
    longer = max(picture.shape[:2])
    scale = min(_MOST, float(rng.uniform(*_SIDES)) / longer)
    sides = [max(8, round(side * scale)) for side in picture.shape[1::-1]]
    return cv2.resize(picture.astype(np.float32), sides, interpolation=cv2.INTER_AREA).astype(np.float32)


def _bytes(picture: Any) -> Image:
    return np.clip(np.asarray(picture, np.float32) + 0.5, 0, 255).astype(np.uint8)
