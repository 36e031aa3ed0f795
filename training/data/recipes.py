"""How an item is made of the file at its origin. Every recipe gives the same bytes as those that the table names.

The bytes are those of the libraries that requirements/*.lock pins: another ffmpeg resamples and packs otherwise.
"""

from __future__ import annotations

import io
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from veracity_client.errors import VeracityError

if TYPE_CHECKING:
    from PIL import Image

RATE = 16_000


class RecipeError(VeracityError):
    """An item cannot be made of the file at its origin."""


def make(recipe: str, original: Path) -> bytes:
    """Return the bytes of an item; raises :class:`RecipeError`."""
    name, *arguments = recipe.split()
    try:
        return RECIPES[name](original, *arguments)
    except RecipeError:
        raise
    except (OSError, ValueError, TypeError, RuntimeError, SyntaxError) as error:  # of damaged media
        raise RecipeError(f"{recipe}: {type(error).__name__}: {error}") from error


def is_local(recipe: str) -> bool:
    """Return whether nobody knows how to make the item again: it is only had with --from."""
    return recipe.startswith("local:")


def _as_is(original: Path) -> bytes:
    return original.read_bytes()


def _sound(original: Path) -> bytes:
    """The first five seconds as 16 kHz mono FLAC."""
    return _ffmpeg(
        original, ".flac", "-ac", "1", "-ar", str(RATE), "-t", "5", "-sample_fmt", "s16", "-compression_level", "12"
    )


def _cut(original: Path) -> bytes:
    """The first ten seconds of a film, packets as they are."""
    return _ffmpeg(original, original.suffix, "-t", "10", "-c", "copy")


def _speech(original: Path, start: str, count: str) -> bytes:
    """``count`` samples from ``start`` on, of the sound at 16 kHz mono, as FLAC."""
    import soundfile

    sound = resampled(original)[int(start) : int(start) + int(count)]
    whole = np.clip(np.rint(sound * 32767), -32768, 32767).astype(np.int16)
    packed = io.BytesIO()
    with soundfile.SoundFile(packed, "w", RATE, 1, "PCM_16", format="FLAC", compression_level=1.0) as out:
        out.write(whole)
    return packed.getvalue()


def resampled(original: Path) -> NDArray[np.float32]:
    """Return the sound of a file at 16 kHz, mono, as floats."""
    from scipy.signal import resample_poly

    sound, rate = _samples(original)
    divisor = math.gcd(rate, RATE)
    mono: NDArray[np.float32] = sound.mean(axis=1)
    if rate != RATE:
        mono = resample_poly(mono, RATE // divisor, rate // divisor)
    return mono


def _samples(original: Path) -> tuple[NDArray[np.float32], int]:
    """The samples and their rate; what is no WAV, FLAC, MP3 or Ogg, ffmpeg unpacks."""
    import soundfile

    known = original.suffix.lower() in (".wav", ".flac", ".mp3", ".ogg")
    source = original if known else io.BytesIO(_ffmpeg(original, ".wav", "-c:a", "pcm_s16le"))
    return soundfile.read(source, dtype="float32", always_2d=True)  # type: ignore[no-any-return]


def _scaled(original: Path, size: str) -> bytes:
    """A picture brought to a ``size`` (as 420x560), coded twice."""
    import cv2
    from PIL import Image

    width, height = (int(n) for n in size.split("x"))
    with Image.open(original) as opened:
        pixels = cv2.resize(np.asarray(opened.convert("RGB")), (width, height), interpolation=cv2.INTER_AREA)
    once = _coded(Image.fromarray(pixels), 95)
    with Image.open(io.BytesIO(once)) as opened:
        return _coded(opened, 86)


def _jpeg(original: Path, quality: str, size: str = "", corner: str = "") -> bytes:
    """A picture, or the part of it of a ``size`` (as 512x512) from a ``corner`` (as 253,0) on, as progressive JPEG."""
    from PIL import Image

    with Image.open(original) as opened:
        picture = opened.convert("RGB")
    if size:
        (width, height), (left, top) = (int(n) for n in size.split("x")), (int(n) for n in corner.split(","))
        picture = picture.crop((left, top, left + width, top + height))
    return _coded(picture, int(quality))


def _coded(picture: Image.Image, quality: int) -> bytes:
    packed = io.BytesIO()
    picture.convert("RGB").save(packed, "JPEG", quality=quality, optimize=True, progressive=True)
    return packed.getvalue()


def _jpegtran(original: Path) -> bytes:
    """The same picture, packed tighter and without what else the file said."""
    program = shutil.which("jpegtran")
    if program is None:
        raise RecipeError("jpegtran is not installed (Debian: libjpeg-turbo-progs)")
    return _run([program, "-copy", "none", "-optimize", "-progressive", str(original)])


def _ffmpeg(original: Path, suffix: str, *options: str) -> bytes:
    import imageio_ffmpeg

    with TemporaryDirectory() as folder:
        made = Path(folder) / f"made{suffix}"
        _run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(original), *options, str(made)])
        return made.read_bytes()


def _run(command: list[str]) -> bytes:
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if run.returncode:
        said = run.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise RecipeError(f"{Path(command[0]).name} failed: {said[-1]}")
    return run.stdout


RECIPES: dict[str, Callable[..., bytes]] = {
    "as-is": _as_is,
    "sound": _sound,
    "speech": _speech,
    "cut": _cut,
    "jpeg": _jpeg,
    "jpegtran": _jpegtran,
    "scaled": _scaled,
}
