"""Copies of sounds, pictures and films at other qualities, real and fake alike, so that no threshold learns a quality.

A copy is smaller, coded again, and a picture sometimes blurred or noisy too; every second sound has one, as a
telephone, a messenger or a film would carry it. What is made of an item is known by its place in the table alone.
"""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from training.cache import list_made, room_for
from veracity.calibrate.errors import ManifestError
from veracity.install.files import atomic
from veracity.media import find_ffmpeg

MANIFEST = "manifest.csv"
CHANGED = "at another quality"  # what `how` says of a copy
_LEAST = 200  # pixels of a picture's shorter side, unless it has fewer
_SCALES = (1.0, 0.75, 0.5)  # of films
_QUALITY = (35, 96)  # of JPEG
_RATE = (20, 38)  # factor of H.264
_SECONDS = 30  # of a film at most
_CODINGS: tuple[tuple[str, ...], ...] = (
    ("-c:a", "libopus", "-b:a", "24k", "-f", "ogg"),
    ("-c:a", "libmp3lame", "-b:a", "64k", "-f", "mp3"),
    ("-c:a", "aac", "-b:a", "48k", "-f", "mp4"),
    ("-c:a", "pcm_mulaw", "-ar", "8000", "-f", "wav"),
)
_ENDINGS = {"libopus": ".ogg", "libmp3lame": ".mp3", "aac": ".m4a", "pcm_mulaw": ".wav"}


def copy(media: Path, into: Path) -> int:
    """Make the copies of what ``media`` has, but for its test part; return how many there are.

    A copy that is there stays, so that an interrupted run goes on. Files that cannot be read have none. Raises
    ManifestError where ``media`` has no manifest with a column `split`, DiskFull.
    """
    into.mkdir(parents=True, exist_ok=True)
    made = list(tqdm(_copies(media, into), "copies", disable=None))
    if not made:
        raise ManifestError(f"{media} has no sound, picture or film that is not for the test and can be read")
    list_made(made, into / MANIFEST)
    return len(made)


def _copies(media: Path, into: Path) -> Iterator[dict[str, str]]:
    try:
        with (media / MANIFEST).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise ManifestError(f"{media / MANIFEST} cannot be read: {error}") from error
    if not rows or "split" not in rows[0]:
        raise ManifestError(f"{media / MANIFEST} has no column split: python -m training data fetch {media}")
    pictures = [row for row in rows if row["split"] != "test" and row["kind"] != "audio"]
    sounds = [row for row in rows if row["split"] != "test" and row["kind"] == "audio"][::2]
    for number, row in enumerate([*pictures, *sounds]):
        rng = np.random.default_rng(number)
        make, path = _maker(row["kind"], into / f"{number:05d}", rng)
        if path.is_file() or make(media / row["path"], path, rng):
            how = ", ".join(filter(None, (row["how"], CHANGED)))
            yield {**row, "path": path.name, "how": how, "original": row["path"]}


def _maker(
    kind: str, path: Path, rng: np.random.Generator
) -> tuple[Callable[[Path, Path, np.random.Generator], bool], Path]:
    if kind == "audio":
        coding = _CODINGS[int(rng.integers(len(_CODINGS)))]
        return partial(_sound, coding), path.with_suffix(_ENDINGS[coding[1]])
    return (_film, path.with_suffix(".mp4")) if kind == "video" else (_picture, path.with_suffix(".jpg"))


def _sound(coding: Sequence[str], source: Path, path: Path, rng: np.random.Generator) -> bool:
    del rng
    return _coded(source, path, *coding)


def _picture(source: Path, path: Path, rng: np.random.Generator) -> bool:
    whole = cv2.imread(str(source))
    if whole is None:
        return False
    height, width = whole.shape[:2]
    scale = max(float(np.exp(rng.uniform(np.log(0.3), 0))), min(1.0, _LEAST / min(height, width)))
    size = (max(8, int(width * scale)), max(8, int(height * scale)))
    small = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)
    if rng.random() < 0.3:
        small = np.asarray(cv2.GaussianBlur(small, (0, 0), rng.uniform(0.4, 1.2)), np.uint8)
    if rng.random() < 0.3:
        small = np.clip(small + rng.normal(0, rng.uniform(1, 6), small.shape), 0, 255).astype(np.uint8)
    coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*_QUALITY))])[1]
    with room_for(path), atomic(path) as file:
        file.write(coded.tobytes())
    return True


def _film(source: Path, path: Path, rng: np.random.Generator) -> bool:
    scale, rate = float(rng.choice(_SCALES)), int(rng.integers(*_RATE))
    sides = ":".join(f"trunc({side}*{scale}/2)*2" for side in ("iw", "ih"))
    return _coded(
        source, path, "-t", str(_SECONDS), "-vf", f"scale={sides}", "-c:v", "libx264", "-preset", "veryfast",
        "-crf", str(rate), "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k", "-f", "mp4",
    )  # fmt: skip


def _coded(source: Path, path: Path, *how: str) -> bool:
    """Whether ffmpeg could read the source; the copy is there whole or not at all."""
    part = path.with_name(f".{path.name}")
    command = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-y", "-i", str(source), *how, str(part)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        part.unlink(missing_ok=True)
        return False
    part.rename(path)
    return True
