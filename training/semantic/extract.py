"""Embeddings of layer 4's input for the manifest's videos and pictures, and of forgeries of the real ones.

The encoder is frozen, so its embeddings are all that training needs: they are computed once and cached.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from evaluation.manifest import Clip
from training import cache as media
from training.semantic import forgeries
from training.visual import degradations
from training.visual.faces import TILES, Image
from training.visual.redrawing import NETWORKS
from veracity.catalog import MODELS
from veracity.catalog.detectors.semantic_starter import CLIP
from veracity.catalog.layers import FPS
from veracity.evidence import crops
from veracity.evidence.excerpts import WholeFrame
from veracity.evidence.faces import Box, is_visible
from veracity.evidence.requests import Infer
from veracity.evidence.sampling import detect, plan
from veracity.install.graphs.semantic_starter import DEVIATION, MEAN, TAP, features
from veracity.install.store import require
from veracity.media import Frame, Limits, Media, Source

Embeddings = npt.NDArray[np.float32]  # [pictures, 768]
Encode = Callable[[Sequence[Image]], Embeddings]  # Encoder

SIZE = MODELS["semantic_starter"].size
FRAMES = 4  # per video, of those that the engine would use: they are much alike
TAKEN = 448  # pixels of the shorter side at which pictures are forged and degraded; the layer sees 224
DRAWS = 1  # degradations per picture; a video has FRAMES pictures
_NOBODY = 0.25  # of the shorter side: assumed width of a face where there is none


@dataclass(frozen=True, eq=False)
class ClipEmbeddings:
    """Embeddings of a clip's pictures: clean [n, 768], and degraded [n, DRAWS, 1 + methods, 768].

    Of the degraded ones the first is the picture itself, the others are its forgeries by
    `training.semantic.forgeries.METHODS`, in that order and degraded alike; a fake has none.
    """

    clip: Clip
    plain: Embeddings
    degraded: Embeddings


@dataclass(frozen=True)
class FrameInput:
    """The layer's input for a frame, uint8 [224, 224, 3]; the picture, down-scaled, and its largest face, if any."""

    square: Image
    picture: Image
    box: Box | None


class Encoder:
    """Squares uint8 [n, 224, 224, 3] → embeddings float32 [n, 768], by the encoder that the layer's graph holds."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        """``folder`` is that of fetched files; raises WeightsError."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        graph = features(onnx.load(require(CLIP.name, folder))).SerializeToString()
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def __call__(self, squares: Sequence[Image]) -> Embeddings:  # noqa: D102  # the class says it
        planes = ((np.stack(squares) / np.float32(255) - MEAN) / DEVIATION).transpose(0, 3, 1, 2)
        (answer,) = self._session.run(None, {"pixel_values": np.ascontiguousarray(planes, np.float32)})
        return np.asarray(answer, np.float32)


def extractor(infer: Infer, encoder: Encode, networks: Sequence[forgeries.Network]) -> media.Extractor[ClipEmbeddings]:
    """Extracts with the engine's own code; it and the code of forgeries and degradations are part of the version."""
    code = "".join(inspect.getsource(module) for module in (crops, forgeries, degradations))
    version = f"2{code}{SIZE}{FRAMES}{TAKEN}{DRAWS}{NETWORKS}{TILES}{CLIP.name}{TAP}"

    def extract(clip: Clip) -> media.Arrays:
        inputs = asyncio.run(_look(clip, infer))
        if not inputs:
            raise media.UnusableClip("it has no frame")
        plain = encoder([one.square for one in inputs])
        degraded = [_degraded(one, clip.fake, number, encoder, networks) for number, one in enumerate(inputs)]
        return {"plain": plain, "degraded": np.stack(degraded)}

    return media.Extractor(
        "semantic", version, extract, lambda clip, a: ClipEmbeddings(clip, a["plain"], a["degraded"])
    )


async def _look(clip: Clip, infer: Infer) -> list[FrameInput]:
    """A few of the frames that the engine would use, each with its largest face."""
    with Media.open(Source(clip.path), Limits()) as video:
        pictures = plan(await video.video_seconds() or 1 / FPS, (WholeFrame,)).pictures
        some = sorted({pictures[int(k)] for k in np.linspace(0, len(pictures) - 1, FRAMES + 2)[1:-1]})
        return [await _input(frame, clip, infer) async for frame in video.frames(some)]


async def _input(frame: Frame, clip: Clip, infer: Infer) -> FrameInput:
    image = _tile(frame.image, clip)
    scale = min(1.0, TAKEN / min(image.shape[:2]))
    sides = [round(side * scale) for side in image.shape[1::-1]]
    picture = np.asarray(cv2.resize(image, sides, interpolation=cv2.INTER_AREA), np.uint8) if scale < 1 else image
    found = (await detect(infer, [Frame(frame.index, frame.time, picture)]))[0]
    boxes = [face.box for face in found if is_visible(face, picture)]
    box = max(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]), default=None)
    return FrameInput(crops.whole_picture(image, SIZE), picture, box)


def _tile(image: Image, clip: Clip) -> Image:
    """Of pictures side by side, with two black pixels round each, the generated one."""
    tile = next((tile for pattern, tile in TILES if clip.fake and re.search(pattern, clip.path.name)), None)
    if tile is None:
        return image
    side = image.shape[0] - 4
    left = 2 + tile * (side + 2)
    return np.ascontiguousarray(image[2 : 2 + side, left : left + side])


def _degraded(
    one: FrameInput, fake: bool, number: int, encoder: Encode, networks: Sequence[forgeries.Network]
) -> Embeddings:
    """[DRAWS, 1 + methods, 768] of a real picture, [DRAWS, 1, 768] of a fake."""
    box = one.box or _middle(one.picture)
    answers = []
    for draw in range(DRAWS):
        rng = np.random.default_rng([number, draw, *one.picture.shape])
        made = [] if fake else [method(one.picture, box, networks, rng) for method in forgeries.METHODS.values()]
        degraded, _ = degradations.degrade([one.picture, *made], box[2] - box[0], rng)
        squares = [crops.whole_picture(picture, SIZE) for picture in degraded]
        mirrored = rng.random() < 0.5
        answers.append(encoder([square[:, ::-1] if mirrored else square for square in squares]))
    return np.stack(answers)


def _middle(picture: Any) -> Box:
    height, width = picture.shape[:2]
    half = _NOBODY * min(height, width) / 2
    return (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
