"""PNG files for people: a crop, the heat map over it, a strip of mouths, a spectrogram. Every function is pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

STEPS = 16  # of colour in a heat map: bands, which a PNG packs well, and no more than a few cells can tell
SHRINK = 0.8  # of its side that a picture is brought to where its file is too large
LEAST_SIDE = 32  # pixels, down to which it is


def png(image: Image) -> bytes:
    """Return a PNG of grey [H, W], RGB [H, W, 3] or RGBA [H, W, 4]."""
    swapped = image if image.ndim == 2 else image[..., [2, 1, 0, 3][: image.shape[2]]]  # OpenCV writes blue first
    return cv2.imencode(".png", swapped, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


def png_within(image: Image, side: int, most_bytes: int) -> tuple[bytes, int]:
    """Return a PNG of a picture [S, S, 3] and its side: at most ``side``, smaller where the file is too large."""
    side = min(side, len(image))
    found = png(_to(image, side))
    while len(found) > most_bytes and side > LEAST_SIDE:
        side = max(LEAST_SIDE, int(side * SHRINK))
        found = png(_to(image, side))
    return found, side


def heat_map(values: NDArray[np.floating[Any]], side: int) -> bytes:
    """Return a PNG of ``values`` [rows, columns], 0 to 1, as RGBA [side, side, 4]: the higher the less transparent."""
    smooth = cv2.resize(values.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    banded = np.floor(np.clip(smooth, 0, 1) * (STEPS - 1) + 0.5) / (STEPS - 1)
    grey = (255 * banded).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    return png(np.asarray(np.dstack([colours, grey]), np.uint8))


def strip(pictures: Sequence[Image], height: int) -> bytes:
    """Return a PNG of grey [H, W] or RGB [H, W, 3] pictures of one size side by side, ``height`` pixels high."""
    grey = [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) if one.ndim == 3 else one for one in pictures]
    rows, columns = grey[0].shape
    sides = (round(columns * height / rows), height)
    return png(np.hstack([np.asarray(cv2.resize(one, sides, interpolation=cv2.INTER_AREA), np.uint8) for one in grey]))


def _to(image: Image, side: int) -> Image:
    if len(image) == side:
        return image
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
