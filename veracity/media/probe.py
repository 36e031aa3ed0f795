"""What a file holds, read from ffmpeg's own words: the wheel's ffmpeg comes without ffprobe.

The file chooses parts of that text (titles, languages). So what is read here describes and plans; safety rests on
ffmpeg's own limits, and the size of what leaves it is dictated.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from veracity.catalog.layers import FPS
from veracity.media.ffmpeg import Limits
from veracity_client.errors import LimitExceeded, TooLong


@dataclass(frozen=True)
class VideoStream:
    """The picture. ``width`` and ``height`` are as shown: upright and with square pixels.

    ``fps`` is the file's own; ``rotation`` says by how many degrees clockwise frames are turned to be upright.
    """

    codec: str
    width: int
    height: int
    fps: float | None
    rotation: int
    interlaced: bool


@dataclass(frozen=True)
class AudioStream:
    """A sound track, the ``index``-th of them."""

    codec: str
    index: int


@dataclass(frozen=True)
class Probe:
    """``seconds`` is None where nothing tells the length; cover art is no video."""

    seconds: float | None
    video: VideoStream | None
    audio: tuple[AudioStream, ...]


INPUT = re.compile(r"^Input #0, \S+, from ", re.M)
DURATION = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", re.M)
STREAM = re.compile(r"^ +Stream #0:\d+.*?: (Video|Audio): (.+)$", re.M)
SIZE = re.compile(r", (\d+)x(\d+)\b")
PIXEL_ASPECT = re.compile(r"\bSAR (\d+):(\d+)")
RATE = re.compile(r", ([\d.]+)(k?) (?:fps|tbr)\b")
ROTATION = re.compile(r"display ?matrix: rotation of (-?[\d.]+) degrees", re.I)
FIELDS = re.compile(r"\b(?:top|bottom) (?:coded )?first\b")
PIXEL_SHAPES = (1.03, 4.0)  # long to short side; less is the rounding of a size, more is a broken header
PACKET = re.compile(r"^0, +\S+, +(-?\d+), +(\d+),", re.M)
TIME_BASE = re.compile(r"^#tb 0: (\d+)/(\d+)$", re.M)
SPEAKER = re.compile(r"^\[(?:in#0/)?([\w,]+) @ ", re.M)
PROTECTION = re.compile(rb"schm\0{4}(?:cenc|cens|cbc1|cbcs|piff)")  # an mp4's scheme box, ISO/IEC 23001-7
BOXES = 10_000  # at the top of an mp4, looked through for its index
INDEX_BYTES = 64 << 20  # of the index, looked through; an hour takes about 2 MB


def parse_banner(said: str) -> Probe | None:
    """Read what ``ffmpeg -i`` prints; None where it opened nothing. A length that ffmpeg only guessed is left out."""
    opened = INPUT.search(said)
    if opened is None:
        return None
    guessed, said = "Estimating duration" in said[: opened.start()], said[opened.start() :]
    length = None if guessed else DURATION.search(said)
    streams = list(STREAM.finditer(said))
    ends = [stream.start() for stream in streams[1:]] + [len(said)]
    pictures = (_video(s[2], said[s.end() : end]) for s, end in zip(streams, ends) if s[1] == "Video")
    sounds = [s[2] for s in streams if s[1] == "Audio"]
    return Probe(
        seconds=float(length[1]) * 3600 + float(length[2]) * 60 + float(length[3]) if length else None,
        video=next((picture for picture in pictures if picture), None),
        audio=tuple(AudioStream(_codec(text), index) for index, text in enumerate(sounds)),
    )


def parse_progress(told: str, video: VideoStream | None) -> float | None:
    """Return the seconds that ``-progress`` came to; by the number of frames where the packets carry no time."""
    times = re.findall(r"^out_time=(\d+):(\d\d):(\d\d\.\d+)$", told, re.M)
    if times:
        hours, minutes, seconds = times[-1]
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    frames = re.findall(r"^frame=\s*(\d+)$", told, re.M)
    return int(frames[-1]) / video.fps if frames and video and video.fps else None


def parse_packets(told: str) -> float | None:
    """Return the second at which the last packet of a list in the format ``framecrc`` ends, if any has a time."""
    base = TIME_BASE.search(told)
    end = max((int(packet[1]) + int(packet[2]) for packet in PACKET.finditer(told)), default=None)
    return None if base is None or end is None else end * int(base[1]) / int(base[2])


def within_limits(probe: Probe, limits: Limits) -> Probe:
    """Return the probe; raises :class:`TooLong` and :class:`LimitExceeded` for what the file says of itself."""
    seconds = probe.seconds or 0.0
    if seconds > limits.max_seconds:
        raise TooLong(f"{seconds:.0f} s are more than the {limits.max_seconds:g} that VERACITY_MAX_SECONDS allows")
    frames = int(seconds * max(FPS, (probe.video and probe.video.fps) or 0.0)) if probe.video else 0
    if frames > limits.max_frames:
        raise LimitExceeded(f"{frames} frames are more than the {limits.max_frames} of VERACITY_MAX_FRAMES")
    return probe


def is_cut(said: str, codec: str) -> bool:
    """Tell whether words about a run that decoded nothing come from the container: not from the codec's parser."""
    return any(speaker not in ("NULL", codec) for speaker in SPEAKER.findall(said))


def is_protected(file: int, size: int) -> bool:
    """Tell whether an open mp4 of ``size`` bytes is encrypted the way DRM systems do it; ffmpeg does not say."""
    at = 0
    for _ in range(BOXES):
        head = os.pread(file, 16, at)
        if len(head) < 8 or not head[4:8].isalnum():
            return False
        length = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4], "big")
        if head[4:8] == b"moov":
            return PROTECTION.search(os.pread(file, min(length, INDEX_BYTES), at)) is not None
        at += length
        if length < 8 or at >= size:
            return False
    return False


def _video(text: str, details: str) -> VideoStream | None:
    size = SIZE.search(text)
    if "(attached pic)" in text or size is None:
        return None
    aspect, rate, turn = PIXEL_ASPECT.search(text), RATE.search(text), ROTATION.search(details)
    shape = _square(int(size[1]), int(size[2]), aspect)
    rotation = round(-float(turn[1]) / 90) * 90 % 360 if turn else 0
    width, height = shape[::-1] if rotation in (90, 270) else shape
    fps = float(rate[1]) * (1000 if rate[2] else 1) if rate else 0.0
    colours = text[: size.start()].split(", ", 1)[-1]
    return VideoStream(
        codec=_codec(text),
        width=width,
        height=height,
        fps=fps or None,
        rotation=rotation,
        interlaced=FIELDS.search(colours) is not None,
    )


def _square(width: int, height: int, aspect: re.Match[str] | None) -> tuple[int, int]:
    """Widen or narrow a picture so that its pixels are square."""
    across, down = (int(aspect[1]), int(aspect[2])) if aspect else (1, 1)
    least, most = PIXEL_SHAPES
    if not least * min(across, down) <= max(across, down) <= most * min(across, down):
        return width, height
    return max(1, round(width * across / down)), height


def _codec(text: str) -> str:
    """Return the codec's name, or the four letters that the file calls it by where ffmpeg does not know it."""
    name = re.match(r"\w+", text)
    letters = re.search(r"\((\w{4}) / 0x", text)
    if letters and (name is None or name[0] in ("none", "unknown")):
        return letters[1]
    return name[0] if name else "unknown"
