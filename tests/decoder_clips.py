"""Clips of all kinds that decoders of pictures have to agree on, made on the spot by pip's ffmpeg."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from media_samples import H264, picture

from veracity.media import Frame, Limits, Media, Source
from veracity.media.decoders import Decoder
from veracity.media.ffmpeg import find_ffmpeg, pips_ffmpeg

HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")
AV1 = ("-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8")
PQ = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
SMALL = picture(1)
# name -> suffix, arguments of ffmpeg, and options in front of the input of a second pass that copies
CLIPS: dict[str, tuple[str, Sequence[object], Sequence[object]]] = {
    "h264": ("mp4", (*SMALL, *H264, "-g", 10), ()),
    "h264-frames": ("mp4", (*picture(1, "322x182"), "-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", 3), ()),
    "hevc": ("mp4", (*SMALL, *HEVC, "-pix_fmt", "yuv420p"), ()),
    "hevc-10-bit": ("mkv", (*SMALL, *HEVC, "-pix_fmt", "yuv420p10le"), ()),
    "hdr": ("mp4", (*SMALL, *HEVC, "-pix_fmt", "yuv420p10le", *PQ), ()),
    "vp8": ("webm", (*SMALL, "-c:v", "libvpx", "-deadline", "realtime"), ()),
    "vp9": ("webm", (*SMALL, *VP9, "-pix_fmt", "yuv420p"), ()),
    "vp9-10-bit": ("webm", (*SMALL, *VP9, "-pix_fmt", "yuv420p10le"), ()),
    "av1": ("mp4", (*SMALL, *AV1, "-pix_fmt", "yuv420p"), ()),
    "rotated": ("mp4", (*SMALL, *H264), ("-display_rotation", 90)),
    "vfr": ("mkv", (*SMALL, "-vf", "select='not(mod(n,3))+lt(n,9)'", "-fps_mode", "vfr", *H264), ()),
    "interlaced": ("mkv", (*picture(1, rate=50), "-vf", "interlace", *H264, "-flags", "+ildct+ilme"), ()),
    "cropped": ("h264", (*SMALL, *H264, "-bsf:v", "h264_metadata=crop_left=16:crop_top=8"), ()),
    "two-sizes": ("h264", (), ()),
}


def make(folder: Path, name: str) -> Path:
    """Write a clip unless it is there."""
    suffix, arguments, copied = CLIPS[name]
    target = folder / f"{name}.{suffix}"
    if target.exists():
        return target
    if name == "two-sizes":
        target.write_bytes(b"".join(_run(folder / f"{size}.h264", *picture(0.5, size), *H264) for size in SIZES))
        return target
    if copied:
        plain = folder / f"{name}-plain.{suffix}"
        _run(plain, *arguments)
        arguments = (*copied, "-i", plain, "-c", "copy")
    _run(target, *arguments)
    return target


SIZES = ("320x180", "160x90")


def _run(target: Path, *arguments: object) -> bytes:
    command = [str(find_ffmpeg(pips_ffmpeg())), "-v", "error", "-nostdin", "-y", *map(str, arguments), str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target.read_bytes()


async def decoded(
    clip: Path, decoder: Decoder, size: tuple[int, int] | None = None, limits: Limits | None = None
) -> list[Frame]:
    """Return the frames of a clip's first second, with pip's ffmpeg."""
    with Media.open(Source(clip), limits or Limits(), find_ffmpeg(pips_ffmpeg()), decoder=decoder) as media:
        return [frame async for frame in media.frames(range(25), size)]
