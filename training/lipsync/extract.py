"""Seconds of talking faces, decoded, detected, tracked and cropped by the engine's own code, and cached."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from evaluation.manifest import Clip
from training.cache import Arrays, Extractor, UnusableClip
from training.sound import Pcm
from veracity.catalog.layers import FPS, LIP_SIZE, MOUTH_FRAMES
from veracity.evidence import crops, faces, lips
from veracity.evidence.crops import interpolate, luma
from veracity.evidence.excerpts import FaceRun
from veracity.evidence.lips import lip_crops
from veracity.evidence.requests import Infer
from veracity.evidence.sampling import MOUTH_DETECT_EVERY, detect, plan
from veracity.evidence.speech import Vad
from veracity.media import Frame, Limits, Media, Source

Image = npt.NDArray[np.uint8]
Points = npt.NDArray[np.floating[Any]]

MAX_FACES = 8  # a frame, as the engine's default
SECONDS = 6  # per video, spread over it; includes those that the engine would choose
ROOM = 0.45  # margin around a face's path, in sides of the face: for boxes, warps and codec blocks
FACE_WIDTH = 170  # pixels at most; the aligned face that a mouth is cropped from is about 120 wide


@dataclass(frozen=True, eq=False)
class Second:
    """A face over 25 consecutive frames from frame ``first`` on; of a photograph one frame and no mouths.

    ``mouths`` uint8 [25, 144, 144]; ``scene`` grey uint8 [n, h, w], the face with a margin, empty for fakes;
    ``landmarks`` [n, 5, 2] and ``boxes`` [n, 4] in the scene's pixels; ``sound`` int16 of the whole video, 16 kHz.
    ``chosen`` is whether the engine would analyse it.
    """

    clip: Clip
    first: int
    track: int
    chosen: bool
    mouths: Image
    scene: Image
    landmarks: Points
    boxes: Points
    sound: Pcm


@dataclass(frozen=True, eq=False)
class _FaceSecond:
    """One face over one run of frames."""

    first: int
    track: int
    chosen: bool
    mouths: Image
    scene: Image
    points: Points  # [n, 7, 2]: the landmarks, then the box's corners


def extractor(infer: Infer, vad: Vad) -> Extractor[list[Second]]:
    """Extracts videos and photographs; ``vad`` finds the speech, as in the engine."""
    code = "".join(inspect.getsource(module) for module in (crops, faces, lips))
    version = f"{code}{MAX_FACES}{SECONDS}{ROOM}{FACE_WIDTH}"
    return Extractor("seconds", version, lambda clip: _arrays(clip, infer, vad), _read)


def _arrays(clip: Clip, infer: Infer, vad: Vad) -> Arrays:
    if clip.kind == "images":
        return _packed(list(asyncio.run(_photograph(clip, infer))), np.zeros(0, np.int16))
    sound, found = asyncio.run(_film(clip, infer, vad))
    return _packed(found, sound)


async def _photograph(clip: Clip, infer: Infer) -> Iterator[_FaceSecond]:
    picture = cv2.imread(str(clip.path), cv2.IMREAD_COLOR)
    if picture is None:
        raise UnusableClip("the file is no image")
    image = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
    found = (await detect(infer, [Frame(0, 0.0, image)]))[0]
    seen = [face for face in found if faces.is_visible(face, image)][:MAX_FACES]
    return (_extract_face([luma(image)], {0: face}, range(1), k, True) for k, face in enumerate(seen))


async def _film(clip: Clip, infer: Infer, vad: Vad) -> tuple[Pcm, list[_FaceSecond]]:
    with Media.open(Source(clip.path), Limits()) as media:
        probe = await media.probe()
        sound = await media.audio() if probe.audio else np.zeros(0, np.int16)
        seconds = await media.video_seconds()
        chosen = plan(seconds, (FaceRun,), vad(sound) if len(sound) else ()).mouths
        runs = _more(chosen, int(seconds * FPS))
        return sound, [one async for one in _followed(media, runs, {run[0] for run in chosen}, infer)]


def _more(chosen: Sequence[range], total: int) -> list[range]:
    """The engine's seconds, filled up to SECONDS with others of the video."""
    others = [range(s, s + MOUTH_FRAMES) for s in range(0, total - MOUTH_FRAMES + 1, MOUTH_FRAMES)]
    others = [run for run in others if run not in chosen]
    free = max(0, min(SECONDS - len(chosen), len(others)))
    picks = [others[int(k)] for k in np.linspace(0, len(others) - 1, free)] if free else []
    return sorted((*chosen, *picks), key=lambda run: run[0])


