"""One file under analysis: what is in it, its sound, its frames.

    probe    what the file says of itself            0.1 s
    audio    one track, 16 kHz mono                  0.1 s for 10 s of sound; no picture is decoded
    frames   the wanted ones, as they are decoded    one pass, on a constant 25 fps time base

The file's name never reaches ffmpeg, and each run is sandboxed (:mod:`veracity.ffmpeg`).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from veracity.decoding import audio_arguments, packet_arguments, picture_arguments, runs_of, shown_size
from veracity.ffmpeg import Child, Limits, complaint, find_ffmpeg, reading, running
from veracity.layers import FPS
from veracity.probe import AudioStream, Probe, VideoStream, is_protected, parse_banner, parse_progress
from veracity_client.errors import BadVideo, LimitExceeded, NoFrames, TooLarge, TooLong, UnsupportedCodec

__all__ = ["AudioStream", "Frame", "Limits", "Media", "Probe", "VideoStream", "find_ffmpeg"]

AHEAD = 8  # frames decoded before they are asked for: 8 × 6.2 MB


@dataclass(frozen=True)
class Frame:
    """``index`` on the 25 fps time base, ``time`` in seconds, ``image`` uint8 RGB [height, width, 3]."""

    index: int
    time: float
    image: NDArray[np.uint8]


class Media:
    """A context manager around one open file; leaving it ends what still runs on it."""

    def __init__(self, source: int, size: int, limits: Limits, ffmpeg: Path) -> None:
        self.size = size  # bytes
        self._source = source
        self._limits = limits
        self._ffmpeg = ffmpeg
        self._probe: Probe | None = None
        self._children: set[Child] = set()

    @classmethod
    def open(cls, source: bytes | Path, limits: Limits, ffmpeg: Path | None = None) -> Media:
        """Take a file's bytes or its path. Raises :class:`TooLarge`; :class:`BadVideo` where it is empty or no file."""
        program = find_ffmpeg(ffmpeg)
        if not isinstance(source, bytes):
            file, size = _open_file(source)
        elif len(source) <= limits.max_bytes:
            file, size = _memory_file(source), len(source)
        else:
            file, size = -1, len(source)
        media = cls(file, size, limits, program)
        if size > limits.max_bytes:
            media.close()
            raise TooLarge(f"{size} bytes are more than the {limits.max_bytes} that VERACITY_MAX_BYTES allows")
        if not size:
            media.close()
            raise BadVideo("the file is empty")
        return media

    def close(self) -> None:
        """Kill what still runs and let go of the file."""
        for child in self._children:
            child.kill()
        if self._source >= 0:
            os.close(self._source)
            self._source = -1

    def __enter__(self) -> Media:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @cached_property
    def sha256(self) -> str:
        """Hash of the file's bytes, in hexadecimal."""
        digest = hashlib.sha256()
        for start in range(0, self.size, 1 << 20):
            digest.update(os.pread(self._source, 1 << 20, start))
        return digest.hexdigest()

    async def probe(self) -> Probe:
        """Return what is in the file, read once.

        Raises :class:`BadVideo`, :class:`UnsupportedCodec`, :class:`NoFrames`; :class:`TooLong`,
        :class:`TooManyPixels` and :class:`LimitExceeded` from what the file says of itself, before anything is decoded.
        """
        if self._probe is None:
            async with self._child("-v", "info", *reading(self._limits)) as child:
                said = await child.end()
            found = parse_banner(said)
            if is_protected(self._source, self.size):  # decoders make noise of it and call that a success
                raise BadVideo("the file is encrypted (DRM); send one that plays without a key")
            if found is None or not (found.video or found.audio):
                raise complaint(said, BadVideo("this is no video or audio file, or it is damaged"))
            self._probe = self._within_limits(await self._measured(found))
        return self._probe

    async def _measured(self, probe: Probe) -> Probe:
        """Fill in a duration that the file does not tell, by going through its packets."""
        if probe.seconds is not None:
            return probe
        async with self._child("-v", "error", *packet_arguments(self._limits)) as child:
            told = await child.rest()
            await child.end()
        return replace(probe, seconds=parse_progress(told.decode(errors="replace"), probe.video))

    def _within_limits(self, probe: Probe) -> Probe:
        limits, seconds = self._limits, probe.seconds or 0.0
        if seconds > limits.max_seconds:
            raise TooLong(f"{seconds:.0f} s are more than the {limits.max_seconds:g} that VERACITY_MAX_SECONDS allows")
        frames = int(seconds * max(FPS, (probe.video and probe.video.fps) or 0.0)) if probe.video else 0
        if frames > limits.max_frames:
            raise LimitExceeded(f"{frames} frames are more than the {limits.max_frames} of VERACITY_MAX_FRAMES")
        return probe

    async def audio(self, track: int = 0) -> NDArray[np.int16]:
        """Decode a track to int16 [samples], 16 kHz mono, sample 0 at time 0 of the file; empty where it holds nothing.

        A late start and holes over 0.1 s are filled with silence, so that sample n is at n / 16000 s.
        Raises :class:`BadOption` where there is no such track, :class:`BadVideo`, :class:`UnsupportedCodec`.
        """
        async with self._child("-v", "error", *audio_arguments(self._limits, track)) as child:
            pcm = await child.rest()
            said = await child.end()
        if not pcm and said:
            raise complaint(said, BadVideo("the sound cannot be decoded: damaged or encrypted"))
        return np.frombuffer(pcm, np.int16)

    async def frames(self, wanted: Sequence[int], size: tuple[int, int] | None = None) -> AsyncGenerator[Frame, None]:
        """Yield the ``wanted`` frames while decoding goes on; those past the end of the video never come.

        ``wanted`` are rising numbers on the 25 fps time base. Frames are upright, have square pixels and are scaled to
        ``size`` (width, height) if given, else down to the area of 1920 × 1080 where they are larger. Up to 8 frames
        are decoded ahead. Raises :class:`NoFrames` where nothing came, :class:`BadVideo`, :class:`UnsupportedCodec`.
        """
        runs = runs_of(wanted)
        if not runs:
            return
        video = (await self.probe()).video
        if video is None:
            raise NoFrames("the file holds no picture")
        width, height = size or shown_size(video)
        ahead: asyncio.Queue[Frame | Exception | None] = asyncio.Queue(AHEAD)
        async with self._child("-v", "error", *picture_arguments(self._limits, video, runs, width, height)) as child:
            pump = asyncio.create_task(_pump(child, wanted, (height, width, 3), video, ahead))
            try:
                while isinstance(item := await ahead.get(), Frame):
                    yield item
                if item is not None:
                    raise item
            finally:
                pump.cancel()
                await asyncio.wait([pump])

    @asynccontextmanager
    async def _child(self, *arguments: str) -> AsyncIterator[Child]:
        async with running(self._ffmpeg, arguments, self._source, self._limits) as child:
            self._children.add(child)
            try:
                yield child
            finally:
                self._children.discard(child)


