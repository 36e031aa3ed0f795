"""Formats by their first bytes: pictures that are converted before ffmpeg sees them, and what is no video at all."""

from __future__ import annotations

import os

from veracity.media.boxes import has_index
from veracity.media.convert_script import TOO_MANY_FRAMES, TOO_MANY_PIXELS
from veracity.media.ffmpeg import PLAYABLE
from veracity.media.repeated import repeated
from veracity.media.sandbox import Limits, running
from veracity.media.scripts import script
from veracity.media.source import SourceFile
from veracity_client.errors import (
    BadVideo,
    LimitExceeded,
    TooLarge,
    TooManyPixels,
    UnsupportedCodec,
    VeracityError,
)

HEAD_BYTES = 64
PIXEL_BYTES = 4  # of a converted picture that cannot be compressed, filters and framing included
FILM = 2  # times the bytes of the largest file that a converted film may have
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2"}
AVIF_BRANDS = {b"avif", b"avis"}
PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")  # JPEG, PNG, GIF, BMP, TIFF
SAVE_AS = "save it as JPEG or PNG and send that"
# What people send by mistake, and what to send instead.
OTHER_FILES: tuple[tuple[bytes, str], ...] = (
    (b"#EXTM3U", "an HLS playlist; send the video that it lists"),
    (b"ffconcat", "an ffconcat list; send the video that it lists"),
    (b"<MPD", "a DASH manifest; send the video that it lists"),
    (b"v=0\n", "an SDP session description; send a recording of the stream"),
    (b"v=0\r\n", "an SDP session description; send a recording of the stream"),
    (b"%PDF", "a PDF document; send the video or picture in it"),
    (b"8BPS", f"a Photoshop document; {SAVE_AS}"),
    (b"<svg", f"an SVG drawing; {SAVE_AS}"),
    (b"PK\x03\x04", "a ZIP archive; unpack it and send the video in it"),
    (b"Rar!", "a RAR archive; unpack it and send the video in it"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and send the video in it"),
    (b"\xff\x0a", f"a JPEG XL picture, which this ffmpeg cannot read; {SAVE_AS}"),
    (b"\0\0\0\x0cJXL ", f"a JPEG XL picture, which this ffmpeg cannot read; {SAVE_AS}"),
    (b"MThd", "a MIDI file, which holds notes and no sound"),
)


def picture_format(file: int) -> str | None:
    """Return the name of an open picture's format where it has to be converted first."""
    head = os.pread(file, HEAD_BYTES, 0)
    if head[4:8] == b"ftyp":
        length = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12], *(head[k : k + 4] for k in range(16, length - 3, 4))}
        return "AVIF" if brands & AVIF_BRANDS else "HEIC" if head[8:12] in HEIC_BRANDS else None
    animated = head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) > 20 and head[20] & 2
    return "animated WebP" if animated else None


def is_picture(file: int) -> bool:
    """Return whether an open file begins as a picture does, so that it holds no sound."""
    return os.pread(file, HEAD_BYTES, 0).startswith(PICTURES) or picture_format(file) is not None


def unreadable(source: int) -> VeracityError:
    """Return the error of a file that nothing opens, by what it looks like."""
    head = os.pread(source, 1 << 10, 0)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for start, name in OTHER_FILES:
        if text.startswith(start) or (start[:1] == b"<" and text[:1] == b"<" and start in text):
            return BadVideo(f"this is {name}")
    if head[4:8] == b"ftyp" and not has_index(source):
        return BadVideo("the file's index (moov atom) is missing: was the upload cut short?")
    return BadVideo(f"this is no video or audio file, or it is damaged; {PLAYABLE}")


@repeated
async def convert(source: int, name: str, limits: Limits) -> SourceFile:
    """Return the picture as a PNG in memory. Raises errors that name the format."""
    command = script("convert_script.py", "PIL", "pi_heif", max_pixels=limits.max_pixels, max_frames=limits.max_frames)
    most = max(FILM * limits.max_bytes, PIXEL_BYTES * limits.max_pixels)
    picture = SourceFile(os.memfd_create("picture"), 0, "")
    try:
        async with running(command, source, limits) as child:
            async for block in child.blocks(most):
                picture.size += os.write(picture.descriptor, block)
            await child.end()
            status = child.exit_status
        if status:
            raise _conversion_error(name, status)
    except BaseException as error:
        picture.close()
        if isinstance(error, TooLarge):
            raise LimitExceeded(f"the {name} picture is too large to be converted; {SAVE_AS}") from None
        raise
    return picture


def _conversion_error(name: str, status: int) -> VeracityError:
    if status == TOO_MANY_PIXELS:
        return TooManyPixels(f"the {name} picture has more pixels than VERACITY_MAX_PIXELS allows")
    if status == TOO_MANY_FRAMES:
        return LimitExceeded(f"the {name} picture has more frames than VERACITY_MAX_FRAMES allows")
    return UnsupportedCodec(f"this {name} picture cannot be read, or it is damaged; {SAVE_AS}")
