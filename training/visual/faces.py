"""Faces of the manifest's videos and pictures, decoded, detected and cropped by the engine's code, and cached."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from evaluation.manifest import Clip
from training import cache as media
from veracity.catalog import MODELS, Crop
from veracity.evidence import crops, faces
from veracity.evidence.requests import Infer
from veracity.evidence.sampling import detect, plan
from veracity.media import Frame, Limits, Media, Source, find_ffmpeg
from veracity_client.errors import BadVideo

Image = npt.NDArray[np.uint8]
Points = npt.NDArray[np.floating[Any]]

STARTER = MODELS["visual_starter"]
CONTEXT = Crop(0.4, stretch=False)  # margin around a face for warps, jitter and codec blocks
CONTEXT_SIDE = 360  # pixels of the context's longer side at most: the crop within it is 250, still more than 224
MAX_FACES = 8  # a frame, as the engine's default


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a frame with a margin: uint8 RGB [h, w, 3]; box and landmarks in its pixels.

    ``redrawn`` is the same picture as a network draws it (`training.visual.redrawing`), if there is one.
    """

    context: Image
    box: faces.Box
    landmarks: Points
    redrawn: Image | None = None


@dataclass(frozen=True, eq=False)
class ClipFaces:
    """What the visual layer sees of a clip: ``crops`` uint8 [n, 224, 224, 3], each with the second of its frame.

    ``faces`` are the same faces with a margin, for real clips only: forgeries are made from them.
    """

    clip: Clip
    crops: Image
    times: npt.NDArray[np.float64]
    tracks: npt.NDArray[np.int64]
    faces: tuple[Face, ...]


# ffmpeg's options of each re-encoding. H.264 gives motion few bits, so in many real videos a speaking mouth is softer
# than its surroundings.
REENCODINGS: dict[str, tuple[str, ...]] = {
    "": (),
    "crf30": ("-crf", "30"),
    "half-crf28": ("-vf", "scale=trunc(iw/4)*2:-2", "-crf", "28"),
    "crf37": ("-crf", "37"),
}
# Fake videos that show several squares side by side: file name pattern, and index of the generated square.
TILES: tuple[tuple[str, int], ...] = ((r"AniPortrait__", 1),)


def collect(
    clips: Sequence[Clip], cache: Path, infer: Infer, reencodings: Sequence[str] = ("",)
) -> tuple[list[ClipFaces], list[str]]:
    """The faces of all clips in each re-encoding, cached; and a line on each unreadable file."""
    seen: list[ClipFaces] = []
    bad: list[str] = []
    for name in reencodings:
        found, left_out = media.collect(clips, cache, extractor(infer, name))
        seen, bad = seen + found, bad + left_out
    return seen, bad


def extractor(infer: Infer, name: str = "") -> media.Extractor[ClipFaces]:
    """Extracts with the engine's own code, which is part of the version."""

    def extract(clip: Clip) -> media.Arrays:
        with reencoded(clip, name) as video:
            return asyncio.run(_look(video, clip, infer))

    return media.Extractor(f"faces{name and '-'}{name}", version(name), extract, _read)


def version(name: str = "") -> str:
    """What determines the crops of a re-encoding: code and constants."""
    code = "".join(inspect.getsource(part) for part in (crops.face_box, crops.face_crop, faces))
    return f"{code}{CONTEXT}{CONTEXT_SIDE}{STARTER.size}{STARTER.crop}{TILES}{name}{REENCODINGS[name]}"


@contextmanager
def reencoded(clip: Clip, name: str) -> Iterator[Path]:
    """A temporary re-encoded copy of a clip; raises BadVideo."""
    if not name:
        yield clip.path
        return
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "reencoded.mp4"
        coded = ("-an", *REENCODINGS[name], "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", str(video))
        even = () if "-vf" in coded else ("-vf", "scale=trunc(iw/2)*2:trunc(ih/2)*2")
        command = (str(find_ffmpeg()), "-nostdin", "-loglevel", "error", "-i", str(clip.path), *even, *coded)
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise BadVideo(f"ffmpeg could not re-encode as {name}: {done.stderr.decode(errors='replace').strip()}")
        yield video


async def _look(video: Path, clip: Clip, infer: Infer) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a clip's file."""
    tracker = faces.Tracker()
    tile = next((tile for pattern, tile in TILES if clip.fake and re.search(pattern, clip.path.name)), None)
    cropped: list[Image] = []
    where: list[tuple[float, int]] = []
    kept: dict[str, npt.NDArray[Any]] = {}
    async for frame in _frames(video):
        found = (await detect(infer, [frame]))[0]
        visible = [face for face in found if faces.is_visible(face, frame.image)][:MAX_FACES]
        for track, face in tracker.update(frame.index, frame.time, visible, frame.image):
            if tile is not None and face.centre[0] // frame.image.shape[0] != tile:
                continue
            if not clip.fake:
                kept |= _context(len(cropped), frame.image, face)
            cropped.append(crops.face_crop(frame.image, face.box, STARTER.size, STARTER.crop))
            where.append((frame.time, track.id))
    pictures = np.array(cropped, np.uint8).reshape(-1, STARTER.size, STARTER.size, 3)
    return {"crops": pictures, "where": np.array(where, np.float64).reshape(-1, 2), **kept}


async def _frames(video: Path) -> AsyncIterator[Frame]:
    """The frames that the engine would analyse."""
    with Media.open(Source(video), Limits()) as media:
        seconds = await media.video_seconds()
        async for frame in media.frames(plan(seconds, ()).faces):
            yield frame


def _context(number: int, image: Image, face: faces.Detection) -> dict[str, npt.NDArray[Any]]:
    x0, y0, x1, y1 = crops.face_box(image.shape, face.box, CONTEXT)
    scale = min(1.0, CONTEXT_SIDE / max(x1 - x0, y1 - y0))
    size = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    picture = image[y0:y1, x0:x1]
    if scale < 1:
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    points = (np.vstack([np.reshape(face.box, (2, 2)), face.landmarks]) - (x0, y0)) * scale
    return {f"png{number}": to_png(picture), f"points{number}": points}


def _read(clip: Clip, arrays: media.Arrays) -> ClipFaces:
    where, pictures = arrays["where"], arrays["crops"]
    some = [_face(arrays, number) for number in range(len(pictures)) if f"png{number}" in arrays]
    return ClipFaces(clip, pictures, where[:, 0], where[:, 1].astype(np.int64), tuple(some))


def _face(arrays: media.Arrays, number: int) -> Face:
    points = arrays[f"points{number}"]
    x0, y0, x1, y1 = (float(v) for v in points[:2].ravel())
    return Face(from_png(arrays[f"png{number}"]), (x0, y0, x1, y1), points[2:])


def to_png(picture: Image) -> Image:
    """The bytes of RGB [h, w, 3] as a PNG."""
    return np.asarray(cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].ravel(), np.uint8)


def from_png(content: npt.NDArray[Any]) -> Image:
    """RGB uint8 [h, w, 3] of a PNG's bytes."""
    return np.asarray(cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)
