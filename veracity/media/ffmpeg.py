"""ffmpeg: which one, what it may open, and which errors its messages stand for.

It opens nothing but the one file under analysis: only the ``file`` protocol and only formats that cannot name another
file are allowed. How it is confined otherwise is in :mod:`veracity.media.sandbox`.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
from pathlib import Path

from veracity.media.sandbox import Limits
from veracity_client.errors import (
    BadOption,
    BadVideo,
    NoFrames,
    TooManyPixels,
    UnsupportedCodec,
    VeracityError,
)

__all__ = ["Limits", "error_from_stderr", "find_ffmpeg", "input_args"]

THREADS = min(8, len(os.sched_getaffinity(0)))  # decoding gains little above 8, memory grows with each
SOURCE = "file:/proc/self/fd/0"  # the file under analysis is the child's standard input, opened anew and so seekable

# Containers, elementary streams and pictures. Missing on purpose: whatever names other files (hls, dash, concat,
# image2, imf, sdp, rtsp, …) and what only games and trackers write.
FORMATS = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mxf,gxf,nut,ivf,rm,dv,wtv,yuv4mpegpipe,"
    "h264,hevc,vvc,m4v,h263,mjpeg,obu,av1,vc1,gif,apng,png_pipe,jpeg_pipe,webp_pipe,webp,bmp_pipe,tiff_pipe,jpegxl_pipe,"
    "j2k_pipe,wav,w64,aiff,au,caf,mp3,aac,ac3,eac3,dts,flac,amr,amrnb,amrwb,ape,wv,tta"
)
PLAYABLE = "send one that plays, such as an mp4, mov, mkv, webm, wav or mp3"


def find_ffmpeg(explicit: Path | None = None) -> Path:
    """Return ``explicit``, else the system's ffmpeg, else the one in the wheel ``imageio-ffmpeg``.

    Raises :class:`VeracityError` that says how to install one.
    """
    if explicit is not None:
        if not os.access(explicit, os.X_OK) or explicit.is_dir():
            raise BadOption("VERACITY_FFMPEG names no program; leave it empty to use the system's ffmpeg")
        return explicit.absolute()
    if system := shutil.which("ffmpeg"):
        return Path(system).absolute()
    if pips := pips_ffmpeg():
        return pips
    raise VeracityError("ffmpeg is missing: apt-get install ffmpeg, or pip install imageio-ffmpeg")


def pips_ffmpeg() -> Path | None:
    """Return the ffmpeg in the wheel ``imageio-ffmpeg``, where that is installed."""
    try:
        return Path(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


def input_args(limits: Limits, *options: str) -> list[str]:
    """Return the arguments that open :data:`SOURCE` safely, with more input ``options``."""
    guards = ["-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-max_pixels", str(limits.max_pixels)]
    threads = ["-threads", str(THREADS), "-filter_threads", str(THREADS)]
    return ["-nostdin", "-hide_banner", "-v", "error", *threads, *guards, *options, "-i", SOURCE]


# Messages of a run that decoded nothing, the most telling first; ffmpeg's own words hold paths and are never passed on.
STDERR_ERRORS: tuple[tuple[str, type[VeracityError], str], ...] = (
    (r"Picture size (\d+x\d+) ", TooManyPixels, "pictures of {} pixels are more than VERACITY_MAX_PIXELS allows"),
    (r"No such filter: '(?:zscale|tonemap)'", UnsupportedCodec, "HDR needs an ffmpeg with zscale: use imageio-ffmpeg"),
    (r"[Dd]ecoder \(codec (\w+)\) not found", UnsupportedCodec, "there is no decoder for the codec {}"),
    (r"no decoder found for: (\w+)", UnsupportedCodec, "there is no decoder for the codec {}"),
    (r"Unsupported codec with id", UnsupportedCodec, "there is no decoder for its codec"),
    (r"matches no streams", BadOption, "the file has no such track"),
    (r"not contain any stream", NoFrames, "the file holds neither picture nor sound"),
)


def error_from_stderr(said: str, otherwise: VeracityError) -> VeracityError:
    """Return the error that ffmpeg's messages stand for, ``otherwise`` where they tell nothing a caller could use."""
    for pattern, error, message in STDERR_ERRORS:
        if found := re.search(pattern, said):
            return error(message.format(*found.groups()))
    return otherwise


def nothing_decoded(said: str, what: str, codec: str | None) -> VeracityError:
    """Return the error of a track that gave nothing: ``what`` is its name for a person."""
    damaged = f"{what} could not be decoded: damaged, cut short or encrypted; {PLAYABLE}"
    error = error_from_stderr(said, NoFrames(damaged) if what == "the pictures" else BadVideo(damaged))
    if isinstance(error, UnsupportedCodec) and codec:  # ffmpeg calls a codec it has never heard of "none"
        return UnsupportedCodec(f"there is no decoder for the codec {codec}")
    return error