async def _followed(media: Media, runs: Sequence[range], chosen: set[int], infer: Infer) -> AsyncIterator[_FaceSecond]:
    """Every face that is tracked through a whole run, as in ``veracity.evidence.sampling``."""
    tracker = faces.Tracker()
    looked = {number for run in runs for number in (*run[::MOUTH_DETECT_EVERY], run[-1])}
    left, held = list(runs), list[Image]()
    async for frame in media.frames([number for run in runs for number in run]):
        if frame.index in looked:
            found = (await detect(infer, [frame]))[0]
            visible = [face for face in found if faces.is_visible(face, frame.image)][:MAX_FACES]
            tracker.update(frame.index, frame.time, visible, frame.image)
        held.append(luma(frame.image))
        if frame.index == left[0][-1]:
            run, pictures, held = left.pop(0), held, []
            for track in tracker.tracks:
                known = {n: d for n, d in zip(track.frames, track.detections) if n in run}
                if run[0] in known and run[-1] in known:
                    yield _extract_face(pictures, known, run, track.id, run[0] in chosen)


def _extract_face(
    pictures: Sequence[Image], known: dict[int, faces.Detection], run: range, track: int, chosen: bool
) -> _FaceSecond:
    landmarks = interpolate({n: face.landmarks for n, face in known.items()}, run)
    boxes = interpolate({n: np.reshape(face.box, (2, 2)) for n, face in known.items()}, run)
    points = np.concatenate([landmarks, boxes], axis=1).astype(np.float64)
    mouths = lip_crops(pictures, landmarks) if len(run) == MOUTH_FRAMES else _NO_MOUTHS
    scene, points = _scene(pictures, points)
    return _FaceSecond(run[0], track, chosen, mouths, scene, points)


_NO_MOUTHS = np.zeros((0, LIP_SIZE, LIP_SIZE), np.uint8)


def _scene(pictures: Sequence[Image], points: Points) -> tuple[Image, Points]:
    """The region that a face crosses, with a margin, scaled so that the face is FACE_WIDTH wide at most."""
    corners = points[:, 5:]
    size = np.median(corners[:, 1] - corners[:, 0], axis=0)
    low = np.maximum(np.floor(corners[:, 0].min(axis=0) - ROOM * size), 0).astype(int)
    high = np.minimum(np.ceil(corners[:, 1].max(axis=0) + ROOM * size), pictures[0].shape[1::-1]).astype(int)
    part = np.stack([picture[low[1] : high[1], low[0] : high[0]] for picture in pictures])
    scale = min(1.0, FACE_WIDTH / max(1.0, float(size[0])))
    if scale < 1:
        wanted = [max(8, round(side * scale)) for side in part.shape[2:0:-1]]
        part = np.stack([cv2.resize(picture, wanted, interpolation=cv2.INTER_AREA) for picture in part])
    return part, (points - low + 0.5) * scale - 0.5


def _packed(found: Sequence[_FaceSecond], sound: Pcm) -> Arrays:
    if not found:
        raise UnusableClip("no face could be tracked over 25 frames")
    arrays: dict[str, npt.NDArray[Any]] = {"sound": sound}
    arrays["of"] = np.array([(one.first, one.track, one.chosen) for one in found], np.int64)
    for k, one in enumerate(found):
        arrays |= {f"mouths{k}": one.mouths, f"scene{k}": one.scene, f"points{k}": one.points}
    return arrays


def _read(clip: Clip, arrays: Arrays) -> list[Second]:
    return [
        Second(clip, int(first), int(track), bool(chosen), arrays[f"mouths{k}"], arrays[f"scene{k}"],
               arrays[f"points{k}"][:, :5], arrays[f"points{k}"][:, 5:].reshape(-1, 4), arrays["sound"])
        for k, (first, track, chosen) in enumerate(arrays["of"])
    ]  # fmt: skip
