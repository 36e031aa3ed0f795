"""Forgeries of a real face: artefacts of face swaps, dubbing, reenactment and generators.

Each method takes a face, another person's face and a random generator, and returns the altered picture with the mask
of the alteration. Outside the mask the picture is unchanged, to the bit. Degradations come later, alike for original
and forgery (`training.visual.degradations`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
import numpy.typing as npt

from training.visual.faces import Face, Image, Points
from training.visual.masks import Mask, Rng, box, outline, soften, unit
from veracity.evidence.crops import MEAN_FACE, similarity

Picture = npt.NDArray[np.float32]  # RGB [h, w, 3] within 0 to 255
_UP = (cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
_DOWN = (cv2.INTER_AREA, cv2.INTER_AREA, cv2.INTER_LINEAR)


def self_blended(face: Face, other: Face, rng: Rng) -> tuple[Image, Mask]:
    """The idea of Shiohara and Yamasaki (CVPR 2022): the face blended with its own altered copy."""
    del other
    mask = outline(face, str(rng.choice(["face", "face", "inner", "lower", "eyes", "centre"])), rng)
    source = _sharpness(_recoloured(face.context.astype(np.float32), 1.0, rng), rng)
    source = _moved(source, face, 0.03, rng)
    ratio = float(rng.choice([0.4, 0.6, 0.8, 1.0, 1.0, 1.0]))
    return _blend(face, source, soften(mask, _edge(face, rng)) * np.float32(ratio))


def swapped(face: Face, other: Face, rng: Rng) -> tuple[Image, Mask]:
    """Another person's face, aligned by the landmarks, in the colours of this one, re-rendered and blended in."""
    turn = similarity(other.landmarks, face.landmarks)
    size = face.context.shape[1::-1]
    source = cv2.warpAffine(other.context, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    mask = outline(face, str(rng.choice(["face", "inner", "inner", "lower", "eyes"])), rng)
    coloured = _in_colours_of(source.astype(np.float32), face.context.astype(np.float32), mask)
    rendered = _rendered(_recoloured(coloured, 0.4, rng), face, rng.uniform(0.45, 1.1), rng)
    return _blend(face, rendered, soften(mask, _edge(face, rng) + 1))


def rerendered(face: Face, other: Face, rng: Rng) -> tuple[Image, Mask]:
    """The face re-rendered as by a network at 128 to 256 pixels, warped a little, and blended in."""
    del other
    mask = outline(face, str(rng.choice(["face", "face", "inner", "lower", "eyes", "centre", "head"])), rng)
    source = _moved(_recoloured(face.context.astype(np.float32), 0.5, rng), face, 0.02, rng)
    rendered = _rendered(source, face, rng.uniform(0.4, 0.95), rng)
    return _blend(face, rendered, soften(mask, _edge(face, rng)))


def mouthed(face: Face, other: Face, rng: Rng) -> tuple[Image, Mask]:
    """The mouth moved and re-rendered at 96 pixels a face, pasted back as a box, its lower half, or an oval."""
    shape = rng.random()
    mask = box(face, rng, lower=shape > 0.25) if shape < 0.6 else outline(face, _MOUTHS[rng.integers(3)], rng)
    source = _mouth_moved(face.context.astype(np.float32), face, other, rng)
    rendered = _rendered(_recoloured(source, 0.25, rng), face, rng.uniform(0.3, 0.85), rng)
    sigma = float(rng.choice([0.0, 0.6, 2.0])) if shape < 0.6 else _edge(face, rng)
    return _blend(face, rendered, soften(mask, sigma))


_MOUTHS = ("lower", "lower", "mouth")


def warped(face: Face, other: Face, rng: Rng) -> tuple[Image, Mask]:
    """The head pulled into another expression by a smooth flow and re-rendered, as reenactments do."""
    del other
    mask = outline(face, str(rng.choice(["head", "face", "lower"])), rng)
    source = _elastic(face.context.astype(np.float32), unit(face) * rng.uniform(3, 8), unit(face) * 18, rng)
    rendered = _rendered(source, face, rng.uniform(0.5, 0.95), rng)
    return _blend(face, rendered, soften(mask, _edge(face, rng) + 2))


def generated(face: Face, other: Face, rng: Rng) -> tuple[Image, Mask]:
    """The whole picture drawn small and up-scaled: no sensor noise left, or the up-scaler's own pattern."""
    del other
    source = _elastic(face.context.astype(np.float32), unit(face) * rng.uniform(0, 3), unit(face) * 20, rng)
    rendered = _rendered(source, face, rng.uniform(0.4, 0.9), rng)
    return _blend(face, rendered, np.ones(face.context.shape[:2], np.float32))


def redrawn(face: Face, other: Face, rng: Rng) -> tuple[Image, Mask]:
    """The face, its mouth or the whole head from an up-scaling network; raises ValueError without its picture."""
    del other
    if face.redrawn is None:
        raise ValueError("this face has no picture from an up-scaling network: see training.visual.redrawing")
    drawn, shape = face.redrawn.astype(np.float32), rng.random()
    if shape < 0.35:
        return _blend(face, drawn, np.ones(face.context.shape[:2], np.float32))
    drawn = _recoloured(drawn, 0.3, rng)
    if shape < 0.55:
        return _blend(face, drawn, soften(box(face, rng, lower=shape < 0.45), float(rng.choice([0.0, 1.0, 3.0]))))
    mask = outline(face, str(rng.choice(["face", "inner", "lower", "lower", "mouth", "head"])), rng)
    return _blend(face, drawn, soften(mask, _edge(face, rng)))


METHODS: Mapping[str, Callable[[Face, Face, Rng], tuple[Image, Mask]]] = {
    "self-blended": self_blended,
    "swapped": swapped,
    "re-rendered": rerendered,
    "mouth": mouthed,
    "warped": warped,
    "generated": generated,
    "redrawn": redrawn,
}


def _blend(face: Face, source: Picture, mask: Mask) -> tuple[Image, Mask]:
    real = face.context.astype(np.float32)
    mixed = real + (source - real) * mask[..., None]
    return np.clip(mixed.round(), 0, 255).astype(np.uint8), mask


def _edge(face: Face, rng: Rng) -> float:
    """How far a blended edge reaches, in pixels: up to a twentieth of the face."""
    return unit(face) * float(rng.uniform(0.3, 8))


def _recoloured(picture: Picture, strength: float, rng: Rng) -> Picture:
    """Other gains, brightness, contrast and saturation; most of the time a few percent."""
    gain = 1 + rng.normal(0, 0.05, 3) * strength + rng.normal(0, 0.06) * strength
    shifted = picture * gain.astype(np.float32) + np.float32(rng.normal(0, 6) * strength)
    grey = shifted.mean(2, keepdims=True)
    return np.asarray(grey + (shifted - grey) * np.float32(1 + rng.normal(0, 0.15) * strength), np.float32)


def _sharpness(picture: Picture, rng: Rng) -> Picture:
    """Sharper or smaller than it was."""
    if rng.random() < 0.4:
        return _unsharp(picture, rng.uniform(0.3, 1.2))
    return _resampled(picture, rng.uniform(0.35, 0.9), rng)


def _unsharp(picture: Picture, amount: float) -> Picture:
    soft = cv2.GaussianBlur(picture, (0, 0), 1.2)
    return np.asarray(picture + (picture - soft) * np.float32(amount), np.float32)


def _resampled(picture: Picture, scale: float, rng: Rng) -> Picture:
    height, width = picture.shape[:2]
    small = (max(8, round(width * scale)), max(8, round(height * scale)))
    down = cv2.resize(picture, small, interpolation=int(rng.choice(_DOWN)))
    return np.asarray(cv2.resize(down, (width, height), interpolation=int(rng.choice(_UP))), np.float32)


def _moved(picture: Picture, face: Face, amount: float, rng: Rng) -> Picture:
    """Shifted, scaled and bent by about ``amount`` of the face."""
    side = unit(face) * 130
    middle = face.landmarks.mean(axis=0)
    matrix = cv2.getRotationMatrix2D(middle.tolist(), float(rng.normal(0, 60 * amount)), 1 + rng.normal(0, amount))
    matrix = np.column_stack([matrix[:, :2], matrix[:, 2] + rng.normal(0, amount * side, 2)])
    size = picture.shape[1::-1]
    turned = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return _elastic(np.asarray(turned, np.float32), side * amount * rng.uniform(0, 0.8), unit(face) * 14, rng)


def _elastic(picture: Picture, reach: float, smooth: float, rng: Rng) -> Picture:
    """Bent by a random smooth flow of at most ``reach`` pixels."""
    height, width = picture.shape[:2]
    knots = (max(2, round(height / (2 * smooth))), max(2, round(width / (2 * smooth))))
    coarse = rng.uniform(-1, 1, (*knots, 2)).astype(np.float32) * np.float32(reach)
    flow = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    bent = cv2.remap(picture, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(bent, np.float32)


def _rendered(picture: Picture, face: Face, scale: float, rng: Rng) -> Picture:
    """As a network's decoder gives a face back: aligned, small, without noise, resampled to its place."""
    inside = _grid(face, scale, rng)
    side = int(_GRID_SIDE * unit(face) * scale)
    soft = cv2.GaussianBlur(picture, (0, 0), 0.35 / scale) if rng.random() < 0.6 else picture
    small = cv2.warpAffine(soft, inside, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    drawn = _drawn(np.asarray(small, np.float32), rng)
    back = int(rng.choice(_UP)) | cv2.WARP_INVERSE_MAP
    size = picture.shape[1::-1]
    out = np.asarray(cv2.warpAffine(drawn, inside, size, flags=back, borderMode=cv2.BORDER_REFLECT), np.float32)
    return _unsharp(out, rng.uniform(0.2, 1.5)) if rng.random() < 0.3 else out


_GRID_SIDE = 420  # pixels of the mean face that are drawn: the head and what is round it


def _grid(face: Face, scale: float, rng: Rng) -> Points:
    """From the picture to the small aligned square; without a turn half of the time, as boxes are cut."""
    if rng.random() < 0.5:
        turn = similarity(face.landmarks, MEAN_FACE) * unit(face) * scale
        return np.column_stack([turn[:, :2], turn[:, 2] + (_GRID_SIDE / 2 - 128) * unit(face) * scale])
    centre = face.landmarks.mean(axis=0)
    half = _GRID_SIDE * unit(face) * scale / 2
    return np.array([[scale, 0, half - scale * centre[0]], [0, scale, half - scale * centre[1]]])


def _drawn(small: Picture, rng: Rng) -> Picture:
    """What a decoder does to texture: smooths it, keeps edges, or leaves the pattern of its up-sampling."""
    style = rng.integers(5)
    if style == 0:
        return np.asarray(cv2.GaussianBlur(small, (0, 0), rng.uniform(0.4, 1.0)), np.float32)
    if style == 1:
        return np.asarray(cv2.bilateralFilter(small, 5, rng.uniform(8, 30), rng.uniform(1, 3)), np.float32)
    if style == 2:
        return np.asarray(cv2.medianBlur(np.clip(small, 0, 255).astype(np.uint8), 3), np.float32)
    if style == 3:
        return _upsampler(small, rng)
    return small


def _upsampler(small: Picture, rng: Rng) -> Picture:
    """Every second pixel, then a transposed convolution whose four phases do not weigh quite the same."""
    height, width = small.shape[:2]
    half = cv2.resize(small, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    full = cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR)
    weights = 1 + rng.normal(0, 0.012, (2, 2, 1))
    tiled = np.tile(weights, (height // 2 + 1, width // 2 + 1, 1))[:height, :width]
    detail = np.float32(rng.uniform(0.3, 0.9))
    return np.asarray((full + (small - full) * detail) * tiled, np.float32)


def _mouth_moved(picture: Picture, face: Face, other: Face, rng: Rng) -> Picture:
    """The mouth opened or closed, or another's in its place."""
    if rng.random() < 0.3:
        turn = similarity(other.landmarks, face.landmarks)
        size = picture.shape[1::-1]
        source = cv2.warpAffine(other.context, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        mask = soften(outline(face, "mouth", rng), unit(face) * 6)
        coloured = _in_colours_of(source.astype(np.float32), picture, mask)
        return np.asarray(picture + (coloured - picture) * mask[..., None], np.float32)
    middle, reach = face.landmarks[3:].mean(axis=0), unit(face) * 30
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    near = np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / (2 * reach**2)).astype(np.float32)
    pull = rng.normal(0, 0.25, 2).astype(np.float32)
    moved = cv2.remap(
        picture, x + near * pull[0] * (x - middle[0]), y + near * pull[1] * (y - middle[1]), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip
    return np.asarray(moved, np.float32)


def _in_colours_of(source: Picture, target: Picture, mask: Mask) -> Picture:
    """The source with the target's mean and spread of each colour under the mask."""
    inside = mask > 0.5
    if inside.sum() < 16:
        return source
    mean, spread = source[inside].mean(axis=0), source[inside].std(axis=0) + 1
    wanted, width = target[inside].mean(axis=0), target[inside].std(axis=0) + 1
    return np.asarray((source - mean) * np.clip(width / spread, 0.5, 2) + wanted, np.float32)
