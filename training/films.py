"""`python -m training films`: whole films with fakes of our own, beside their originals, to calibrate and measure on.

Of every trainable real film: the film as it is, its face swapped or drawn anew, its mouth painted, and where somebody
speaks its sound moved and its voice made by a vocoder. All are cut, scaled and coded alike, so that nothing but the
manipulation differs. A network that did not learn from a film's people did not learn from these either.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import errno
import io
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import soundfile
from tqdm import tqdm

from evaluation.manifest import Clip, ManifestError, read_clips
from training.cache import FullDisk, Unusable, report, room_for
from training.sound import Pcm
from training.visual import fakes
from training.visual.faces import CONTEXT, MAX_FACES, Face, Image, Points
from training.visual.masks import Mask, Rng
from veracity.calibrate.scores import Split
from veracity.catalog.layers import FPS, SAMPLE_RATE
from veracity.evidence import faces
from veracity.evidence.crops import face_box, interpolate
from veracity.evidence.requests import Infer
from veracity.evidence.sampling import detect
from veracity.install.files import atomic
from veracity.media import Limits, Media, Source, find_ffmpeg
from veracity_client.errors import VeracityError

FRAMES = 4 * FPS  # of a film, from its beginning: as much as the mouths' four seconds
SIDE = 960  # pixels of the longer side at most
EVERY = 3  # frames between two looks of the face detector
CRF = (18, 28)  # of H.264, from and to
LATE = (5, 9)  # frames that a sound is moved by, early or late
_COLUMNS = ("path", "kind", "label", "how", "source", "licence", "use", "notes", "sha256")

Paint = Callable[[Face, Face, Rng], tuple[Image, Mask]]
# how it is called in the manifest, by the end of the file's name
PAINTED: dict[str, tuple[str, Paint]] = {
    "swap": ("own face swap", fakes.swapped),
    "face": ("own face drawn anew", fakes.rerendered),
    "mouth": ("own mouth painted, dubbed", fakes.mouthed),
}
HEARD = {"moved": "own moved sound", "voice": "own machine voice"}


@dataclass(frozen=True, eq=False)
class Film:
    """The beginning of a film: RGB uint8 [n, h, w, 3], one face's boxes [n, 4] and landmarks [n, 5, 2], its sound."""

    clip: Clip
    frames: Image
    boxes: Points
    landmarks: Points
    sound: Pcm


def run(options: argparse.Namespace) -> None:
    """Makes the films of ``options.data`` in ``options.out``, with a manifest.csv; raises ManifestError."""
    from training.joint.command import finder

    infer = finder(options.threads)
    clips = [clip for clip in read_clips(options.data) if not clip.fake and clip.split != "test"]
    if len(clips) < 2:
        raise ManifestError(f"{options.data} holds no two real films to make fakes of")
    options.out.mkdir(parents=True, exist_ok=True)
    bad: list[str] = []
    rows: list[dict[str, str]] = []
    before: dict[Split, Film] = {}  # whose face is swapped in: of the same split, or networks would know one of the two
    names = _names(clips)
    for number, clip in enumerate(tqdm(clips, "films", disable=None)):
        try:
            film = asyncio.run(_read(clip, infer))
            rows += list(_made(film, before.get(clip.split), options.out / names[number], number))
            before[clip.split] = film
        except (VeracityError, Unusable) as error:
            bad.append(f"{clip.id}: {error}")
    if not rows:
        raise ManifestError("; ".join(["no film could be made", *bad]))
    _list(rows, options.out / "manifest.csv")
    sys.stdout.write("\n".join([f"{len(rows)} films in {options.out}", *report(bad), ""]))


def _list(rows: Sequence[dict[str, str]], path: Path) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    with room_for(path), atomic(path) as file:
        file.write(text.getvalue().encode())


async def _read(clip: Clip, infer: Infer) -> Film:
    """Decodes as the engine does; raises Unusable where no face stays in the picture."""
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
        raise Unusable("no face was found in it")
    track = max(tracker.tracks, key=lambda one: len(one.frames))
    if len(track.frames) < len(frames) / EVERY / 2:
        raise Unusable("no face stays in the picture")
    known, wanted = dict(zip(track.frames, track.detections)), range(len(frames))
    boxes = interpolate({n: np.array(face.box) for n, face in known.items()}, wanted)
    landmarks = interpolate({n: face.landmarks for n, face in known.items()}, wanted)
    return Film(clip, np.stack(frames), boxes, landmarks, sound[: total * SAMPLE_RATE // FPS])


def _small(image: Image) -> Image:
    """At most SIDE pixels wide and high, sides even as H.264 wants them."""
    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))
    return image if size == (width, height) else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _names(clips: Sequence[Clip]) -> list[str]:
    """How each one's films begin: as its file is called, or as the manifest calls it where several files are alike."""
    files = Counter(clip.path.name for clip in clips)
    return [clip.path.name if files[clip.path.name] == 1 else clip.id.replace("/", "__") for clip in clips]


