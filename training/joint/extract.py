"""The inputs of all layers for a clip, extracted in one pass by the engine's own code, and cached.

A missing stream leaves its arrays empty; a clip with neither a face nor speech is unusable.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from evaluation.manifest import Clip
from training.cache import Arrays, Extractor, UnusableClip
from training.sound import Pcm
from training.visual.faces import TILES, Image
from veracity.catalog import MODELS, layers
from veracity.catalog.layers import AUDIO_WINDOWS, WINDOW_SAMPLES
from veracity.evidence import crops, faces, kinds, lips, speech
from veracity.evidence import sampling as frames
from veracity.evidence.detector import detector
from veracity.evidence.requests import Infer, Sample
from veracity.evidence.speech import Vad, speech_windows
from veracity.media import Frame, Limits, Media, Source
from veracity_client.errors import VeracityError

_MODELS = ("visual_starter", "lipsync_starter", "semantic_starter")
_MAX_FACES = 8  # a frame, as the engine's default
FLOW_SIDE = 56  # pixels of the maps of optical flow
_SMALL = 2 * FLOW_SIDE  # pixels of a face whose motion is measured
Flow = npt.NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class ClipInputs:
    """What the layers see of a clip.

    ``faces`` uint8 [n, 224, 224, 3] of the person with most frames, at ``times`` [n] in seconds, with their
    ``flow`` float16 [n, 56, 56, 2] to the next frame in sides of the face, if requested; ``mouths`` uint8
    [m, 25, 96, 96], ``pictures`` uint8 [k, 224, 224, 3], ``windows`` of speech int16 [w, 64600].
    """

    clip: Clip
    faces: Image
    times: npt.NDArray[np.float64]
    flow: Flow
    mouths: Image
    pictures: Image
    windows: Pcm


def extractor(infer: Infer, vad: Vad, flow: bool = False) -> Extractor[ClipInputs]:
    """Extracts with the engine's own code, which is part of the version; ``infer`` finds faces, ``vad`` speech."""
    code = "".join(inspect.getsource(module) for module in (crops, faces, frames, kinds, layers, lips, speech))
    models = [MODELS[name] for name in _MODELS]
    version = f"{code}{TILES}{flow and FLOW_SIDE}{[(model.input, model.crop) for model in models]}"

    def extract(clip: Clip) -> Arrays:
        return asyncio.run(_look(clip, infer, vad, flow))

    return Extractor(
        "clips-flow" if flow else "clips", version, extract, lambda clip, arrays: ClipInputs(clip, **arrays)
    )


async def _look(clip: Clip, infer: Infer, vad: Vad, flow: bool) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a clip's file; raises UnusableClip, and what the engine raises of an unreadable file."""
    with Media.open(Source(clip.path), Limits()) as media:
        probe = await media.probe()
        try:
            sound = await media.audio() if probe.audio else np.zeros(0, np.int16)
        except VeracityError:
            if probe.video is None:
                raise
            sound = np.zeros(0, np.int16)  # the pictures may be whole
        spans = vad(sound) if len(sound) else []
        windows = speech_windows(sound, lambda _: spans, limit=AUDIO_WINDOWS) if spans else []
        seen = await _watch(media, clip, infer, spans, flow) if probe.video else {}
    heard = np.array([window.samples for window in windows], np.int16).reshape(-1, WINDOW_SAMPLES)
    arrays = _nothing() | seen | {"windows": heard}
    if not len(arrays["faces"]) and not len(heard):
        raise UnusableClip("neither a face that is large enough nor half a second of speech is in it")
    return arrays


def _nothing() -> dict[str, npt.NDArray[Any]]:
    side = MODELS["visual_starter"].size
    empty = {"faces": (side, side, 3), "mouths": MODELS["lipsync_starter"].input.shape, "pictures": (224, 224, 3)}
    arrays: dict[str, npt.NDArray[Any]] = {name: np.zeros((0, *shape), np.uint8) for name, shape in empty.items()}
    return arrays | {"times": np.zeros(0), "flow": np.zeros((0, FLOW_SIDE, FLOW_SIDE, 2), np.float16)}


