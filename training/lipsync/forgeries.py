"""Forged mouths: artefacts of machine dubbing in a second of video.

Each frame's mouth is taken from the same or another moment, moved, rendered small without camera noise, frame by frame,
and blended in. Outside the masks the video is unchanged, to the bit. Degradations come later, alike for original and
forgery (`training.lipsync.degradations`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.lipsync.extract import Image, Points
from training.visual.faces import Face
from training.visual.masks import Mask, Rng, box, outline, soften, unit
from veracity.evidence.crops import similarity

Picture = npt.NDArray[np.float32]  # grey [h, w] within 0 to 255
_UP = (cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


@dataclass(frozen=True)
class Manner:
    """How a kind of tool works: which moments the mouth comes from, its resolution, what is pasted.

    ``sides`` is the range of the rendered face's side in pixels; (0, 0) keeps the original. ``flicker`` is how much
    each frame differs from the others in sharpness, brightness and place, ``talk`` how far the mouth is moved.
    """

    times: tuple[str, ...]
    sides: tuple[float, float]
    masks: tuple[str, ...]
    flicker: tuple[float, float]
    talk: float


METHODS: Mapping[str, Manner] = {
    # Wav2Lip and similar: a face of 96 pixels, its box or the lower half of it pasted back with hard edges
    "painted": Manner(("same", "same", "late"), (70, 130), ("box", "half", "half"), (0.0, 1.0), 0.2),
    # newer dubbing: 128 to 256 pixels, a mask round mouth and chin with soft edges
    "blended": Manner(("same", "same", "late"), (90, 220), ("lower", "lower", "mouth"), (0.0, 0.8), 0.2),
    "retimed": Manner(("shuffled", "reversed", "late", "slow"), (0, 0), ("lower", "mouth"), (0.0, 0.4), 0.0),
    "frozen": Manner(("held", "held", "stuttering"), (0, 0), ("lower", "mouth"), (0.0, 0.3), 0.0),
    "steady": Manner(("mean",), (0, 0), ("lower", "mouth", "half"), (0.0, 0.3), 0.1),
    "flickering": Manner(("same",), (100, 240), ("lower", "half", "mouth"), (0.8, 2.0), 0.1),
}


def forge(scene: Image, landmarks: Points, boxes: Points, method: str, rng: Rng) -> tuple[Image, Mask]:
    """The scene uint8 [25, h, w] with a forged mouth, and the masks [25, h, w] of the blending."""
    manner = METHODS[method]
    faces = [Face(*one) for one in zip(scene, [tuple(b) for b in _eased(boxes, rng)], landmarks)]
    time = str(rng.choice(manner.times))
    source = _moments(scene, landmarks, time, rng)
    source = _talking(source, faces, manner.talk, rng)
    drawn = _drawn(source, faces, manner, rng)
    masks = _masks(faces, str(rng.choice(manner.masks)), rng)
    ratio = np.float32(rng.choice([0.7, 1.0, 1.0, 1.0]))
    return _blend(scene, drawn, masks * ratio), masks


def _eased(boxes: Points, rng: Rng) -> Points:
    """Boxes as a tool tracks a face: averaged over 5 frames or not at all."""
    if rng.random() < 0.5:
        return boxes
    padded = np.pad(boxes, ((2, 2), (0, 0)), mode="edge")
    eased: Points = np.mean([padded[k : k + len(boxes)] for k in range(5)], axis=0)
    return eased


def _moments(scene: Image, landmarks: Points, time: str, rng: Rng) -> list[Picture]:
    """For each frame the picture whose mouth it will show, aligned to the face."""
    count = len(scene)
    order = _order(count, time, rng)
    if time == "mean":
        reach = int(rng.integers(1, 4))
        return [_mean_of(scene, landmarks, k, reach) for k in range(count)]
    return [_brought(scene, landmarks, int(source), k) for k, source in enumerate(order)]


def _order(count: int, time: str, rng: Rng) -> npt.NDArray[np.int64]:
    now = np.arange(count)
    if time == "late":
        return np.clip(now + int(rng.choice([-1, 1])) * int(rng.integers(3, 13)), 0, count - 1)
    if time == "shuffled":
        size = int(rng.choice([1, 1, 2, 3, 5]))
        parts = np.array_split(now, -(-count // size))
        return np.concatenate([parts[k] for k in rng.permutation(len(parts))])
    if time == "reversed":
        return now[::-1].copy()
    if time == "slow":
        return np.asarray(now * rng.uniform(0.3, 0.7) + rng.integers(0, 8), np.int64).clip(0, count - 1)
    if time == "stuttering":
        step = int(rng.integers(2, 6))
        return now // step * step
    if time == "held":
        start, length = int(rng.integers(0, count // 2)), int(rng.integers(8, count + 1))
        return np.where((now >= start) & (now < start + length), start, now)
    return now


def _brought(scene: Image, landmarks: Points, source: int, target: int) -> Picture:
    picture: Picture = scene[source].astype(np.float32)
    if source == target:
        return picture
    turn = similarity(landmarks[source], landmarks[target])
    size = picture.shape[::-1]
    return np.asarray(
        cv2.warpAffine(picture, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32
    )


def _mean_of(scene: Image, landmarks: Points, middle: int, reach: int) -> Picture:
    near = range(max(0, middle - reach), min(len(scene), middle + reach + 1))
    return np.asarray(np.mean([_brought(scene, landmarks, k, middle) for k in near], axis=0), np.float32)


def _talking(pictures: list[Picture], faces: list[Face], amount: float, rng: Rng) -> list[Picture]:
    """The mouth opened and closed at the pace of speech, unlike the original, and slightly warped."""
    if not amount or rng.random() < 0.25:
        return pictures
    knots = rng.normal(0, amount, (2 + len(pictures) // int(rng.integers(3, 7)), 2))
    at = np.linspace(0, len(pictures) - 1, len(knots))
    pulls = np.stack([np.interp(np.arange(len(pictures)), at, knot) for knot in knots.T], axis=1)
    return [_pulled(picture, face, pull) for picture, face, pull in zip(pictures, faces, pulls)]


def _pulled(picture: Picture, face: Face, pull: npt.NDArray[np.float64]) -> Picture:
    middle, reach = face.landmarks[3:].mean(axis=0), unit(face) * 26
    x0, y0 = np.maximum(middle - 3 * reach, 0).astype(int)
    x1, y1 = np.minimum(middle + 3 * reach + 1, picture.shape[::-1]).astype(int)
    if x1 <= x0 or y1 <= y0:
        return picture
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    near = np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / (2 * reach**2)).astype(np.float32)
    across = x + near * np.float32(pull[0] / 3) * (x - np.float32(middle[0]))
    down = y + near * np.float32(pull[1]) * (y - np.float32(middle[1]))
    out = picture.copy()
    out[y0:y1, x0:x1] = cv2.remap(picture, across.astype(np.float32), down.astype(np.float32), cv2.INTER_LINEAR,
                                  borderMode=cv2.BORDER_REFLECT)  # fmt: skip
    return out


def _drawn(pictures: list[Picture], faces: list[Face], manner: Manner, rng: Rng) -> list[Picture]:
    """Each frame as from a network's decoder: small, without noise, slightly displaced."""
    width = float(np.median([face.box[2] - face.box[0] for face in faces]))
    side = float(np.exp(rng.uniform(*np.log(manner.sides)))) if manner.sides[0] else 0.0
    scale = min(1.0, side / width) if side else 1.0
    style, way, soft, sharper = int(rng.integers(4)), int(rng.choice(_UP)), rng.uniform(0.4, 1.0), rng.uniform(0, 1.2)
    flicker = rng.uniform(*manner.flicker)
    gain, shift = 1 + rng.normal(0, 0.03), rng.normal(0, 3)
    drawn = []
    for picture in pictures:
        own = scale * float(np.exp(rng.normal(0, 0.06 * flicker)))
        place = rng.normal(0, 0.35 * flicker, 2) if rng.random() < 0.7 else np.zeros(2)
        small = _decoded(_smaller(picture, own, place), style if side else 3, soft * (1 + 0.2 * flicker * rng.normal()))
        back = cv2.resize(small, picture.shape[::-1], interpolation=way) if small.shape != picture.shape else small
        if sharper > 0.8:
            back = back + (back - cv2.GaussianBlur(back, (0, 0), 1.2)) * np.float32(sharper - 0.4)
        level = np.float32(gain * (1 + 0.008 * flicker * rng.normal()))
        drawn.append(np.asarray(back * level + np.float32(shift + 0.8 * flicker * rng.normal()), np.float32))
    return drawn


