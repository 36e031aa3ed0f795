"""Which frames of a clip are decoded, and what is cut out of them as they arrive.

Frame numbers are on the constant 25 fps time base. One decode pass serves all video layers.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from veracity.catalog import FACE_DETECTOR
from veracity.catalog.layers import (
    FACE_FRAMES,
    FPS,
    MOST_SEMANTIC_FRAMES,
    MOUTH_CLIPS,
    MOUTH_FRAMES,
    SEMANTIC_FRAMES,
    SEMANTIC_SECONDS,
)
from veracity.evidence.crops import luma
from veracity.evidence.detector import Detector, samples
from veracity.evidence.excerpts import Excerpt, FaceInFrame, FaceRun, WholeFrame, run_landmarks
from veracity.evidence.faces import Box, Detection, Track, Tracker, detections, is_visible, letterbox
from veracity.evidence.lips import lip_crops, moves
from veracity.evidence.requests import Infer, Sample
from veracity.media import Frame

DETECTOR_SIDE = 480  # pixels of the longer side that the face detector sees; faces from 16 of them on are found
THUMBNAIL = 48  # pixels
SAME_PICTURE = 1.0  # grey levels on average: what a codec changes in a picture that stays
NEIGHBOURS = 1.0  # seconds between two pictures up to which they stand for what is between them
MOUTH_DETECT_EVERY = 4  # frames of a mouth clip; landmarks between are interpolated, then smoothed over 12 frames


@dataclass(frozen=True)
class SamplingPlan:
    """Frame numbers, sorted: ``faces`` and ``pictures`` single ones, ``mouths`` runs of 25; ``step`` seconds apart."""

    faces: tuple[int, ...]
    pictures: tuple[int, ...]
    mouths: tuple[range, ...]
    step: float

    @property
    def frame_indices(self) -> tuple[int, ...]:
        """Every frame to be decoded, once."""
        runs = (number for run in self.mouths for number in run)
        return tuple(sorted({*self.faces, *self.pictures, *runs}))

    @property
    def detected(self) -> frozenset[int]:
        """The frames that the face detector sees."""
        mouths = {n for run in self.mouths for n in (*run[::MOUTH_DETECT_EVERY], run[-1])}
        return frozenset(mouths.union(self.faces))


def plan(
    seconds: float, excerpts: Collection[type[Excerpt]], speech: Sequence[tuple[float, float]] = ()
) -> SamplingPlan:
    """Spread the frames over the clip, the mouths over its speech; ``excerpts`` are the kinds that detectors take.

    Faces are always detected, so that the verdict can say who was in the picture.
    """
    total = max(1, int(seconds * FPS))
    faces = tuple(dict.fromkeys(int(n) for n in np.linspace(0, total - 1, FACE_FRAMES)))
    looks = min(max(SEMANTIC_FRAMES, round(seconds / SEMANTIC_SECONDS)), MOST_SEMANTIC_FRAMES)
    pictures = tuple(dict.fromkeys(faces[int(k)] for k in np.linspace(0, len(faces) - 1, looks)))
    mouths = _mouth_runs(total, speech) if FaceRun in excerpts else ()
    step = seconds / len(faces)
    return SamplingPlan(faces, pictures if WholeFrame in excerpts else (), mouths, step)


def _mouth_runs(total: int, speech: Sequence[tuple[float, float]]) -> tuple[range, ...]:
    """Return up to MOUTH_CLIPS runs that do not overlap, where there is speech if any is known."""
    starts = range(0, total - MOUTH_FRAMES + 1, MOUTH_FRAMES)
    spoken = [s for s in starts if any(a * FPS < s + MOUTH_FRAMES and s < b * FPS for a, b in speech)]
    chosen = spoken or list(starts)
    picks = dict.fromkeys(int(k) for k in np.linspace(0, len(chosen) - 1, min(MOUTH_CLIPS, len(chosen))))
    return tuple(range(chosen[k], chosen[k] + MOUTH_FRAMES) for k in picks)


def _thumbnail(image: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """What is in a box, grey and small; the box is held within the picture, where some of it is."""
    height, width = image.shape[:2]
    x0, y0 = (int(min(max(corner, 0), side - 1)) for corner, side in zip(box[:2], (width, height)))
    x1, y1 = (int(min(max(corner, low + 1), side)) for corner, low, side in zip(box[2:], (x0, y0), (width, height)))
    small = cv2.resize(image[y0:y1, x0:x1], (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return luma(np.asarray(small, np.uint8))


async def detect(infer: Infer, frames: Sequence[Frame]) -> list[list[Detection]]:
    """Ask the face detector about frames of one clip, in one request."""
    batch, scale = await asyncio.to_thread(letterbox, [frame.image for frame in frames], DETECTOR_SIDE)
    outputs = await infer(FACE_DETECTOR.name, {FACE_DETECTOR.input.name: batch})
    return detections(outputs, scale)


@dataclass
class SampleCollector:
    """Turns frames and detections, in order, into the samples of each model; tracks faces on the way."""

    plan: SamplingPlan
    detectors: Sequence[Detector]  # those that will score
    seconds: float
    max_faces: int
    crops: int = 1  # squares that are cut out of a picture
    tracker: Tracker = field(default_factory=Tracker)
    seen: int = 0  # frames taken
    items: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    too_small: set[str] = field(default_factory=set)  # models that some face, or the picture, was too small for
    still_mouths: int = 0  # seconds of a face that were followed, in which the mouth does not move
    runs: list[range] = field(default_factory=list)  # of the plan's mouths, those that were decoded whole
    _held: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    _last: dict[int, tuple[Box, NDArray[np.uint8]]] = field(default_factory=dict)  # of a track: where its face was

    def add(self, frame: Frame, found: Sequence[Detection] | None) -> None:
        """Take the next frame; ``found`` is None where no faces were detected in it."""
        self.seen += 1
        if found is not None:
            visible = [face for face in found if is_visible(face, frame.image)]
            followed = self.tracker.update(frame.index, frame.time, visible[: self.max_faces], frame.image)
            if frame.index in self.plan.faces:
                self._faces(frame, followed)
        if frame.index in self.plan.pictures:
            self._picture(frame)
        self._mouths(frame)

    def take(self, model: str) -> list[Sample]:
        """Hand over the items of a model that are ready and were not taken yet."""
        return self.items.pop(model, [])

    def _until(self, time: float) -> float:
        """Return until when a picture stands for the clip: to the next one, or for itself where that is far."""
        return min(self.seconds, time + (self.plan.step if self.plan.step <= NEIGHBOURS else 1 / FPS))

    def _that_take(self, excerpt: type[Excerpt]) -> list[Detector]:
        return [detector for detector in self.detectors if detector.excerpt is excerpt]

    def _cut(self, detector: Detector, excerpt: Excerpt) -> None:
        self.items[detector.model.name] += samples(detector, excerpt)

    def _cut_if_large_enough(self, detector: Detector, face: FaceInFrame | FaceRun) -> None:
        if face.width >= detector.model.least_face:
            self._cut(detector, face)
        else:
            self.too_small.add(detector.model.name)

    def _faces(self, frame: Frame, followed: Sequence[tuple[Track, Detection]]) -> None:
        until = self._until(frame.time)
        faces = [
            FaceInFrame(frame.time, until, frame.image, track.id, face)
            for track, face in followed
            if not self._repeats(track.id, face, frame.image)
        ]
        for detector in self._that_take(FaceInFrame):
            for face in faces:
                self._cut_if_large_enough(detector, face)

    def _repeats(self, track: int, face: Detection, image: NDArray[np.uint8]) -> bool:
        """Whether a face is the very picture that was seen before: of a photograph one look is all the evidence."""
        box, before = self._last.get(track, (face.box, None))
        if before is not None and np.abs(_thumbnail(image, box) - before.astype(np.int16)).mean() < SAME_PICTURE:
            return True
        self._last[track] = face.box, _thumbnail(image, face.box)
        return False

    def _picture(self, frame: Frame) -> None:
        picture = WholeFrame(frame.time, self._until(frame.time), frame.image, self.crops)
        for detector in self._that_take(WholeFrame):
            self._cut(detector, picture)
            if not self.items[detector.model.name]:
                self.too_small.add(detector.model.name)

    def _mouths(self, frame: Frame) -> None:
        for run in self.plan.mouths:
            if frame.index in run:
                self._held[frame.index] = frame.image if self._colour else luma(frame.image)
            if frame.index == run[-1]:
                self._finish(run)

    @property
    def _colour(self) -> bool:
        return any(detector.colour for detector in self._that_take(FaceRun))

    def _finish(self, run: range) -> None:
        """Cut the samples of every face that was followed through the whole run; let the pictures go."""
        pictures = [self._held.pop(number, None) for number in run]
        if any(picture is None for picture in pictures):
            return  # the clip ended before it should
        frames = [picture for picture in pictures if picture is not None]
        self.runs.append(run)
        for track in self.tracker.tracks:
            known = {n: d for n, d in zip(track.frames, track.detections) if n in run}
            if run[0] not in known or run[-1] not in known:
                continue  # the face came or went
            face = FaceRun(frames, run, track.id, known)
            if not moves(lip_crops(frames, run_landmarks(face))):
                self.still_mouths += 1
                continue
            for detector in self._that_take(FaceRun):
                self._cut_if_large_enough(detector, face)
