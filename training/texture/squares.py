"""Squares of real pictures and of frames, pixel by pixel, each with the same square drawn anew by a network.

A diffusion model's autoencoder draws most of them, since every picture of such a model has gone through one; a network
for super-resolution the others, at half the size. Nothing else is changed: the pair differs in how it was drawn.
"""

from __future__ import annotations

import asyncio
import inspect
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from evaluation.manifest import Clip
from training import cache as media
from training.visual import autoencoder
from training.visual.faces import Image, from_png, to_png
from training.visual.masks import Rng
from training.visual.redrawing import NETWORKS, Network
from veracity.catalog.layers import FPS
from veracity.evidence.crops import at_least
from veracity.media import Limits, Media, Source

SIDE = 256  # pixels; the layer sees 224 of them
_FRAMES = 3  # of a film
_AS_IS = 0.4  # share of squares that are taken at the picture's own size
_SMALLEST = 0.35  # of its size, to which others are made smaller first
_LATENT = 0.8  # share drawn by the autoencoder


@dataclass(frozen=True, eq=False)
class ClipSquares:
    """A real clip's squares and the same drawn anew, RGB uint8 [n, SIDE, SIDE, 3] each."""

    clip: Clip
    real: Image
    drawn: Image


def extractor(networks: Sequence[Network]) -> media.Extractor[ClipSquares]:
    """``networks`` are the up-scalers and, last, the autoencoder (`training.visual.redrawing.redrawers`)."""
    constants = (SIDE, _FRAMES, _AS_IS, _SMALLEST, _LATENT, NETWORKS)
    version = f"1{constants}{inspect.getsource(autoencoder)}{inspect.getsource(_square)}{inspect.getsource(_drawn)}"

    def extract(clip: Clip) -> media.Arrays:
        rng = np.random.default_rng(zlib.crc32(clip.path.name.encode()))
        squares = [_square(picture, rng) for picture in asyncio.run(pictures(clip))]
        if not squares:
            raise media.UnusableClip("it has no frame")
        pairs = {f"real{k}": square for k, square in enumerate(squares)}
        pairs |= {f"drawn{k}": _drawn(square, networks, rng) for k, square in enumerate(squares)}
        return {name: to_png(square) for name, square in pairs.items()}

    def read(clip: Clip, arrays: media.Arrays) -> ClipSquares:
        count = len(arrays) // 2
        both = ([from_png(arrays[f"{what}{k}"]) for k in range(count)] for what in ("real", "drawn"))
        return ClipSquares(clip, *map(np.stack, both))

    return media.Extractor("squares", version, extract, read)


async def pictures(clip: Clip) -> list[Image]:
    """The picture, or a few frames of a film."""
    with Media.open(Source(clip.path), Limits()) as video:
        frames = max(1, int((await video.video_seconds() or 1 / FPS) * FPS))
        some = sorted({int(k) for k in np.linspace(0, frames - 1, _FRAMES + 2)[1:-1]})
        return [np.asarray(frame.image, np.uint8) async for frame in video.frames(some)]


def _square(picture: Image, rng: Rng) -> Image:
    """A square somewhere in the picture, which is often made smaller first."""
    whole = at_least(picture, SIDE)
    least = SIDE / min(whole.shape[:2])
    if least < 1 and rng.random() >= _AS_IS:
        scale = float(np.exp(rng.uniform(np.log(max(least, _SMALLEST)), 0)))
        width, height = (max(SIDE, round(side * scale)) for side in whole.shape[1::-1])
        whole = np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    y, x = (int(rng.integers(side - SIDE + 1)) for side in whole.shape[:2])
    return np.ascontiguousarray(whole[y : y + SIDE, x : x + SIDE])


def _drawn(square: Image, networks: Sequence[Network], rng: Rng) -> Image:
    """The square as a network draws it, at the same size."""
    *upscaling, latent = networks
    if rng.random() < _LATENT:
        return latent(square)
    small = np.asarray(cv2.resize(square, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA), np.uint8)
    large = upscaling[int(rng.integers(len(upscaling)))](small)
    way = cv2.INTER_AREA if large.shape[0] > SIDE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(large, (SIDE, SIDE), interpolation=way), np.uint8)