def _made(film: Film, other: Film | None, out: Path, number: int) -> Iterator[dict[str, str]]:
    """Writes the original and its fakes, and answers their rows; a file that is there already is kept.

    ``out`` is how their paths begin, ``other`` whose face is swapped in, if there is one.
    """
    rng = np.random.default_rng([1, number])
    crf, seed = int(rng.integers(*CRF, endpoint=True)), int(rng.integers(1 << 31))
    mouth_or_face = ("mouth", "swap" if other and number % 2 else "face")
    yield _written(film, "", "as it is, cut and coded", out, crf, lambda: (film.frames, film.sound))
    for name in mouth_or_face:
        how, paint = PAINTED[name]
        yield _written(
            film, name, how, out, crf, lambda paint=paint: (_painted(film, other or film, paint, seed), film.sound)
        )
    if _speaks(film.sound):
        late = _late(rng)  # drawn here, so that the voice's draws do not depend on whether this film is there already
        yield _written(film, "moved", HEARD["moved"], out, crf, lambda: (film.frames, np.roll(film.sound, late)))
        yield _written(film, "voice", HEARD["voice"], out, crf, lambda: (film.frames, _revoiced(film.sound, rng)))


def _painted(film: Film, other: Film, paint: Paint, seed: int) -> Image:
    """The film with its face altered, each frame for itself, by one tool with one setting."""
    answer = film.frames.copy()
    for k, frame in enumerate(film.frames):
        mine, where = _face(frame, film.boxes[k], film.landmarks[k])
        n = k % len(other.frames)
        theirs, _ = _face(other.frames[n], other.boxes[n], other.landmarks[n])
        x0, y0, x1, y1 = where
        answer[k, y0:y1, x0:x1] = paint(mine, theirs, np.random.default_rng(seed))[0]
    return answer


def _face(frame: Image, box: Points, landmarks: Points) -> tuple[Face, tuple[int, int, int, int]]:
    x0, y0, x1, y1 = where = face_box(frame.shape, [float(v) for v in box], CONTEXT)
    moved = box - (x0, y0, x0, y0)
    return Face(frame[y0:y1, x0:x1], tuple(float(v) for v in moved), landmarks - (x0, y0)), where


def _speaks(sound: Pcm) -> bool:
    """Whether there is a sound to be heard: half a second of it at least over a hundredth of full scale."""
    return int((np.abs(sound.astype(np.int32)) > 328).sum()) > SAMPLE_RATE // 20


def _late(rng: Rng) -> int:
    """Samples that a sound is moved by, early or late; what goes out at one end comes in at the other."""
    return int(rng.choice([-1, 1])) * int(rng.integers(*LATE, endpoint=True)) * SAMPLE_RATE // FPS


def _revoiced(sound: Pcm, rng: Rng) -> Pcm:
    """Another speaker's voice by a vocoder."""
    from training.audio.fakes import world_voice

    voiced = world_voice((sound / 32_768).astype(np.float32), rng)
    return np.asarray(np.clip(voiced * 32_768, -32_768, 32_767), np.int16)


def _written(
    film: Film, name: str, how: str, out: Path, crf: int, make: Callable[[], tuple[Image, Pcm]]
) -> dict[str, str]:
    """Makes one film where it is not there yet; its row."""
    path = out.with_name(f"{out.name}.{name or 'as-it-is'}.mp4")
    if not path.is_file():
        _encode(*make(), path, crf)
    return {
        "path": path.name,
        "kind": "video",
        "label": "fake" if name else "real",
        "how": how,
        "source": film.clip.source,
        "licence": film.clip.licence,
        "use": film.clip.use,
    }


def _encode(frames: Image, sound: Pcm, path: Path, crf: int) -> None:
    """H.264 and AAC at 25 fps; raises Unusable with ffmpeg's last words, and FullDisk where they are those."""
    with tempfile.TemporaryDirectory() as folder:
        heard: Sequence[str] = ()
        if len(sound):
            soundfile.write(Path(folder) / "sound.wav", sound, SAMPLE_RATE)
            heard = ("-i", str(Path(folder) / "sound.wav"), "-c:a", "aac", "-b:a", "96k")
        height, width = frames.shape[1:3]
        pictures = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(FPS), "-i", "-")
        coded = ("-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), "-pix_fmt", "yuv420p")
        part = path.with_suffix(".part.mp4")
        command = (str(find_ffmpeg()), "-loglevel", "error", "-y", *pictures, *heard, *coded, str(part))
        done = subprocess.run(command, input=frames.tobytes(), capture_output=True, check=False)
        if done.returncode:
            part.unlink(missing_ok=True)
            words = done.stderr.decode(errors="replace").strip()[-200:]
            if os.strerror(errno.ENOSPC) in words:
                raise FullDisk(f"no room left for {path}; what was there is kept: make room and go on")
            raise Unusable(f"ffmpeg could not write {path.name}: {words}")
        part.replace(path)
