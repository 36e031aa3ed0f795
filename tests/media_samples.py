"""Small clips for the tests, made on the spot by the system's ffmpeg and espeak-ng, each once a test session."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import struct
import subprocess
import zlib
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from veracity.media import Frame, Media, Probe, Source
from veracity.media.ffmpeg import find_ffmpeg
from veracity.media.sandbox import Limits
from veracity_client.errors import VeracityError

T = TypeVar("T")

SENTENCE = "The quick brown fox jumps over the lazy dog, and nobody in the room has seen it coming. "
LIMITS = Limits()
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def write(target: Path, *arguments: object) -> Path:
    """Run ffmpeg with these arguments and ``target`` as its output, unless that is there already."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [str(find_ffmpeg()), "-v", "error", "-nostdin", "-y", *map(str, arguments), str(target)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return target


def picture(seconds: float = 2, size: str = "320x180", rate: float = 25) -> tuple[str, ...]:
    """Return input arguments: a moving test picture."""
    return "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"


def tone(seconds: float = 2, hertz: int = 440) -> tuple[str, ...]:
    """Return input arguments: a sine at an eighth of full scale."""
    return "-f", "lavfi", "-i", f"sine=frequency={hertz}:duration={seconds}"


def silent_video(folder: Path, seconds: float = 2, size: str = "320x180") -> Path:
    """Return a video without a sound track."""
    return write(folder / f"silent-{seconds}-{size}.mp4", *picture(seconds, size), *H264)


def audio_only(folder: Path, suffix: str = "wav", seconds: float = 2) -> Path:
    """Return a sound file; the suffix decides the format."""
    return write(folder / f"tone-{seconds}.{suffix}", *tone(seconds))


def clip(folder: Path) -> Path:
    """Return two seconds of picture and sound, the index at the end."""
    return write(folder / "clip.mp4", *picture(), *tone(), *H264)


def faststart(folder: Path, seconds: float = 4) -> bytes:
    """Return a clip of picture and sound, the index in front: it can be cut anywhere and still be opened."""
    front = ("-movflags", "faststart", "-g", 25)
    return write(folder / f"fast-{seconds}.mp4", *picture(seconds), *tone(seconds), *H264, *front).read_bytes()


def uneven(folder: Path, pictures: float, sound: float) -> Path:
    """Return a clip whose pictures and sound last for different times."""
    return write(folder / f"uneven-{pictures}-{sound}.mp4", *picture(pictures), *tone(sound), *H264)


def scratched(content: bytes) -> bytes:
    """Return an mp4 with a part of its coded pictures and sound spoilt; its index is whole."""
    start = content.index(b"mdat") + 4
    middle = start + int.from_bytes(content[start - 8 : start - 4], "big") // 3
    return content[:middle] + bytes(255 - byte for byte in content[middle : middle + 4000]) + content[middle + 4000 :]


def speech(folder: Path, seconds: float = 4) -> Path:
    """Return a wav of a synthetic voice that speaks for ``seconds``."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is missing: apt-get install espeak-ng")
    voice = folder / f"voice-{seconds}.wav"
    if not voice.exists():
        folder.mkdir(parents=True, exist_ok=True)
        text = SENTENCE * (1 + int(seconds // 4))  # a sentence takes about five seconds
        subprocess.run(["espeak-ng", "-w", str(voice), text], check=True, capture_output=True)
    return write(folder / f"speech-{seconds}.wav", "-i", voice, "-t", seconds, "-ar", 16000)


def talking(folder: Path, seconds: float = 4, size: str = "640x360") -> Path:
    """Return a video of a moving picture with a synthetic voice; without a face."""
    sound = ("-i", speech(folder, seconds))
    target = folder / f"talking-{seconds}-{size}.mp4"
    return write(target, *picture(seconds, size), *sound, *H264, "-c:a", "aac", "-b:a", "96k", "-t", seconds)


def numbered(
    target: Path, count: int, shown: str = "N/25", codec: Sequence[object] = H264, filters: str = "null"
) -> Path:
    """Write a video whose frame N is grey of the level ``level(N)``, shown from the second that ``shown`` says."""
    raw = target.with_suffix(".gray")
    raw.write_bytes(b"".join(bytes([level(number)]) * 64 * 48 for number in range(count)))
    grey = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", "64x48", "-r", 1000, "-i", raw)
    return write(target, *grey, "-vf", f"settb=1/1000,setpts=({shown})/TB,{filters}", *codec)


def gif(width: int, height: int, count: int) -> bytes:
    """Return a GIF of ``count`` frames of one pixel each, on a canvas of any size: some twenty bytes a frame."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes([0, 0, 0, 255, 255, 255])
    frame = b"!\xf9\x04\x08\x02\x00\x00\x00" + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * count + b";"


