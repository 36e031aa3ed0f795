"""Rewrite a picture that ffmpeg may not read as a PNG, animated ones as an APNG, on standard output.

    python -I -S -B convert_script.py '{"packages": …, "max_pixels": …, "max_frames": …}' < FILE > PICTURE

HEIC, AVIF and animated WebP. ffmpeg reads them from version 8 on, or puts the tiles of a telephone's photograph out one
by one; libheif and Pillow do it with any ffmpeg. Run as a script in the sandbox, never imported by the server.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

OUT_OF_MEMORY, TOO_MANY_PIXELS, TOO_MANY_FRAMES, UNREADABLE = 12, 13, 14, 15  # exit statuses
FASTEST = 1  # of zlib's levels


def main() -> int:
    """Convert standard input; the exit status says what went wrong."""
    given = json.loads(sys.argv[1])
    sys.path[:0] = given["packages"]
    import pi_heif
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # ours is checked below
    pi_heif.register_heif_opener()
    try:
        with open(0, "rb", closefd=False) as source, Image.open(source) as picture:
            if picture.width * picture.height > given["max_pixels"]:
                return TOO_MANY_PIXELS
            if getattr(picture, "n_frames", 1) > given["max_frames"]:
                return TOO_MANY_FRAMES
            _write(picture)
    except MemoryError:
        return OUT_OF_MEMORY
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, RuntimeError):
        return UNREADABLE
    return 0


def _write(picture: Image.Image) -> None:
    # The pictures of a HEIC file are separate photographs, the main one first; those of the others are a film.
    film = getattr(picture, "is_animated", False) and picture.format != "HEIF"
    durations: list[float] = []
    frames = _frames(picture, durations) if film else iter([_upright(picture)])
    first, *others = frames
    film_options: dict[str, Any] = {"save_all": True, "append_images": others, "duration": durations} if others else {}
    first.save(sys.stdout.buffer, "PNG", compress_level=FASTEST, **film_options)


def _frames(picture: Image.Image, durations: list[float]) -> Iterator[Image.Image]:
    for number in range(getattr(picture, "n_frames", 1)):
        picture.seek(number)
        picture.load()
        durations.append(max(1, int(picture.info.get("duration") or 40)))  # milliseconds
        yield _upright(picture)


def _upright(picture: Image.Image) -> Image.Image:
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(picture).convert("RGB")
    upright.info.clear()  # the orientation is done, and no metadata goes on
    return upright


if __name__ == "__main__":
    sys.exit(main())
