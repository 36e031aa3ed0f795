"""What a file holds: its tracks as ffmpeg's libraries know them, and how long each can be played.

The facts come from :mod:`veracity.media.inspect_script`, a child in the sandbox. What a container declares of its
length counts only where its packets agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from veracity.catalog.layers import FPS
from veracity.media.facts import TrackFacts, read_facts
from veracity.media.sandbox import Limits
from veracity_client.errors import BadOption, LimitExceeded, TooLong, TooManyPixels

SLACK = 0.5  # seconds by which what is declared and what is read may differ
PIXEL_SHAPES = (1.03, 4.0)  # long to short side; less is the rounding of a size, more is a broken header
DEFAULT, ATTACHED = 1, 1024 | 2048  # dispositions: the track that players take; cover art and thumbnails
LEAST_FPS = 2.0**-32  # a ratio of 32-bit numbers is no less
MUCH_MORE = 10  # times the bytes: of two video tracks the other one shows something
TRANSFERS: Mapping[int, Literal["PQ", "HLG"]] = {16: "PQ", 18: "HLG"}  # ITU-T H.273, table 3
# Signs of a display matrix's a, b, c, d (x' = ax + cy, y' = bx + dy) -> the EXIF orientation that means the same.
ORIENTATIONS = {
    (1, 0, 0, 1): 1, (-1, 0, 0, 1): 2, (-1, 0, 0, -1): 3, (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5, (0, 1, -1, 0): 6, (0, -1, -1, 0): 7, (0, -1, 1, 0): 8,
}  # fmt: skip


@dataclass(frozen=True)
class VideoStream:
    """Moving or still pictures, the ``index``-th such track; cover art does not count.

    ``width`` and ``height`` are as shown: upright and with square pixels. ``fps`` is the file's own. ``orientation`` is
    EXIF's number of how the coded picture has to be turned, 1 to 8, 1 for not at all. ``hdr`` is the transfer function
    of a picture with a high dynamic range. ``seconds`` is when the track ends as it can be played, ``key_lag`` how many
    seconds before a moment the last key frame is, on average. Of a codec that nobody knows the size is 0.
    """

    codec: str
    width: int
    height: int
    fps: float | None
    orientation: int = 1
    interlaced: bool = False
    index: int = 0
    seconds: float = 0.0
    frames: int = 0
    hdr: Literal["PQ", "HLG"] | None = None
    coded_pixels: int = 0
    key_lag: float | None = None


@dataclass(frozen=True)
class AudioStream:
    """A sound track, the ``index``-th of them; ``mixable`` where ffmpeg knows what each channel is.

    ``rate`` is of the file, in samples a second; 0 where nobody knows the codec.
    """

    codec: str
    index: int
    channels: int = 1
    mixable: bool = True
    packets: int = 0
    seconds: float = 0.0
    default: bool = False
    rate: int = 0


@dataclass(frozen=True)
class Timeline:
    """Where the file's clock leaves what can be played.

    ``jumps`` are (second, seconds to leave out) where nothing plays for long; pictures after the second
    ``stray_after`` were stamped with a time that is not theirs.
    """

    jumps: tuple[tuple[float, float], ...] = ()
    stray_after: float | None = None


@dataclass(frozen=True)
class Probe:
    """``seconds`` is how long the file plays, ``declared`` what its container says; ``cut`` where it ends too early.

    ``video`` is the track that is examined, of ``video_tracks``; ``container`` is ffmpeg's name of the format.
    """

    seconds: float | None
    video: VideoStream | None
    audio: tuple[AudioStream, ...]
    declared: float | None = None
    cut: bool = False
    video_tracks: int = 0
    timeline: Timeline = field(default_factory=Timeline)
    complete: bool = True
    container: str = ""

    @property
    def audio_order(self) -> list[int]:
        """Sound tracks as they are to be tried: the default that holds packets first, empty ones last."""
        ranked = sorted(self.audio, key=lambda a: (not a.packets, not a.default, a.index))
        return [stream.index for stream in ranked]

    def sound_track(self, index: int) -> AudioStream:
        """Return a sound track. Raises :class:`BadOption` where there is none of that number."""
        if index >= len(self.audio):
            raise BadOption(f"audio_track {index} asked for; the file has {len(self.audio)}")
        return self.audio[index]


def parse_facts(text: bytes | bytearray, video_track: int | None = None) -> Probe | None:
    """Read what the child printed; None where it could open nothing.

    Raises :class:`BadOption` where there is no such video track, :class:`TooManyPixels`, :class:`InternalError`.
    """
    facts = read_facts(text)
    if facts.tracks is None:
        return None
    if facts.too_large:
        raise TooManyPixels(f"pictures of {facts.too_large} pixels are more than VERACITY_MAX_PIXELS allows")
    kinds: dict[str, list[TrackFacts]] = {"video": [], "audio": []}
    for track in facts.tracks:
        if not track.disposition & ATTACHED:
            kinds[track.type].append(track)
    audio = tuple(_audio(index, track) for index, track in enumerate(kinds["audio"]))
    videos = [_video(index, track) for index, track in enumerate(kinds["video"])]
    chosen = _chosen(kinds["video"], video_track)
    video = None if chosen is None else videos[chosen]
    ends = [a.seconds for a in audio] + [v.seconds for v in videos if v]
    declared = None if facts.declared is None else math.floor(facts.declared * 100 + 0.5) / 100
    return Probe(
        seconds=_seconds(ends, declared, alone=bool(videos) and not audio),
        video=video,
        audio=audio,
        declared=declared,
        cut=facts.cut,
        video_tracks=len(videos),
        timeline=Timeline(facts.jumps, facts.stray_after),
        complete=facts.complete,
        container=facts.format,
    )


def _seconds(ends: Sequence[float], declared: float | None, *, alone: bool) -> float | None:
    """Return how long a file plays: until its last packet ends.

    Pictures alone play on to the length that the container declares, where it is half a second more at most: the last
    packet of some formats does not say how long it is shown.
    """
    end = max(ends, default=0.0)
    if alone:
        end = math.floor(end * 100 + 0.5) / 100
        return max(end, declared) if declared and declared <= end + SLACK else end or None
    return end or None


def _chosen(tracks: Sequence[TrackFacts], wanted: int | None) -> int | None:
    """Return the video track to examine: the ``wanted`` one, else the default, unless another one shows far more."""
    if wanted is not None and wanted >= len(tracks):
        raise BadOption(f"video_track {wanted} asked for; the file has {len(tracks)}")
    if wanted is not None or not tracks:
        return wanted
    able = [k for k, track in enumerate(tracks) if all(track.size)] or [0]
    first = next((k for k in able if tracks[k].disposition & DEFAULT), able[0])
    fullest = max(able, key=lambda k: tracks[k].bytes)
    return fullest if tracks[fullest].bytes > MUCH_MORE * tracks[first].bytes else first


def _audio(index: int, track: TrackFacts) -> AudioStream:
    channels = track.channels or 1
    mixable = channels <= 2 or not track.layout.endswith("channels")
    end, default = max(0.0, track.end or 0.0), bool(track.disposition & DEFAULT)
    return AudioStream(track.codec or "unknown", index, channels, mixable, track.packets, end, default, track.rate)


def _video(index: int, track: TrackFacts) -> VideoStream | None:
    if not track.decodable:
        return VideoStream(track.codec or "unknown", 0, 0, None, index=index)
    if not all(track.size):
        return None
    orientation = _orientation(track.matrix)
    width, height = _square(*track.size, *track.aspect)
    fps = track.fps if track.fps and abs(track.fps) >= LEAST_FPS else None
    end = track.packets / (fps or FPS) if track.end is None else track.end
    return VideoStream(
        codec=track.codec or "unknown",
        width=height if orientation > 4 else width,
        height=width if orientation > 4 else height,
        fps=fps,
        orientation=orientation,
        interlaced=track.interlaced,
        index=index,
        seconds=max(0.0, end),  # times may be negative
        frames=track.packets,
        hdr=TRANSFERS.get(track.transfer),
        coded_pixels=math.prod(track.size),
        key_lag=track.key_lag,
    )


def _orientation(matrix: Sequence[int]) -> int:
    """Return the EXIF orientation that is nearest to a display matrix, 1 for none."""
    if len(matrix) < 9:
        return 1
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    straight = abs(a) + abs(d) >= abs(b) + abs(c)
    a, b, c, d = (a, 0, 0, d) if straight else (0, b, c, 0)
    return ORIENTATIONS.get((_sign(a), _sign(b), _sign(c), _sign(d)), 1)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _square(width: int, height: int, across: int, down: int) -> tuple[int, int]:
    """Widen or narrow a picture so that its pixels are square."""
    least, most = PIXEL_SHAPES
    if down <= 0 or not least * min(across, down) <= max(across, down) <= most * min(across, down):
        return width, height
    return max(1, round(width * across / down)), height


def within_limits(probe: Probe, limits: Limits) -> Probe:
    """Return the probe; raises :class:`TooLong`, :class:`TooManyPixels` and :class:`LimitExceeded`."""
    seconds = probe.seconds or 0.0
    if seconds > limits.max_seconds + SLACK:  # encoders add a packet to a whole hour
        raise TooLong(f"{seconds:.0f} s are more than the {limits.max_seconds:g} that VERACITY_MAX_SECONDS allows")
    if probe.video is None:
        return probe
    if probe.video.coded_pixels > limits.max_pixels:
        raise TooManyPixels(f"pictures of {probe.video.coded_pixels} pixels are more than VERACITY_MAX_PIXELS allows")
    frames = max(int(seconds * max(FPS, probe.video.fps or 0.0)), probe.video.frames)
    if frames > limits.max_frames:
        raise LimitExceeded(f"{frames} frames are more than the {limits.max_frames} of VERACITY_MAX_FRAMES")
    return probe
