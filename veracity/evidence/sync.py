"""SyncNet's evidence: whether a mouth and the sound belong together, and how many frames they lie apart.

It measures sync and not forgery: good dubbing and lips painted to the sound fit well, and a real film in another
language does not. So it stands in where nothing better answers, and what it says is capped.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from veracity.catalog import Model
from veracity.catalog.detectors.lipsync_syncnet import FRAMES as SYNC_FRAMES
from veracity.catalog.detectors.lipsync_syncnet import MODEL as SYNCNET
from veracity.catalog.detectors.lipsync_syncnet import SOUND_SAMPLES as SYNC_SAMPLES
from veracity.catalog.layers import FPS, SAMPLE_RATE
from veracity.evidence.requests import Infer, ModelOutput, Sample
from veracity_client.errors import InternalError

SHIFT = 10  # frames that the sound is moved by at most, 0.4 s: its authors' number
FRAME_SAMPLES = SAMPLE_RATE // FPS  # 640
SMOOTHING = 13  # frames whose median places a box
WIDER = 0.4  # of the box's half side, beyond it on the left and right; twice that below it, where the mouth is
BEYOND = 110  # grey level where the picture ends

# P(fake) of a mouth that fits, and of one that does not. Inside the verdict's thresholds, so that a video is called
# neither fake nor real by its sync alone; outside of the middle, so that it can tip what others say.
FLOOR, CAP = 0.35, 0.65
# Mean confidences in arXiv 2008.10010, table 1: real talking faces 6.9 to 7.8, of two generators 1.8 and 3.4.
APART, TOGETHER = 2.0, 7.0

Image = NDArray[np.uint8]
Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Fit:
    """How the sound fits the mouth best: ``offset`` frames early (late where negative), how clearly it is the best."""

    offset: int
    confidence: float

    @property
    def probability(self) -> float:
        """P(fake), between FLOOR and CAP."""
        fits = (self.confidence - APART) / (TOGETHER - APART)
        return float(CAP - (CAP - FLOOR) * np.clip(fits, 0.0, 1.0))


def distances(lips: Array, sounds: Array, shift: int = SHIFT, beyond: float = np.nan) -> NDArray[np.float64]:
    """Return how far each of ``lips`` [n, d] is from ``sounds`` [n, d] moved by -shift to shift: [n, 2 × shift + 1].

    Past the ends the sound is ``beyond`` in every dimension: its authors take 0, which is a point like any other.
    NaN leaves those pairs out of a nanmean; of the 21 windows of a second half would be compared with nothing else.
    """
    padded = np.pad(np.asarray(sounds, np.float64), ((shift, shift), (0, 0)), constant_values=beyond)
    moved = np.stack([padded[k : k + len(lips)] for k in range(2 * shift + 1)], axis=1)
    apart: NDArray[np.float64] = np.linalg.norm(lips[:, None] - moved + 1e-6, axis=2)  # 1e-6: torch's own, as theirs
    return apart


def fit(mean: Array) -> Fit:
    """Read the mean distance at each shift, [2 × shift + 1]: where it is least, and by how much under the median."""
    return Fit(len(mean) // 2 - int(np.argmin(mean)), float(np.median(mean) - np.min(mean)))


def best(answer: ModelOutput) -> Fit:
    """Return the fit of the face that fits best, over all its seconds: the others may be listening."""
    faces: dict[int | None, list[Array]] = defaultdict(list)
    for item, row in zip(answer.items, _rows(answer)):
        faces[item.face].append(row)
    return max((fit(np.mean(rows, axis=0)) for rows in faces.values()), key=lambda one: one.confidence)


def words(answer: ModelOutput) -> str:
    """Say what was measured, and what it is not."""
    found = best(answer)
    milliseconds = abs(found.offset) * 1000 // FPS
    side = "before" if found.offset > 0 else "after"
    when = f"{abs(found.offset)} frames ({milliseconds} ms) {side} the mouth" if found.offset else "with the mouth"
    return (
        f"{answer.model} hears the sound {when}, confidence {found.confidence:.1f}; "
        f"that is sync and not forgery, so P(fake) is held within {FLOOR:.2f} and {CAP:.2f}"
    )


async def score(infer: Infer, model: Model, items: Sequence[Sample], sound: NDArray[np.int16]) -> ModelOutput:
    """Ask about faces uint8 [frames, 224, 224, 3] an item, each with its part of ``sound`` (16 kHz, from time 0).

    Raises what ``infer`` raises, and :class:`InternalError` for points that are no numbers.
    """
    rows = np.stack(await asyncio.gather(*(_mean_distances(infer, model, item, sound) for item in items)))
    each = np.array([fit(row).probability for row in rows])
    return ModelOutput(model.name, tuple(items), np.log(each / (1 - each)).astype(np.float32), rows)


async def _mean_distances(infer: Infer, model: Model, item: Sample, sound: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the mean distance of one item at each shift, [2 × SHIFT + 1]."""
    given: dict[str, NDArray[Any]] = dict(zip((tensor.name for tensor in model.inputs), windows(item, sound)))
    count, step = len(item.tensor) - SYNC_FRAMES + 1, model.request_items
    batches = [
        {name: np.ascontiguousarray(whole[k : k + step]) for name, whole in given.items()}
        for k in range(0, count, step)
    ]
    answers = await asyncio.gather(*(infer(model.name, batch) for batch in batches))
    lips, sounds = (np.concatenate([answer[tensor.name] for answer in answers]) for tensor in model.outputs)
    if not (np.isfinite(lips).all() and np.isfinite(sounds).all()):
        raise InternalError(f"{model.name} answered something that is no number")
    mean: NDArray[np.float64] = np.nanmean(distances(lips, sounds), axis=0)
    return mean


