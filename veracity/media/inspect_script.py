"""What a media file holds, as JSON. Run as a script in the sandbox, never imported by the server.

    python -I -S -B inspect_script.py '{"packages": …, "formats": …, "max_pixels": …, "max_packets": …}' < FILE

The facts are values of ffmpeg's libraries (PyAV), not words that ``ffmpeg -i`` prints: the file chooses some of those,
and a language tag could hide a sound track. ``ffprobe`` does not come with the ffmpeg that pip installs, and Debian's
knows nothing of a photograph's orientation; PyAV is one version everywhere. Every packet is counted, since what a
container declares of its length may be wrong. Processor time for 24 s: 0.22 s; ``ffmpeg -i``: 0.14.
"""

from __future__ import annotations

import gc
import json
import os
import re
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.stream import Stream

SOURCE = "file:/proc/self/fd/0"
OUT_OF_MEMORY = 12  # exit status, errno's ENOMEM
ATTACHED = 1024 | 2048  # dispositions of cover art and of thumbnails
TIMES_MAY_RESTART = 0x0200  # AVFMT_TS_DISCONT: ffmpeg itself joins the parts of such a file
JUMP_SECONDS = 10.0  # ffmpeg's -dts_delta_threshold; no pause in which nothing plays is as long
FRAME_SECONDS = 0.04
FIRST_FRAMES = 3  # decoded of each video track, to see whether it is interlaced
FIRST_PACKETS = 100  # that are decoded for these
FEW = 0.1  # of a track's packets; more that are out of order are no strays
MAX_JUMPS = 50
LOG_ERROR = 16  # AV_LOG_ERROR
TOO_LARGE = re.compile(r"Picture size (\d+x\d+) is invalid")
UNKNOWN_CODEC = re.compile(r"parameters for stream (\d+) .*?\((\w{4}) / 0x")


class Track:
    """One stream's facts while its packets go by. Times are seconds on the file's own clock."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.tick = stream.time_base or Fraction(1, 25)  # seconds
        self.base, self.last_tick, self.stamps_hold = float(self.tick), 0, True
        self.packets = self.bytes = self.frames = 0
        self.times: list[tuple[float, float]] = []  # start, duration of each packet
        self.key_times: list[float] = []  # of pictures that can be decoded without others
        self.matrix: tuple[int, ...] = ()
        self.interlaced, self.transfer = False, 0

    @property
    def wants_frames(self) -> bool:
        """Whether its packets are still to be decoded."""
        return self.stream.type == "video" and self.frames < FIRST_FRAMES and self.packets <= FIRST_PACKETS

    def take(self, packet: av.Packet[Any]) -> None:
        """Count a packet."""
        self.packets += 1
        self.bytes += packet.size
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None:
            self.times.append((time * self.base, (packet.duration or 0) * self.base))
            if self.stream.type == "video" and packet.is_keyframe:
                self.key_times.append(time * self.base)
            self.last_tick = max(self.last_tick, time + (packet.duration or 0))

    def take_frame(self, frame: Any) -> None:
        """Read how a decoded picture is to be shown; the first one's orientation counts."""
        self.frames += 1
        self.interlaced |= frame.interlaced_frame
        if self.frames == 1:
            self.transfer = int(frame.color_trc)
            data = [bytes(entry) for entry in frame.side_data if entry.type.name == "DISPLAYMATRIX"]
            self.matrix = struct.unpack("=9i", data[0]) if data else ()


def main() -> int:
    """Print the facts of the file on standard input."""
    given = json.loads(sys.argv[1])
    sys.path[:0] = given["packages"]
    import av

    _accept_unknown_side_data()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as messages:
            facts = _facts(given)
    except (av.FFmpegError, MemoryError, ValueError, OverflowError) as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", 0) == OUT_OF_MEMORY:
            return OUT_OF_MEMORY
        facts = {"error": type(error).__name__}
    _read_messages(facts, messages)
    sys.stdout.write(json.dumps(facts))
    return 0


def _read_messages(facts: dict[str, Any], messages: Sequence[tuple[int, str, str]]) -> None:
    """Note whether the container ends too early (a codec's errors do not shorten it), and names for error messages."""
    sizes = (TOO_LARGE.search(text) for _, _, text in messages)
    facts["too_large"] = next((found[1] for found in sizes if found), None)
    facts["cut"] = any(level <= LOG_ERROR and name == facts.get("format") for level, name, _ in messages)
    for track in facts.get("tracks", ()):
        if track["codec"] is None:
            named = (UNKNOWN_CODEC.search(text) for _, _, text in messages)
            track["codec"] = next((found[2] for found in named if found and int(found[1]) == track["index"]), None)


def _accept_unknown_side_data() -> None:
    """PyAV 17 raises for kinds of side data that it does not know, such as EXIF; name them by number instead."""
    from av.sidedata import sidedata

    def missing(cls: Any, value: int) -> Any:
        member = object.__new__(cls)
        member._value_, member._name_ = value, f"TYPE_{value}"
        return member

    sidedata.Type._missing_ = classmethod(missing)  # type: ignore[assignment]


def _facts(given: dict[str, Any]) -> dict[str, Any]:
    import av

    with av.open(SOURCE, options={"protocol_whitelist": "file", "format_whitelist": given["formats"]}) as container:
        tracks = {s.index: Track(s) for s in container.streams if s.type in ("video", "audio")}
        complete = not tracks or _read_packets(container, tracks, given)  # of no streams PyAV reads all packets
        start = (container.start_time or 0) / 1e6
        times_restart = bool(int(container.format.flags) & TIMES_MAY_RESTART)
        stray = None if times_restart else _drop_strays(tracks.values())
        jumps = [] if times_restart else _jumps(tracks.values())
        return {
            "format": container.format.name,
            "declared": None if container.duration is None else container.duration / 1e6,
            "complete": complete,
            "stray_after": None if stray is None else stray - start,
            "jumps": [(at - start, excess) for at, excess in jumps],
            "tracks": [_describe(track, start, jumps, times_restart) for track in tracks.values()],
        }