def png(width: int, height: int) -> bytes:
    """Return a black picture of any size: a thousandth of its pixels in bytes."""
    rows = zlib.compressobj()
    pixels = b"".join(rows.compress(bytes(1 + width)) for _ in range(height)) + rows.flush()
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", pixels), (b"IEND", b"")]
    packed = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


PERIOD = 28  # frame numbers that grey levels tell apart, with 8 levels between them for the codec's loss


def level(number: int) -> int:
    """Return the grey level of a numbered frame: 16, 24, … 232, 16, …; see :func:`number_of`."""
    return 16 + 8 * (number % PERIOD)


def number_of(image: NDArray[np.uint8]) -> int:
    """Read the number back, modulo ``PERIOD``."""
    return round((float(image.mean()) - 16) / 8)


def pitch(pcm: NDArray[np.int16]) -> float:
    """Return the strongest frequency, in Hz."""
    return float(np.argmax(np.abs(np.fft.rfft(pcm))) * 16_000 / len(pcm))


# The thing under test, asked from plain functions


def decoders() -> list[str]:
    """Return the names of the ffmpegs that this process has as children, the dead that nobody buried among them."""
    return list(children("ffmpeg", "prlimit", "setpriv").values())


def children(*names: str) -> dict[int, str]:
    """Return this process' children whose names begin so, by their ids."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = entry.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if int(rest.split()[1]) == os.getpid() and name.startswith(names):
            found[int(entry.parent.name)] = name
    return found


def programs() -> list[Any]:
    """Return test parameters: the ffmpeg that is found first, and the one of the wheel imageio-ffmpeg."""
    found = [find_ffmpeg()]
    if importlib.util.find_spec("imageio_ffmpeg"):
        found.append(Path(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()))
    return [pytest.param(path, id=path.name) for path in dict.fromkeys(found)]


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def probe(file: Path | bytes, ffmpeg: Path, limits: Limits = LIMITS) -> Probe:
    with Media.open(Source(file), limits, ffmpeg) as media:
        return await media.probe()


async def audio(file: Path | bytes, ffmpeg: Path, track: int = 0, limits: Limits = LIMITS) -> NDArray[np.int16]:
    with Media.open(Source(file), limits, ffmpeg) as media:
        return await media.audio(track)


async def video_seconds(file: Path | bytes, ffmpeg: Path) -> float:
    with Media.open(Source(file), LIMITS, ffmpeg) as media:
        return await media.video_seconds()


async def damage(file: Path | bytes, ffmpeg: Path, wanted: Sequence[int] = ()) -> list[str]:
    """Read the first sound track, if any, and the wanted frames; return what is noted of the file."""
    with Media.open(Source(file), LIMITS, ffmpeg) as media:
        assert media.damage == ()
        if (await media.probe()).audio:
            await media.audio()
        async for _ in media.frames(wanted):
            pass
        return list(media.damage)


def errors_of(content: bytes, ffmpeg: Path) -> str:
    """Return what ffmpeg says while it decodes all of a file."""
    command = [str(ffmpeg), "-v", "error", "-i", "-", "-f", "null", "-"]
    return subprocess.run(command, input=content, capture_output=True).stderr.decode()


async def frames(
    file: Path | bytes,
    ffmpeg: Path,
    wanted: Sequence[int],
    size: tuple[int, int] | None = None,
    limits: Limits = LIMITS,
) -> list[Frame]:
    with Media.open(Source(file), limits, ffmpeg) as media:
        return [frame async for frame in media.frames(wanted, size)]


def is_ours(error: VeracityError) -> bool:
    """Tell whether a message is a short line without path, memory file or traceback."""
    return 10 < len(str(error)) < 160 and not any(
        word in str(error) for word in ("/", "memfd", "\n", "Traceback", "0x")
    )