def windows(item: Sample, sound: NDArray[np.int16]) -> tuple[Image, NDArray[np.int16]]:
    """Return five faces from each frame on, [n, 5, 224, 224, 3], and their sound, int16 [n, 3441]; silence past it.

    The sound begins a sample early, which pre-emphasis takes off the first.
    """
    faces = np.moveaxis(sliding_window_view(item.tensor, SYNC_FRAMES, axis=0), -1, 1)
    first = round(item.start * SAMPLE_RATE) - 1
    cut = np.zeros((len(faces) - 1) * FRAME_SAMPLES + SYNC_SAMPLES, np.int16)
    part = sound[max(0, first) : first + len(cut)]
    skipped = max(0, -first)
    cut[skipped : skipped + len(part)] = part
    return faces, sliding_window_view(cut, SYNC_SAMPLES)[::FRAME_SAMPLES]


def face_crops(frames: Sequence[Image], boxes: Array) -> Image:
    """Cut one face out of each of ``frames``, uint8 [H, W, 3]; returns uint8 [n, 224, 224, 3].

    ``boxes`` [n, 4] are x0, y0, x1, y1. As its authors cut: a square of 2.8 half sides, 0.8 of them below the box;
    the median of 13 frames places it, here of those that there are at the ends, where they take zeros in.
    """
    x0, y0, x1, y1 = np.asarray(boxes, np.float64).T
    places = np.stack([(x0 + x1) / 2, (y0 + y1) / 2, np.maximum(x1 - x0, y1 - y0) / 2], axis=1)
    reach = SMOOTHING // 2
    still = [np.median(places[max(0, k - reach) : k + reach + 1], axis=0) for k in range(len(places))]
    return np.stack([_face_crop(frame, *place) for frame, place in zip(frames, still)])


def _face_crop(image: Image, x: float, y: float, half: float) -> Image:
    left, right = np.floor([x - half * (1 + WIDER), x + half * (1 + WIDER)])
    top, bottom = np.floor([y - half, y + half * (1 + 2 * WIDER)])
    across, down = (right - left) / SYNCNET.size, (bottom - top) / SYNCNET.size  # pixels to a pixel
    back = np.array([[across, 0, left + across / 2 - 0.5], [0, down, top + down / 2 - 0.5]])
    crop = cv2.warpAffine(
        image,
        back,
        (SYNCNET.size, SYNCNET.size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(BEYOND, BEYOND, BEYOND),
    )
    return np.asarray(crop, np.uint8)


def _rows(answer: ModelOutput) -> NDArray[np.float64]:
    if answer.distances is None:
        raise TypeError(f"{answer.model} is no model of sync")
    return answer.distances