async def _watch(
    media: Media, clip: Clip, infer: Infer, spans: Sequence[tuple[float, float]], flow: bool
) -> dict[str, npt.NDArray[Any]]:
    seconds = await media.video_seconds()
    detectors = [detector(name) for name in _MODELS]
    plan = frames.plan(seconds, {one.excerpt for one in detectors}, spans)
    collector, motion = frames.SampleCollector(plan, detectors, seconds, _MAX_FACES), Motion()
    tile = next((tile for pattern, tile in TILES if clip.fake and re.search(pattern, clip.path.name)), None)
    following = {number + 1 for number in plan.faces} if flow else set()
    async for frame in media.frames(sorted({*plan.frame_indices, *following})):
        motion.follow(frame)
        if frame.index not in plan.frame_indices:
            continue
        found = (await frames.detect(infer, [frame]))[0] if frame.index in plan.detected else None
        if found is not None and tile is not None:
            found = [face for face in found if face.centre[0] // frame.image.shape[0] == tile]
        collector.add(frame, found)
        if flow and frame.index in plan.faces:
            motion.begin(frame, collector.tracker)
    return _arrays(collector, motion if flow else None)


@dataclass
class Motion:
    """How each face moves from its frame to the next one of the film, by Farnebäck's optical flow."""

    found: dict[tuple[float, int], Flow] = field(default_factory=dict)  # by time and track
    _before: Frame | None = None
    _faces: list[tuple[int, faces.Box]] = field(default_factory=list)

    def begin(self, frame: Frame, tracker: faces.Tracker) -> None:
        """Notes the faces of a frame."""
        here = (track for track in tracker.tracks if track.frames[-1] == frame.index)
        self._before, self._faces = frame, [(track.id, track.detections[-1].box) for track in here]

    def follow(self, frame: Frame) -> None:
        """Measures what moved since the noted frame, if this is the one after it."""
        before, self._before = self._before, None
        if before is None or frame.index != before.index + 1:
            return
        for track, box in self._faces:
            pair = [_small(picture.image, box) for picture in (before, frame)]
            self.found[before.time, track] = flow_between(*pair)


def flow_between(before: Image, after: Image) -> Flow:
    """Optical flow between grey faces uint8 [n, n] → float16 [56, 56, 2], in sides of the face."""
    start: Any = None
    flow = cv2.calcOpticalFlowFarneback(before, after, start, 0.5, 3, 15, 3, 5, 1.2, 0) / before.shape[0]
    return cv2.resize(flow, (FLOW_SIDE, FLOW_SIDE), interpolation=cv2.INTER_AREA).astype(np.float16)


def _small(image: Image, box: faces.Box) -> Image:
    return crops.luma(crops.face_crop(image, box, _SMALL))


def _arrays(collector: frames.SampleCollector, motion: Motion | None) -> dict[str, npt.NDArray[Any]]:
    tracks = collector.tracker.tracks
    main = tracks[0].id if tracks else -1
    visible = [item for item in collector.take("visual_starter") if item.face == main]
    times = np.array([item.start for item in visible], np.float64)
    arrays = dict(_stacked(collector, visible)) | {"times": times}
    if motion is not None and visible:
        still = np.zeros((FLOW_SIDE, FLOW_SIDE, 2), np.float16)  # of the last frame there is no next
        arrays["flow"] = np.stack([motion.found.get((time, main), still) for time in times])
    return arrays


def _stacked(collector: frames.SampleCollector, visible: Sequence[Sample]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Those that hold something."""
    found = {"mouths": collector.take("lipsync_starter"), "pictures": collector.take("semantic_starter")}
    for name, items in ({"faces": visible} | found).items():
        if items:
            yield name, np.stack([item.tensor for item in items])
