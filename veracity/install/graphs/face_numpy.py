"""The face detectors' last steps again, in plain NumPy: what the graph is held against before it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.floating[Any]]
Raw = Mapping[str, Floats]
Faces = tuple[Floats, Floats, Floats]  # boxes [n, 4], scores [n], landmarks [n, 5, 2]
Decoder = Callable[[Raw, int, "tuple[int, int]"], Faces]


def centerface(raw: Raw, image: int, sides: tuple[int, int]) -> Faces:
    """Decode one image of CenterFace's outputs heat, size, offset and mark; ``sides`` is (height, width)."""
    heat, size, offset, mark = (raw[name][image] for name in ("heat", "size", "offset", "mark"))
    rows, columns = np.mgrid[: sides[0] // 4, : sides[1] // 4]
    height, width = 4 * np.exp(size)
    x0 = 4 * (columns + offset[1] + 0.5) - width / 2
    y0 = 4 * (rows + offset[0] + 0.5) - height / 2
    boxes = np.stack([x0, y0, x0 + width, y0 + height], axis=-1)
    points = np.stack([mark[1::2] * width + x0, mark[0::2] * height + y0], axis=-1).transpose(1, 2, 0, 3)
    return _floats(boxes.reshape(-1, 4), heat.ravel(), points.reshape(-1, 5, 2))


def yunet(raw: Raw, image: int, sides: tuple[int, int]) -> Faces:
    """Decode one image of YuNet's outputs cls, obj, bbox and kps, each at the strides 8, 16 and 32."""
    boxes, scores, points = [], [], []
    for stride in (8, 16, 32):
        cls, obj, bbox, kps = (raw[f"{head}_{stride}"][image] for head in ("cls", "obj", "bbox", "kps"))
        columns = sides[1] // stride
        for cell in range(len(cls)):
            at = np.array([cell % columns, cell // columns])
            middle, size = (bbox[cell, :2] + at) * stride, np.exp(bbox[cell, 2:]) * stride
            boxes.append(np.concatenate([middle - size / 2, middle + size / 2]))
            scores.append(float(np.sqrt(cls[cell, 0] * obj[cell, 0])))
            points.append((kps[cell].reshape(5, 2) + at) * stride)
    return _floats(np.array(boxes), np.array(scores), np.array(points))


def detect(decode: Decoder, raw: Raw, sides: tuple[int, int], threshold: float, overlap: float, count: int) -> Faces:
    """Decode a batch and keep the best ``count`` faces an image: [batch, count, …], zeros behind them."""
    batch = len(next(iter(raw.values())))
    boxes, scores = np.zeros((batch, count, 4), np.float32), np.zeros((batch, count), np.float32)
    points = np.zeros((batch, count, 5, 2), np.float32)
    for image in range(batch):
        found = decode(raw, image, sides)
        for rank, k in enumerate(_keep(found[0], found[1], threshold, overlap)[:count]):
            boxes[image, rank], scores[image, rank], points[image, rank] = (part[k] for part in found)
    return boxes, scores, points


def _keep(boxes: Floats, scores: Floats, threshold: float, overlap: float) -> list[int]:
    kept: list[int] = []
    for k in np.argsort(-scores, kind="stable"):
        if scores[k] <= threshold:
            break
        if all(_iou(boxes[k], boxes[other]) <= overlap for other in kept):
            kept.append(int(k))
    return kept


def _iou(a: Floats, b: Floats) -> float:
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(0.0, float(width)) * max(0.0, float(height))
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (a, b)]
    return shared / (sum(areas) - shared)


def _floats(
    boxes: NDArray[np.floating[Any]], scores: NDArray[np.floating[Any]], points: NDArray[np.floating[Any]]
) -> Faces:
    return boxes.astype(np.float32), scores.astype(np.float32), points.astype(np.float32)
