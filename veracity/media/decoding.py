"""The ffmpeg runs that decode: their arguments, and the frames read from their output."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from veracity.catalog.layers import FPS, SAMPLE_RATE
from veracity.media.decoders import FFMPEG, Decoder
from veracity.media.ffmpeg import input_args, nothing_decoded
from veracity.media.probe import AudioStream, Probe, Timeline, VideoStream
from veracity.media.sandbox import DecoderProcess, Limits
from veracity_client.errors import BadOption

AHEAD = 8  # frames decoded ahead of their consumer: 8 × 6.2 MB
FULL_HD = 1920 * 1080  # pixels; larger pictures are scaled down to that many before they leave ffmpeg
LONGEST_SIDE = 32_000  # pixels; OpenCV turns no picture of 32,768 and more
SEEKABLE = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")  # formats that tell where their key frames are
START_SECONDS = 2.0  # of video are decoded in the time that a run of ffmpeg takes to start
EARLIER = 0.5  # seconds that a run begins before its first frame: what is shown there may have begun before
RUNS = 2_000  # of consecutive frames in one pass; ffmpeg takes an argument of at most 128 KiB
# EXIF orientation -> filters that make the picture upright
UPRIGHT: dict[int, tuple[str, ...]] = {
    1: (), 2: ("hflip",), 3: ("hflip", "vflip"), 4: ("vflip",), 5: ("transpose=cclock_flip",),
    6: ("transpose=clock",), 7: ("transpose=clock_flip",), 8: ("transpose=cclock",),
}  # fmt: skip
# A picture of high dynamic range as a player shows it on an ordinary screen. BT.2408: white lies at 203 cd/m².
TO_SDR = (
    "zscale=transfer=linear:npl=203",
    "format=gbrpf32le",
    "zscale=primaries=bt709",
    "tonemap=tonemap=mobius:desat=0",
    "zscale=transfer=bt709:matrix=bt709:range=tv",
    "format=yuv444p",
    "scale",  # to what comes next
)


@dataclass(frozen=True)
class Frame:
    """``index`` on the 25 fps time base, ``time`` in seconds, ``image`` uint8 RGB [height, width, 3]."""

    index: int
    time: float
    image: NDArray[np.uint8]


def audio_arguments(
    limits: Limits, track: AudioStream, timeline: Timeline, channel: int | None = None, *, mix: bool = True
) -> list[str]:
    """Return the arguments that give a track as 16 kHz s16le; late starts and holes become silence.

    All channels are mixed to one; with ``channel`` that one alone is given; without ``mix`` all of them, interleaved.
    """
    filters = [*_without_jumps("asetpts", timeline), "aresample=async=1:first_pts=0"]
    if channel is not None:
        filters.append(f"pan=mono|c0=c{channel}")
    count = 1 if mix or channel is not None else track.channels
    sound = ["-map", f"0:a:{track.index}", "-af", ",".join(filters), "-ac", str(count), "-ar", str(SAMPLE_RATE)]
    return [*input_args(limits, "-vn"), *sound, "-t", f"{limits.max_seconds:g}", "-f", "s16le", "pipe:1"]


def sound_bytes(limits: Limits) -> int:
    """Return how long what :func:`audio_arguments` asks for may get, with a second to spare."""
    return int((limits.max_seconds + 1) * SAMPLE_RATE) * 2


def picture_arguments(
    limits: Limits, video: VideoStream, timeline: Timeline, runs: Sequence[range], width: int, height: int,
    *, seek: bool = False, decoder: Decoder = FFMPEG,
) -> list[str]:  # fmt: skip
    """Return the arguments that give the frames of ``runs`` as RGB bytes.

    Frames are picked before they are scaled, converted and turned, and turned by us: ffmpeg would turn all of them.
    With ``seek`` decoding begins at a key frame before the first of them, and the time base is counted from that one.
    """
    first = runs[0].start if seek else 0
    jump = ["-noaccurate_seek", "-copyts", "-start_at_zero", "-ss", f"{max(0.0, first / FPS - EARLIER):.3f}"]
    across, down = (height, width) if video.orientation > 4 else (width, height)
    filters = [
        *decoder.first,
        *([f"select='lte(t,{timeline.stray_after:.3f})'"] if timeline.stray_after is not None else []),
        *_without_jumps("setpts", timeline),
        *([*decoder.planar, "yadif=deint=interlaced"] if video.interlaced else []),
        f"fps={FPS}:start_time={first / FPS:g}:eof_action=pass",  # to the last frame, however short it is shown
        f"select='{_select([range(run.start - first, run.stop - first) for run in runs])}'",
        f"setpts=N/({FPS}*TB)",  # without holes, so that no version of ffmpeg fills them with repeated frames
        *decoder.planar,
        f"scale={across}:{down}",
        *(TO_SDR if video.hdr else ()),
        "format=rgb24",
        *UPRIGHT[video.orientation],
    ]
    # A change of size midway must not start the time base anew; yadif alone cannot take one.
    keep = [] if video.interlaced else ["-reinit_filter", "0"]
    count = sum(len(run) for run in runs)
    output = ["-map", f"0:V:{video.index}", "-vf", ",".join(filters), "-frames:v", str(count), "-pix_fmt", "rgb24"]
    return [
        *input_args(limits, *decoder.options, "-noautorotate", "-an", *keep, *(jump if seek else ())),
        *output,
        "-flush_packets",
        "1",
        "-f",
        "rawvideo",
        "pipe:1",
    ]


def _without_jumps(name: str, timeline: Timeline) -> list[str]:
    """Return the filter that leaves out the seconds in which nothing plays, none where there are none."""
    if not timeline.jumps:
        return []
    skipped = "+".join(f"gte(T,{at:.3f})*{excess:.3f}" for at, excess in timeline.jumps)
    return [f"{name}='PTS-({skipped})/TB'"]


def runs_of(indices: Sequence[int]) -> list[range]:
    """Split rising numbers into runs of neighbours."""
    if any(a >= b for a, b in pairwise(indices)) or (len(indices) and indices[0] < 0):
        raise ValueError("frame indices must be rising numbers from 0")
    runs = [list(run) for _, run in groupby(enumerate(indices), lambda pair: pair[1] - pair[0])]
    if len(runs) > RUNS:
        raise BadOption(f"frames of {len(runs)} separate places are more than the {RUNS} of one pass")
    return [range(run[0][1], run[-1][1] + 1) for run in runs]


def passes(indices: Sequence[int], probe: Probe) -> list[Sequence[int]]:
    """Split rising numbers into those that one run of ffmpeg decodes: a new run where it saves more than it costs."""
    lag = probe.video.key_lag if probe.video else None
    if lag is None or probe.timeline != Timeline() or probe.container not in SEEKABLE:
        return [indices]
    cuts = [k for k, (a, b) in enumerate(pairwise(indices), 1) if (b - a) / FPS > lag + START_SECONDS]
    return [indices[a:b] for a, b in pairwise([0, *cuts, len(indices)])]


def _select(runs: Sequence[range]) -> str:
    """Return ffmpeg's expression for "n is in one of these"; a tree, since it takes a sum of 100 terms at most."""
    if len(runs) == 1:
        return f"between(n,{runs[0][0]},{runs[0][-1]})"
    middle = len(runs) // 2
    return f"if(lt(n,{runs[middle][0]}),{_select(runs[:middle])},{_select(runs[middle:])})"


