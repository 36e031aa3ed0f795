"""Whether the chosen decoder decodes here: one picture, as those of videos will be, in the same sandbox."""

from __future__ import annotations

import asyncio
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from veracity.media.decoders import DECODERS, FFMPEG, Decoder
from veracity.media.decoding import picture_arguments
from veracity.media.ffmpeg import find_ffmpeg, pips_ffmpeg
from veracity.media.probe import Timeline, VideoStream
from veracity.media.sandbox import MIB, DecoderLost, DecoderProcess, Limits, running
from veracity_client.errors import VeracityError

if TYPE_CHECKING:
    from veracity.settings import Settings

# H.264, one grey picture of 64 × 64
PICTURE = bytes.fromhex(
    "000000016764000aacd94426c044000003000400000300c83c4896580000000168ebe3cb22c00000"
    "01658884002bfffef6737c257258e37992ef1db969e77acd03e01fe32809"
)
SIDE = 64
# What ffmpeg says -> what is missing.
LACKS = (
    (r"apply_cropping|Unrecognized hwaccel", "an ffmpeg of version 7.1 or newer that has the hwaccel cuda: {pips}"),
    (r"Cannot load libcuda|CUDA_ERROR_NO_DEVICE", "an NVIDIA GPU with its driver"),
    (r"Cannot load libnvcuvid", "the driver's libnvcuvid.so.1: in a container NVIDIA_DRIVER_CAPABILITIES with video"),
)


def check(settings: Settings) -> None:
    """Raise :class:`VeracityError` that says what ``VERACITY_DECODER`` needs and this machine lacks; it blocks."""
    choice = settings.decoder
    if (decoder := DECODERS[choice]) is FFMPEG:
        return
    ffmpeg = find_ffmpeg(settings.ffmpeg)
    limits = Limits(memory_bytes=settings.ffmpeg_memory_bytes, isolation=settings.decoder_isolation)
    with ThreadPoolExecutor(1) as thread:  # the caller may be in an event loop
        said = thread.submit(asyncio.run, _error(decoder, ffmpeg, limits)).result()
    if not said:
        return
    for pattern, lack in LACKS:
        if re.search(pattern, said):
            pips = f"VERACITY_FFMPEG={found}" if (found := pips_ffmpeg()) else "pip install imageio-ffmpeg"
            raise VeracityError(f"VERACITY_DECODER={choice} needs {lack.format(pips=pips)}")
    raise VeracityError(
        f"VERACITY_DECODER={choice} decodes nothing here: {said.splitlines()[0]}; "
        "VERACITY_DECODER_ISOLATION=off shows whether the isolation is why"
    )


async def _error(decoder: Decoder, ffmpeg: Path, limits: Limits) -> str:
    """Return what keeps it from decoding, in ffmpeg's words; nothing where it decodes."""
    video = VideoStream("h264", SIDE, SIDE, 25.0)
    arguments = picture_arguments(limits, video, Timeline(), [range(1)], SIDE, SIDE, decoder=decoder)
    child: DecoderProcess | None = None  # until one was started
    with tempfile.TemporaryFile() as file:
        file.write(PICTURE)
        file.flush()
        try:
            async with running([str(ffmpeg), *arguments], file.fileno(), limits, decoder.grants) as child:
                pictures = await child.rest(MIB)
                await child.end()
        except (VeracityError, DecoderLost) as error:
            return (child.said if child else "") or str(error)
    return "" if len(pictures) == SIDE * SIDE * 3 else child.said or "no picture came"
