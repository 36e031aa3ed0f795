"""SyncNet: whether a mouth and the sound belong together, and how many frames they lie apart.

It measures sync and not forgery: good dubbing and lips painted to the sound fit well, and a real film in another
language does not. So it stands in where nothing better answers, and what it says is capped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from veracity.catalog import Model
from veracity.catalog.detectors.lipsync_syncnet import FRAMES, SIDE, SOUND_SAMPLES
from veracity.catalog.layers import FPS, SAMPLE_RATE
from veracity.evidence.crops import interpolate
from veracity.evidence.excerpts import FaceRun
from veracity.evidence.pooling import Calibrate
from veracity.evidence.requests import ModelOutput, Sample
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


@dataclass(frozen=True)
class SyncNet:
    """Two towers that put a mouth and a sound into one space: their distance at each shift is what is read.

    ``details`` of its output are the mean distances of each sample, [n, 2 × SHIFT + 1].
    """

    model: Model
    excerpt: ClassVar[type[FaceRun]] = FaceRun
    sound: ClassVar[Literal["required"]] = "required"
    colour: ClassVar[bool] = True
    mouth: ClassVar[tuple[slice, slice]] = (slice(94, 152), slice(74, 150))

    def cut(self, excerpt: FaceRun) -> Sequence[Image]:
        """Return the face in every frame, uint8 [25, 224, 224, 3]."""
        boxes = {number: np.array(face.box) for number, face in excerpt.detections.items()}
        return [face_crops(excerpt.frames, interpolate(boxes, excerpt.run))]

    def requests(self, samples: Sequence[Sample], sound: NDArray[np.int16]) -> list[Mapping[str, NDArray[Any]]]:
        """Return the windows of each sample, 21 of 25 frames, in batches of ``model.request_items``."""
        return [batch for sample in samples for batch in self._batches(sample, sound)]

    def _batches(self, sample: Sample, sound: NDArray[np.int16]) -> Iterator[Mapping[str, NDArray[Any]]]:
        whole: dict[str, NDArray[Any]] = dict(
            zip((tensor.name for tensor in self.model.inputs), windows(sample, sound))
        )
        for rows in self._rows(sample):
            yield {name: np.ascontiguousarray(several[rows]) for name, several in whole.items()}

    def _rows(self, sample: Sample) -> list[slice]:
        """Return which windows of a sample go into each of its batches."""
        count, step = len(sample.tensor) - FRAMES + 1, self.model.request_items
        return [slice(first, first + step) for first in range(0, count, step)]

    def read(self, samples: Sequence[Sample], responses: Sequence[Mapping[str, NDArray[Any]]]) -> ModelOutput:
        """Return the log odds of each sample's confidence; raises :class:`InternalError` for NaN or infinity."""
        left = iter(responses)
        rows = np.stack([self._mean_distances([next(left) for _ in self._rows(sample)]) for sample in samples])
        each = np.array([fit(row).probability for row in rows])
        return ModelOutput(self.model.name, tuple(samples), np.log(each / (1 - each)).astype(np.float32), rows)

    def _mean_distances(self, responses: Sequence[Mapping[str, NDArray[Any]]]) -> NDArray[np.float64]:
        """Return the mean distance of one sample at each shift, [2 × SHIFT + 1]."""
        lips, sounds = (np.concatenate([one[tensor.name] for one in responses]) for tensor in self.model.outputs)
        if not (np.isfinite(lips).all() and np.isfinite(sounds).all()):
            raise InternalError(f"{self.model.name} returned an embedding that is not finite")
        mean: NDArray[np.float64] = np.nanmean(distances(lips, sounds), axis=0)
        return mean

    def pool(self, output: ModelOutput, calibrate: Calibrate) -> float:
        """Return P(fake) of the face that fits the sound best; no calibration leads out of the cap."""
        probability = best(output).probability
        calibrated = float(calibrate(np.array(np.log(probability / (1 - probability)))))
        return min(max(calibrated, FLOOR), CAP)

    def explain(self, output: ModelOutput) -> str:
        """Say what was measured, and what it is not."""
        found = best(output)
        milliseconds = abs(found.offset) * 1000 // FPS
        side = "before" if found.offset > 0 else "after"
        when = f"{abs(found.offset)} frames ({milliseconds} ms) {side} the mouth" if found.offset else "with the mouth"
        return (
            f"{output.model} hears the sound {when}, confidence {found.confidence:.1f}; "
            f"that is sync and not forgery, so P(fake) is held within {FLOOR:.2f} and {CAP:.2f}"
        )


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


def best(output: ModelOutput) -> Fit:
    """Return the fit of the face that fits best, over all its seconds: the others may be listening."""
    if output.details is None:
        raise TypeError(f"{output.model} kept no distances")
    faces: dict[int | None, list[Array]] = defaultdict(list)
    for item, row in zip(output.items, output.details):
        faces[item.face].append(row)
    return max((fit(np.mean(rows, axis=0)) for rows in faces.values()), key=lambda one: one.confidence)


def windows(sample: Sample, sound: NDArray[np.int16]) -> tuple[Image, NDArray[np.int16]]:
    """Return five faces from each frame on, [n, 5, 224, 224, 3], and their sound, int16 [n, 3441]; silence past it.

    The sound begins a sample early, which pre-emphasis takes off the first.
    """
    faces = np.moveaxis(sliding_window_view(sample.tensor, FRAMES, axis=0), -1, 1)
    first = round(sample.start * SAMPLE_RATE) - 1
    cut = np.zeros((len(faces) - 1) * FRAME_SAMPLES + SOUND_SAMPLES, np.int16)
    part = sound[max(0, first) : first + len(cut)]
    skipped = max(0, -first)
    cut[skipped : skipped + len(part)] = part
    return faces, sliding_window_view(cut, SOUND_SAMPLES)[::FRAME_SAMPLES]


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
    across, down = (right - left) / SIDE, (bottom - top) / SIDE  # pixels to a pixel
    back = np.array([[across, 0, left + across / 2 - 0.5], [0, down, top + down / 2 - 0.5]])
    crop = cv2.warpAffine(
        image,
        back,
        (SIDE, SIDE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(BEYOND, BEYOND, BEYOND),
    )
    return np.asarray(crop, np.uint8)