def shown_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height of the frames where no size is given: the video's, within the area of full HD."""
    longest = LONGEST_SIDE / max(width, height)
    scale = min(1.0, math.sqrt(FULL_HD / (width * height)), longest)
    return max(1, round(width * scale)), max(1, round(height * scale))


async def read_ahead(
    child: DecoderProcess, indices: Sequence[int], shape: tuple[int, int, int], video: VideoStream, *, begun: bool
) -> AsyncGenerator[Frame | Exception | str, None]:
    """Yield frames until the last of ``indices`` or the end, then ffmpeg's messages, or the error.

    That nothing came is an error unless another pass has ``begun`` to give frames.
    """
    ahead: asyncio.Queue[Frame | Exception | str] = asyncio.Queue(AHEAD)

    async def pump() -> None:
        said = ""
        try:
            for count, index in enumerate(indices):
                image = np.empty(shape, np.uint8)
                if await child.fill(image.data.cast("B")) < image.nbytes:
                    said = await child.end()
                    if not count and not begun:
                        raise nothing_decoded(said, "the pictures", video.codec)
                    break
                await ahead.put(Frame(index, index / FPS, image))
            await ahead.put(said)
        except Exception as error:  # handed on to where the frames are consumed
            await ahead.put(error)

    pumping = asyncio.create_task(pump())
    try:
        while isinstance(item := await ahead.get(), Frame):
            yield item
        yield item
    finally:
        pumping.cancel()
        await asyncio.wait([pumping])
