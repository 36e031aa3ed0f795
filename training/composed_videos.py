"""`python -m training compose`: whole videos with forgeries, beside their originals, to calibrate and measure on.

Of every trainable real video: the original, its face swapped or re-rendered, its mouth forged, and where somebody
speaks its sound shifted and its voice re-synthesised. All are cut, scaled and encoded alike, so that only the
manipulation differs. A network that was not trained on a video's people was not trained on these either.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import soundfile
from tqdm import tqdm

from evaluation.manifest import Clip, read_clips
from training.cache import DiskFull, UnusableClip, list_made, report
from training.sound import Pcm
from training.visual import forgeries
from training.visual.faces import CONTEXT, MAX_FACES, Face, Image, Points
from training.visual.masks import Mask, Rng
from veracity.calibrate.errors import ManifestError
from veracity.calibrate.scores import Split
from veracity.catalog.layers import FPS, SAMPLE_RATE
from veracity.evidence import faces
from veracity.evidence.crops import face_box, interpolate
from veracity.evidence.requests import Infer
from veracity.evidence.sampling import detect
from veracity.media import Limits, Media, Source, find_ffmpeg
from veracity_client.errors import VeracityError

FRAMES = 4 * FPS  # per video, from its beginning: the lip layer analyses four seconds
SIDE = 960  # pixels of the longer side at most
EVERY = 3  # frames between two face detections
CRF = (18, 28)  # of H.264, lowest and highest
SHIFT = (5, 9)  # frames that the sound is shifted by, either way

FaceForgery = Callable[[Face, Face, Rng], tuple[Image, Mask]]
# file name suffix -> `how` in the manifest, and method
FACE_FORGERIES: dict[str, tuple[str, FaceForgery]] = {
    "swap": ("own face swap", forgeries.swapped),
    "face": ("own face drawn anew", forgeries.rerendered),
    "mouth": ("own mouth painted, dubbed", forgeries.mouthed),
}
SOUND_FORGERIES = {"moved": "own moved sound", "voice": "own machine voice"}


@dataclass(frozen=True, eq=False)
class SourceVideo:
    """The beginning of a video: RGB uint8 [n, h, w, 3], one face's boxes [n, 4] and landmarks [n, 5, 2], its sound."""

    clip: Clip
    frames: Image
    boxes: Points
    landmarks: Points
    sound: Pcm


def run(options: argparse.Namespace) -> None:
    """Composes the videos of ``options.data`` in ``options.out``, with a manifest.csv; raises ManifestError."""
    from training.joint.command import load_face_detector

    infer = load_face_detector(options.threads)
    clips = [clip for clip in read_clips(options.data) if not clip.fake and clip.split != "test"]
    if len(clips) < 2:
        raise ManifestError(f"{options.data} holds fewer than two real videos to forge")
    options.out.mkdir(parents=True, exist_ok=True)
    bad: list[str] = []
    rows: list[dict[str, str]] = []
    before: dict[
        Split, SourceVideo
    ] = {}  # donor of the swapped face: of the same split, so that no network knows one of the two
    names = _names(clips)
    for number, clip in enumerate(tqdm(clips, "videos", disable=None)):
        try:
            video = asyncio.run(_read(clip, infer))
            rows += list(_made(video, before.get(clip.split), options.out / names[number], number))
            before[clip.split] = video
        except (VeracityError, UnusableClip) as error:
            bad.append(f"{clip.id}: {error}")
    if not rows:
        raise ManifestError("; ".join(["no video could be composed", *bad]))
    list_made(rows, options.out / "manifest.csv")
    sys.stdout.write("\n".join([f"{len(rows)} videos in {options.out}", *report(bad), ""]))


async def _read(clip: Clip, infer: Infer) -> SourceVideo:
    """Decodes as the engine does; raises UnusableClip where no face stays in the frame."""
    tracker = faces.Tracker()
    frames: list[Image] = []
    with Media.open(Source(clip.path), Limits()) as media:
        probe = await media.probe()
        sound = await media.audio() if probe.audio else np.zeros(0, np.int16)
        total = min(FRAMES, int(await media.video_seconds() * FPS))
        async for frame in media.frames(range(total)):
            small = replace(frame, image=_small(frame.image))
            if frame.index % EVERY == 0 or frame.index == total - 1:
                found = (await detect(infer, [small]))[0]
                visible = [face for face in found if faces.is_visible(face, small.image)][:MAX_FACES]
                tracker.update(frame.index, frame.time, visible, small.image)
            frames.append(small.image)
    if not tracker.tracks:
        raise UnusableClip("it has no face")
    track = max(tracker.tracks, key=lambda one: len(one.frames))
    if len(track.frames) < len(frames) / EVERY / 2:
        raise UnusableClip("no face stays in the frame")
    known, wanted = dict(zip(track.frames, track.detections)), range(len(frames))
    boxes = interpolate({n: np.array(face.box) for n, face in known.items()}, wanted)
    landmarks = interpolate({n: face.landmarks for n, face in known.items()}, wanted)
    return SourceVideo(clip, np.stack(frames), boxes, landmarks, sound[: total * SAMPLE_RATE // FPS])


def _small(image: Image) -> Image:
    """At most SIDE pixels wide and high, with even sides for H.264."""
    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))
    return image if size == (width, height) else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _names(clips: Sequence[Clip]) -> list[str]:
    """File name prefixes: the clip's file name, or its manifest id where several files have that name."""
    files = Counter(clip.path.name for clip in clips)
    return [clip.path.name if files[clip.path.name] == 1 else clip.id.replace("/", "__") for clip in clips]


