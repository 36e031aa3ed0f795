"""Rewrite a picture that ffmpeg may not read as a PNG, animated ones as an APNG, on standard output.

    python -I -S -B convert_script.py '{"packages": …, "max_pixels": …, "max_frames": …}' < FILE > PICTURE

HEIC, AVIF and animated WebP. ffmpeg reads them from version 8 on, or puts the tiles of a telephone's photograph out one
by one; libheif and Pillow do it with any ffmpeg. Run as a script in the sandbox, never imported by the server.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

OUT_OF_MEMORY, TOO_MANY_PIXELS, TOO_MANY_FRAMES, UNREADABLE = 12, 13, 14, 15  # exit statuses
PNG_HEAD = b"\x89PNG\r\n\x1a\n"
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
    if getattr(picture, "is_animated", False) and picture.format != "HEIF":
        _write_film(picture)
    else:
        sys.stdout.buffer.write(_png(picture))


def _write_film(picture: Image.Image) -> None:
    """Write an APNG picture by picture: Pillow's own writer holds all of them until the last is there."""
    out, frames, sequence = sys.stdout.buffer, getattr(picture, "n_frames", 1), 0
    for number in range(frames):
        picture.seek(number)
        picture.load()
        chunks = list(_chunks(_png(picture)))
        header = chunks[0]
        if not number:
            out.write(PNG_HEAD + _chunk(*header) + _chunk(b"acTL", struct.pack(">II", frames, 0)))
        milliseconds = min(65_535, max(1, int(picture.info.get("duration") or 40)))
        timing = struct.pack(">IIIIHHBB", *struct.unpack(">II", header[1][:8]), 0, 0, milliseconds, 1000, 0, 0)
        out.write(_chunk(b"fcTL", struct.pack(">I", sequence) + timing))
        sequence += 1
        for _, data in (chunk for chunk in chunks if chunk[0] == b"IDAT"):
            if not number:
                out.write(_chunk(b"IDAT", data))
                continue
            out.write(_chunk(b"fdAT", struct.pack(">I", sequence) + data))
            sequence += 1
    out.write(_chunk(b"IEND", b""))


def _png(picture: Image.Image) -> bytes:
    """Return a picture as PNG, upright and without metadata."""
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(picture).convert("RGB")
    upright.info.clear()
    written = io.BytesIO()
    upright.save(written, "PNG", compress_level=FASTEST)
    return written.getvalue()


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(PNG_HEAD)
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


if __name__ == "__main__":
    sys.exit(main())