async def _pump(
    child: Child,
    wanted: Sequence[int],
    shape: tuple[int, int, int],
    video: VideoStream,
    ahead: asyncio.Queue[Frame | Exception | None],
) -> None:
    """Read frames until the last wanted one or the end, then put None, or the error."""
    try:
        for count, index in enumerate(wanted):
            image = np.empty(shape, np.uint8)
            if await child.fill(image.data.cast("B")) < image.nbytes:
                said = await child.end()
                if not count:
                    raise _nothing(said, video)
                break
            await ahead.put(Frame(index, index / FPS, image))
        await ahead.put(None)
    except Exception as error:  # raised again where the frames are asked for
        await ahead.put(error)


def _nothing(said: str, video: VideoStream) -> Exception:
    error = complaint(said, NoFrames("no picture could be decoded: damaged, cut short or encrypted"))
    if isinstance(error, UnsupportedCodec):  # ffmpeg calls a codec it has never heard of "none"
        return UnsupportedCodec(f"there is no decoder for the video codec {video.codec}")
    return error


def _memory_file(content: bytes) -> int:
    file = os.memfd_create("media")
    view = memoryview(content)
    while len(view):
        view = view[os.write(file, view) :]
    return file


def _open_file(path: Path) -> tuple[int, int]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a named pipe must not make us wait
    except (OSError, ValueError) as error:
        raise BadVideo(f"the file cannot be opened: {getattr(error, 'strerror', None) or 'not a file name'}") from None
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        os.close(file)
        raise BadVideo("this is a folder, a device or a pipe, not a file")
    return file, status.st_size