def _made(video: SourceVideo, other: SourceVideo | None, out: Path, number: int) -> Iterator[dict[str, str]]:
    """Writes the original and its forgeries, and yields their rows; existing files are kept.

    ``out`` is the path prefix, ``other`` the donor of the swapped face, if there is one.
    """
    rng = np.random.default_rng([1, number])
    crf, seed = int(rng.integers(*CRF, endpoint=True)), int(rng.integers(1 << 31))
    mouth_or_face = ("mouth", "swap" if other and number % 2 else "face")
    yield _written(video, "", "as it is, cut and coded", out, crf, lambda: (video.frames, video.sound))
    for name in mouth_or_face:
        how, forge = FACE_FORGERIES[name]
        yield _written(video, name, how, out, crf, partial(_forged, video, other or video, forge, seed))
    if _speaks(video.sound):
        shift = _shift(rng)  # sampled here, so that the voice does not depend on which files exist
        yield _written(
            video, "moved", SOUND_FORGERIES["moved"], out, crf, lambda: (video.frames, np.roll(video.sound, shift))
        )
        yield _written(
            video, "voice", SOUND_FORGERIES["voice"], out, crf, lambda: (video.frames, _resynthesised(video.sound, rng))
        )


def _forged(video: SourceVideo, other: SourceVideo, forge: FaceForgery, seed: int) -> tuple[Image, Pcm]:
    """The video with its face forged frame by frame, by one tool with one setting; and its own sound."""
    answer = video.frames.copy()
    for k, frame in enumerate(video.frames):
        mine, where = _face(frame, video.boxes[k], video.landmarks[k])
        n = k % len(other.frames)
        theirs, _ = _face(other.frames[n], other.boxes[n], other.landmarks[n])
        x0, y0, x1, y1 = where
        answer[k, y0:y1, x0:x1] = forge(mine, theirs, np.random.default_rng(seed))[0]
    return answer, video.sound


def _face(frame: Image, box: Points, landmarks: Points) -> tuple[Face, tuple[int, int, int, int]]:
    x0, y0, x1, y1 = where = face_box(frame.shape, [float(v) for v in box], CONTEXT)
    moved = box - (x0, y0, x0, y0)
    left, top, right, bottom = (float(v) for v in moved)
    return Face(frame[y0:y1, x0:x1], (left, top, right, bottom), landmarks - (x0, y0)), where


def _speaks(sound: Pcm) -> bool:
    """Whether the sound is audible: enough samples above a hundredth of full scale."""
    return int((np.abs(sound.astype(np.int32)) > 328).sum()) > SAMPLE_RATE // 20


def _shift(rng: Rng) -> int:
    """Samples that the sound is shifted by, either way; it wraps around."""
    return int(rng.choice([-1, 1])) * int(rng.integers(*SHIFT, endpoint=True)) * SAMPLE_RATE // FPS


def _resynthesised(sound: Pcm, rng: Rng) -> Pcm:
    """The voice of another speaker, by a vocoder."""
    from training.audio.forgeries import world_voice

    voiced = world_voice((sound / 32_768).astype(np.float32), rng)
    return np.asarray(np.clip(voiced * 32_768, -32_768, 32_767), np.int16)


def _written(
    video: SourceVideo, name: str, how: str, out: Path, crf: int, make: Callable[[], tuple[Image, Pcm]]
) -> dict[str, str]:
    """Writes one video unless it exists; returns its row."""
    path = out.with_name(f"{out.name}.{name or 'as-it-is'}.mp4")
    if not path.is_file():
        encode(*make(), path, crf)
    return {
        "path": path.name,
        "kind": "video",
        "label": "fake" if name else "real",
        "how": how,
        "source": video.clip.source,
        "licence": video.clip.licence,
        "use": video.clip.use,
        "notes": "; ".join(_links(video.clip)),
    }


def _links(clip: Clip) -> list[str]:
    """What a made video shares with others: all that its original does, so that they are held out together."""
    named = any(link.startswith("source:") for link in clip.links)
    return [*clip.links, *(() if named else (f"source:{clip.source}",))]


def encode(frames: Image, sound: Pcm, path: Path, crf: int) -> None:
    """H.264 at 25 fps, and AAC where there is sound; raises UnusableClip with ffmpeg's message, and DiskFull."""
    with tempfile.TemporaryDirectory() as folder:
        sound_args: Sequence[str] = ()
        if len(sound):
            soundfile.write(Path(folder) / "sound.wav", sound, SAMPLE_RATE)
            sound_args = ("-i", str(Path(folder) / "sound.wav"), "-c:a", "aac", "-b:a", "96k")
        height, width = frames.shape[1:3]
        pictures = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(FPS), "-i", "-")
        coded = ("-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), "-pix_fmt", "yuv420p")
        part = path.with_suffix(".part.mp4")
        command = (str(find_ffmpeg()), "-loglevel", "error", "-y", *pictures, *sound_args, *coded, str(part))
        done = subprocess.run(command, input=frames.tobytes(), capture_output=True, check=False)
        if done.returncode:
            part.unlink(missing_ok=True)
            words = done.stderr.decode(errors="replace").strip()[-200:]
            if os.strerror(errno.ENOSPC) in words:
                raise DiskFull(
                    f"no space left for {path}; complete files are kept: free some space and run the command again"
                )
            raise UnusableClip(f"ffmpeg could not write {path.name}: {words}")
        part.replace(path)