def _smaller(picture: Picture, scale: float, place: npt.NDArray[np.float64]) -> Picture:
    """Smaller by ``scale``, moved by ``place`` pixels of its own."""
    if place.any():
        matrix = np.array([[1, 0, place[0]], [0, 1, place[1]]])
        picture = np.asarray(cv2.warpAffine(picture, matrix, picture.shape[::-1], flags=cv2.INTER_LINEAR,
                                            borderMode=cv2.BORDER_REFLECT), np.float32)  # fmt: skip
    if scale >= 1:
        return picture
    size = [max(8, round(side * scale)) for side in picture.shape[::-1]]
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def _decoded(small: Picture, style: int, soft: float) -> Picture:
    if style == 0:
        return np.asarray(cv2.GaussianBlur(small, (0, 0), max(0.2, soft)), np.float32)
    if style == 1:
        return np.asarray(cv2.bilateralFilter(small, 5, 12 + 16 * max(0.1, soft), 1.5), np.float32)
    if style == 2:
        return np.asarray(cv2.medianBlur(np.clip(small, 0, 255).astype(np.uint8), 3), np.float32)
    return small


def _masks(faces: list[Face], shape: str, rng: Rng) -> Mask:
    """The same mask in every frame, where the face is."""
    seed = int(rng.integers(1 << 31))
    hard = shape in ("box", "half")
    sigma = float(rng.choice([0.0, 0.0, 0.6, 2.0])) if hard else unit(faces[0]) * float(rng.uniform(0.5, 8))
    masks = []
    for face in faces:
        again = np.random.default_rng(seed)
        mask = box(face, again, lower=shape == "half") if hard else outline(face, shape, again)
        masks.append(soften(mask, sigma))
    return np.stack(masks)


def _blend(scene: Image, drawn: list[Picture], masks: Mask) -> Image:
    real = scene.astype(np.float32)
    return np.clip((real + (np.stack(drawn) - real) * masks).round(), 0, 255).astype(np.uint8)
