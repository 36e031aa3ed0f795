"""Hostile files, the same every time, made of small seeds of every format.

    python tests/media/hostile_corpus.py FOLDER      writes them

Truncations at every box or block, flipped bits, headers with extreme numbers, pieces repeated, swapped and left out;
huge dimensions, durations and rates, thousands of streams, negative times, edit lists, matrices, HDR; playlists;
files that are two formats at once.
"""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import hostile_formats
import media_samples as samples
from PIL import Image

FAULTS = Path(__file__).parents[3] / "shared" / "faults"
HEIC = FAULTS / "portrait.heic"
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HEADER = 600  # bytes at the start, and at the end, in which most of a format's numbers lie


def seeds(folder: Path) -> dict[str, bytes]:
    """Return a second of picture and sound, or a picture, in every format, by its suffix."""
    film = (*samples.picture(1, "128x96"), *samples.tone(1))
    picture, sound = samples.picture(1, "128x96"), samples.tone(1)
    front = ("-movflags", "faststart")
    recipes: dict[str, tuple[object, ...]] = {
        "mp4": (*film, *samples.H264, *front),
        "frag.mp4": (*film, *samples.H264, "-movflags", "frag_keyframe+empty_moov", "-g", 5),
        "mov": (*film, *samples.H264, "-c:a", "pcm_s16le"),
        "mkv": (*film, *samples.H264, "-c:a", "flac"),
        "webm": (*film, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", 8, "-c:a", "libopus"),
        "avi": (*film, "-c:v", "mpeg4", "-c:a", "pcm_s16le"),
        "ts": (*film, "-c:v", "mpeg2video", "-c:a", "mp2"),
        "flv": (*film, *samples.H264, "-c:a", "aac"),
        "wav": sound,
        "flac": sound,
        "ogg": (*sound, "-c:a", "libvorbis"),
        "opus": sound,
        "mp3": sound,
        "m4a": (*sound, "-c:a", "aac"),
        "gif": samples.picture(0.4, "64x48"),
        "jpg": (*picture, "-frames:v", 1),
        "png": (*picture, "-frames:v", 1),
    }
    made = {name: samples.write(folder / f"seed.{name}", *recipe).read_bytes() for name, recipe in recipes.items()}
    return made | {"webp": _film("WEBP"), "still.webp": _still("WEBP"), "avif": _still("AVIF")} | _heic()


def _still(form: str) -> bytes:
    written = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(written, form)
    return written.getvalue()


def _film(form: str) -> bytes:
    written = io.BytesIO()
    first, *rest = [Image.new("RGB", (64, 48), (40 * k, 80, 200)) for k in range(6)]
    first.save(written, form, save_all=True, append_images=rest, duration=80)
    return written.getvalue()


def _heic() -> dict[str, bytes]:
    return {"heic": HEIC.read_bytes()} if HEIC.is_file() else {}


def corpus(folder: Path) -> hostile_formats.Files:
    """Yield the names and the bytes of all files."""
    found = seeds(folder)
    for name, seed in found.items():
        for kind, make in MUTATIONS.items():
            for number, content in enumerate(make(random.Random(f"{name} {kind}"), seed)):
                yield f"{kind}-{number}.{name}", content
    for make_files in hostile_formats.KINDS:
        yield from make_files(folder, found)


def _truncated(dice: random.Random, seed: bytes) -> Iterator[bytes]:
    for start in sorted({start for start, _, _ in hostile_formats.boxes(seed)}):
        yield seed[: start + 8]
    for share in (0.02, 0.1, 0.3, 0.6, 0.9):
        yield seed[: int(len(seed) * share) + dice.randrange(8)]
    yield seed[:-1]


def _flipped(dice: random.Random, seed: bytes) -> Iterator[bytes]:
    for count in (1, 4, 16, 64, 256, 1024):
        content = bytearray(seed)
        for _ in range(count):
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        yield bytes(content)


def _extreme(dice: random.Random, seed: bytes) -> Iterator[bytes]:
    for size in (1, 2, 4, 4, 4, 8, 8, 4):
        content = bytearray(seed)
        for _ in range(dice.choice((1, 3, 10))):
            near_end = dice.random() < 0.3
            at = dice.randrange(min(HEADER, len(seed))) if not near_end else -dice.randrange(8, HEADER)
            order: Literal["big", "little"] = dice.choice(("big", "little"))
            value = dice.choice(EXTREMES) % (1 << 8 * size)
            at = max(0, at % len(seed) - size)
            content[at : at + size] = value.to_bytes(size, order)
        yield bytes(content)


def _rearranged(dice: random.Random, seed: bytes) -> Iterator[bytes]:
    for _ in range(2):
        a, b = sorted(dice.randrange(len(seed)) for _ in range(2))
        yield seed[:b] + seed[a:]  # a piece twice
        yield seed[:a] + seed[b:]  # a piece left out
        yield seed[b:] + seed[:b]
        yield seed[:a] + bytes(b - a) + seed[b:]


MUTATIONS: dict[str, Callable[[random.Random, bytes], Iterator[bytes]]] = {
    "truncated": _truncated,
    "flipped": _flipped,
    "extreme": _extreme,
    "rearranged": _rearranged,
}


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for name, content in corpus(target / "seeds"):
        (target / name).write_bytes(content)
