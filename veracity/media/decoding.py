"""The runs that decode: which sound, which frames, in which form they leave ffmpeg, and the frames read from it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from veracity.catalog.layers import FPS, SAMPLE_RATE
from veracity.media.ffmpeg import PLAYABLE, FfmpegProcess, Limits, error_from_stderr, input_args
from veracity.media.probe import VideoStream
from veracity_client.errors import BadOption, NoFrames, UnsupportedCodec

AHEAD = 8  # frames decoded before they are asked for: 8 × 6.2 MB
FULL_HD = 1920 * 1080  # pixels; larger pictures are scaled down to that many before they leave ffmpeg
RUNS = 2_000  # of consecutive frames in one pass; ffmpeg takes an argument of at most 128 KiB
TURNS = {0: (), 90: ("transpose=clock",), 180: ("hflip", "vflip"), 270: ("transpose=cclock",)}


@dataclass(frozen=True)
class Frame:
    """``index`` on the 25 fps time base, ``time`` in seconds, ``image`` uint8 RGB [height, width, 3]."""

    index: int
    time: float
    image: NDArray[np.uint8]


def audio_arguments(limits: Limits, track: int) -> list[str]:
    """Return the arguments that give a track as s16le; late starts and holes become silence, no picture is decoded."""
    sound = ["-map", f"0:a:{track}", "-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", str(SAMPLE_RATE)]
    return [*input_args(limits, "-vn"), *sound, "-t", f"{limits.max_seconds:g}", "-f", "s16le", "pipe:1"]


def packet_arguments(limits: Limits) -> list[str]:
    """Return the arguments that go through the packets, decode nothing, and tell how far they came."""
    over = f"{limits.max_seconds + 1:g}"
    every = ["-map", "0:V?", "-map", "0:a?", "-c", "copy", "-t", over]
    return [*input_args(limits), *every, "-progress", "pipe:1", "-f", "null", "-"]


def listing_arguments(limits: Limits, stream: str) -> list[str]:
    """Return the arguments that list the packets of one stream, ``V:0`` or ``a:1``, and decode nothing."""
    one = ["-map", f"0:{stream}", "-c", "copy", "-frames", str(limits.max_frames)]
    return [*input_args(limits), *one, "-f", "framecrc", "pipe:1"]


def picture_arguments(limits: Limits, video: VideoStream, runs: Sequence[range], width: int, height: int) -> list[str]:
    """Return the arguments that give the frames of ``runs`` as RGB bytes.

    Frames are picked before they are scaled, converted and turned, and turned by us: ffmpeg would turn all of them.
    """
    across, down = (height, width) if video.rotation in (90, 270) else (width, height)
    filters = [
        *(["yadif=deint=interlaced"] if video.interlaced else []),
        f"fps={FPS}:start_time=0:eof_action=pass",  # to the last frame, however short it is shown
        f"select='{_select(runs)}'",
        f"setpts=N/({FPS}*TB)",  # without holes, so that no version of ffmpeg fills them with repeated frames
        f"scale={across}:{down}",
        "format=rgb24",
        *TURNS[video.rotation],
    ]
    # A change of size midway must not start the time base anew; yadif alone cannot take one.
    keep = [] if video.interlaced else ["-reinit_filter", "0"]
    count = sum(len(run) for run in runs)
    output = ["-map", "0:V:0", "-vf", ",".join(filters), "-frames:v", str(count), "-pix_fmt", "rgb24"]
    return [
        *input_args(limits, "-noautorotate", "-an", *keep),
        *output,
        "-flush_packets",
        "1",
        "-f",
        "rawvideo",
        "pipe:1",
    ]


def runs_of(wanted: Sequence[int]) -> list[range]:
    """Split rising numbers into runs of neighbours."""
    if any(a >= b for a, b in pairwise(wanted)) or (len(wanted) and wanted[0] < 0):
        raise ValueError("wanted frames must be rising numbers from 0")
    runs = [list(run) for _, run in groupby(enumerate(wanted), lambda pair: pair[1] - pair[0])]
    if len(runs) > RUNS:
        raise BadOption(f"frames from {len(runs)} separate places asked for, at most {RUNS} are taken in one pass")
    return [range(run[0][1], run[-1][1] + 1) for run in runs]


def _select(runs: Sequence[range]) -> str:
    """Return ffmpeg's expression for "n is in one of these"; a tree, since it takes a sum of 100 terms at most."""
    if len(runs) == 1:
        return f"between(n,{runs[0][0]},{runs[0][-1]})"
    middle = len(runs) // 2
    return f"if(lt(n,{runs[middle][0]}),{_select(runs[:middle])},{_select(runs[middle:])})"


def shown_size(video: VideoStream) -> tuple[int, int]:
    """Return width and height of the frames where no size is asked for: the video's, within the area of full HD."""
    scale = min(1.0, math.sqrt(FULL_HD / (video.width * video.height)))
    return max(1, round(video.width * scale)), max(1, round(video.height * scale))


async def pump_frames(
    child: FfmpegProcess,
    wanted: Sequence[int],
    shape: tuple[int, int, int],
    video: VideoStream,
    ahead: asyncio.Queue[Frame | Exception | str],
) -> None:
    """Read frames until the last wanted one or the end, then put what ffmpeg said of the end, or the error."""
    said = ""
    try:
        for count, index in enumerate(wanted):
            image = np.empty(shape, np.uint8)
            if await child.fill(image.data.cast("B")) < image.nbytes:
                said = await child.end()
                if not count:
                    raise _nothing(said, video)
                break
            await ahead.put(Frame(index, index / FPS, image))
        await ahead.put(said)
    except Exception as error:  # raised again where the frames are asked for
        await ahead.put(error)


def _nothing(said: str, video: VideoStream) -> Exception:
    error = error_from_stderr(
        said, NoFrames(f"no picture could be decoded: damaged, cut short or encrypted; {PLAYABLE}")
    )
    if isinstance(error, UnsupportedCodec):  # ffmpeg calls a codec it has never heard of "none"
        return UnsupportedCodec(f"there is no decoder for the video codec {video.codec}")
    return error