def _read_packets(container: InputContainer, tracks: dict[int, Track], given: dict[str, Any]) -> bool:
    """Go through all packets; False where they are more than allowed."""
    import av

    for track in tracks.values():
        if track.stream.codec_context is not None:
            track.stream.codec_context.thread_count = 1
    try:
        for total, packet in enumerate(container.demux(*(track.stream for track in tracks.values()))):
            track = tracks[packet.stream.index]  # the last packet of each track says stream_index 0
            if packet.size:
                track.take(packet)
            if track.wants_frames:
                _decode(track, packet, given["max_pixels"])
            if total > given["max_packets"]:
                return False
    except av.FFmpegError:
        pass  # a file that is damaged here is read as far as it goes
    return True


def _decode(track: Track, packet: av.Packet[Any], max_pixels: int) -> None:
    import av

    context: Any = track.stream.codec_context
    if context is not None and context.width * context.height <= max_pixels:
        with suppress(av.FFmpegError, EOFError):  # whoever decodes the track says what is wrong with it
            for frame in packet.decode():
                track.take_frame(frame)


def _drop_strays(tracks: Any) -> float | None:
    """Leave out packets whose time is ahead of what follows them by more than a jump; return the last time to keep."""
    last: list[float] = []
    found = False
    for track in tracks:
        later, kept = float("inf"), []
        for time, duration in reversed(track.times):
            if time <= later + JUMP_SECONDS:
                kept.append((time, duration))
            later = min(later, time)
        if 0 < len(track.times) - len(kept) <= FEW * len(track.times):
            found, track.times, track.stamps_hold = True, kept[::-1], False
        last += [time for time, _ in track.times]
    return max(last) + JUMP_SECONDS / 2 if found else None


def _jumps(tracks: Any) -> list[tuple[float, float]]:
    """Return the places at which no track has a packet for long, with the seconds that are left out there."""
    times = sorted(time for track in tracks for time, _ in track.times)
    holes = ((a, b - a) for a, b in pairwise(times) if b - a > JUMP_SECONDS)
    return [(a + hole / 2, hole - FRAME_SECONDS) for a, hole in holes][:MAX_JUMPS]


def _describe(track: Track, start: float, jumps: list[tuple[float, float]], times_restart: bool) -> dict[str, Any]:
    stream: Any = track.stream
    context = stream.codec_context
    facts = {
        "index": stream.index,
        "type": stream.type,
        "decodable": context is not None,
        "codec": context.codec.canonical_name if context is not None else None,
        "disposition": int(stream.disposition or 0),
        "packets": track.packets,
        "bytes": track.bytes,
        "end": _end(track, start, jumps, times_restart),
    }
    if context is None:
        return facts
    if stream.type == "audio":
        return facts | {"channels": context.channels, "layout": context.layout.name, "rate": context.sample_rate or 0}
    rate = stream.average_rate or stream.base_rate or stream.guessed_rate
    return facts | {
        "size": (context.width, context.height),
        "aspect": (stream.sample_aspect_ratio or Fraction(1)).as_integer_ratio(),
        "fps": float(rate) if rate else None,
        "matrix": track.matrix,
        "interlaced": track.interlaced,
        "transfer": track.transfer,
        "key_lag": _key_lag(track),
    }


def _key_lag(track: Track) -> float | None:
    """Return how long before a moment the last key frame is, on average over the track, in seconds."""
    times = sorted(track.key_times)
    gaps = [b - a for a, b in pairwise([*times, max((time for time, _ in track.times), default=0.0)])]
    return sum(gap * gap for gap in gaps) / (2 * sum(gaps)) if times and sum(gaps) > 0 else None


def _end(track: Track, start: float, jumps: list[tuple[float, float]], times_restart: bool) -> float | None:
    """Return when the track ends as it can be played, in seconds from the start of the file."""
    if not track.times:
        return None
    steady = all(abs(b - a) <= JUMP_SECONDS and lasts <= JUMP_SECONDS for (a, lasts), (b, _) in pairwise(track.times))
    if steady and track.stamps_hold and not jumps:  # to the bit what ffmpeg's list of packets says
        return float((track.last_tick - round(Fraction(start) / track.tick)) * track.tick)
    if times_restart:
        return _joined_end(track.times, start)
    end = max(time + (lasts if lasts <= JUMP_SECONDS else FRAME_SECONDS) for time, lasts in track.times)
    return end - start - sum(excess for at, excess in jumps if at < end)


def _joined_end(times: list[tuple[float, float]], start: float) -> float:
    """Follow a clock that may be set anew: what jumps goes on where the last packet ended."""
    offset, (before, lasted), end = 0.0, times[0], 0.0
    for time, duration in times:
        if abs(time - before) > JUMP_SECONDS:
            offset += time - before - (lasted or FRAME_SECONDS)
        before, lasted = time, duration
        end = max(end, time - offset + duration)
    return end - start


if __name__ == "__main__":
    gc.disable()  # PyAV 17 crashes where a PNG has a colour profile and Python collects it, at the latest at the exit
    code = main()
    sys.stdout.flush()
    os._exit(code)
