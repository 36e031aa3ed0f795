"""One file under analysis: what is in it, its sound, its frames.

    probe    what the file says of itself            0.1 s
    audio    one track, 16 kHz mono                  0.1 s for 10 s of sound; no picture is decoded
    frames   the wanted ones, as they are decoded    one pass, on a constant 25 fps time base

The file's name never reaches ffmpeg, and each run is sandboxed (:mod:`veracity.media.ffmpeg`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from veracity.catalog.layers import FPS, SAMPLE_RATE
from veracity.media import decoding
from veracity.media.decoding import AHEAD, Frame
from veracity.media.ffmpeg import PLAYABLE, FfmpegProcess, Limits, error_from_stderr, find_ffmpeg, input_args, running
from veracity.media.probe import Probe, is_cut, is_protected, parse_banner, parse_packets, parse_progress, within_limits
from veracity.media.source import Source, SourceFile
from veracity_client.errors import BadVideo, NoFrames

__all__ = ["Frame", "Limits", "Media", "Probe", "Source", "find_ffmpeg"]

SLACK = 0.5  # seconds that may be missing at the end of what can be read before it is said


class Media:
    """A context manager around one open file; leaving it ends what still runs on it.

    ``damage`` says in short sentences how far the file could be read where that is less far than it promises.
    """

    def __init__(self, file: SourceFile, limits: Limits, ffmpeg: Path) -> None:
        self.size = file.size  # bytes
        self.sha256 = file.sha256
        self.damage: tuple[str, ...] = ()
        self._file = file
        self._limits = limits
        self._ffmpeg = ffmpeg
        self._probe: Probe | None = None
        self._video_seconds: float | None = None
        self._children: set[FfmpegProcess] = set()

    @classmethod
    def open(cls, source: Source, limits: Limits, ffmpeg: Path | None = None) -> Media:
        """Open a source, which blocks while its bytes are copied and hashed; :meth:`opened` does it in a thread.

        Raises :class:`TooLarge`; :class:`BadVideo` where the file is empty or not a regular file.
        """
        program = find_ffmpeg(ffmpeg)
        return cls(source.open(limits.max_bytes), limits, program)

    @classmethod
    @asynccontextmanager
    async def opened(cls, source: Source, limits: Limits, ffmpeg: Path | None = None) -> AsyncIterator[Media]:
        """Open a source in a thread, off the event loop, and close it on leaving. Raises as :meth:`open`."""
        opening = asyncio.create_task(asyncio.to_thread(cls.open, source, limits, ffmpeg))
        try:
            media = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close)  # a thread cannot be cancelled: close the file when it is done
            raise
        with media:
            yield media

    def close(self) -> None:
        """Kill what still runs and let go of the file."""
        for child in self._children:
            child.kill()
        self._file.close()

    def __enter__(self) -> Media:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    async def probe(self) -> Probe:
        """Return what is in the file, read once.

        Raises :class:`BadVideo`, :class:`UnsupportedCodec`, :class:`NoFrames`; :class:`TooLong`,
        :class:`TooManyPixels` and :class:`LimitExceeded` from what the file says of itself, before anything is decoded.
        """
        if self._probe is None:
            async with self._child("-v", "info", *input_args(self._limits)) as child:
                said = await child.end()
            found = parse_banner(said)
            if is_protected(self._file.descriptor, self.size):  # decoders make noise of it and call that a success
                raise BadVideo("the file is encrypted (DRM); send one that plays without a key")
            if found is None or not (found.video or found.audio):
                raise error_from_stderr(said, BadVideo(f"this is no video or audio file, or it is damaged; {PLAYABLE}"))
            self._probe = within_limits(await self._measured(found), self._limits)
        return self._probe

    async def _measured(self, probe: Probe) -> Probe:
        """Fill in a duration that the file does not tell, by going through its packets."""
        if probe.seconds is not None:
            return probe
        async with self._child("-v", "error", *decoding.packet_arguments(self._limits)) as child:
            told = await child.rest()
            await child.end()
        return replace(probe, seconds=parse_progress(told.decode(errors="replace"), probe.video))

    async def video_seconds(self) -> float:
        """Return when the pictures end, which may be before the sound does; 0 where there are none. Read once.

        Where there is sound beside them the video's packets are gone through, and nothing is decoded; a file that is
        cut short gets what it promises, so that frames past the cut are asked for and missed. Raises as ``probe``.
        """
        probe = await self.probe()
        if probe.video is None:
            return 0.0
        if not probe.audio:
            return probe.seconds or 0.0
        if self._video_seconds is None:
            _, self._video_seconds = await self._extent("V:0", probe.video.codec)
        return self._video_seconds

    async def _extent(self, stream: str, codec: str) -> tuple[float, float]:
        """Return up to which second a stream's packets can be read, and up to which the file promises them.

        No container tells where each stream ends. So a stream ends where its packets do, unless the file is cut short.
        """
        async with self._child("-v", "error", *decoding.listing_arguments(self._limits, stream)) as child:
            told = await child.rest()
            said = await child.end()
        container = (await self.probe()).seconds or 0.0
        read = parse_packets(told.decode(errors="replace"))
        if read is None:
            return 0.0, container
        return read, max(read, container) if is_cut(said, codec) else read

    def _note(self, what: str, read: float, promised: float) -> None:
        note = f"the {what} can be read up to {read:.1f} s of {promised:.1f} s"
        if read < promised - SLACK and note not in self.damage:
            self.damage += (note,)

    async def audio(self, track: int = 0) -> NDArray[np.int16]:
        """Decode a track to int16 [samples], 16 kHz mono, sample 0 at time 0 of the file; empty where it holds nothing.

        A late start and holes over 0.1 s are filled with silence, so that sample n is at n / 16000 s.
        Less than the file promises is noted in ``damage`` where ffmpeg complained.
        Raises :class:`BadOption` where there is no such track, :class:`BadVideo`, :class:`UnsupportedCodec`.
        """
        async with self._child("-v", "error", *decoding.audio_arguments(self._limits, track)) as child:
            pcm = await child.rest()
            said = await child.end()
        if said and not pcm:
            raise error_from_stderr(said, BadVideo(f"the sound cannot be decoded: damaged or encrypted; {PLAYABLE}"))
        samples = np.frombuffer(pcm, np.int16)
        if said:
            self._note("sound", len(samples) / SAMPLE_RATE, await self._promised_sound(track))
        return samples

    async def _promised_sound(self, track: int) -> float:
        probe = await self.probe()
        alone = probe.video is None and len(probe.audio) == 1
        return (probe.seconds or 0.0) if alone else (await self._extent(f"a:{track}", probe.audio[track].codec))[1]

    async def frames(self, wanted: Sequence[int], size: tuple[int, int] | None = None) -> AsyncGenerator[Frame, None]:
        """Yield the ``wanted`` frames while decoding goes on; those past the end of the video never come.

        ``wanted`` are rising numbers on the 25 fps time base. Frames are upright, have square pixels and are scaled to
        ``size`` (width, height) if given, else down to the area of 1920 × 1080 where they are larger. Up to 8 frames
        are decoded ahead. Frames that a damaged file promises and does not give are noted in ``damage``.
        Raises :class:`NoFrames` where nothing came, :class:`BadVideo`, :class:`UnsupportedCodec`.
        """
        runs = decoding.runs_of(wanted)
        if not runs:
            return
        video = (await self.probe()).video
        if video is None:
            raise NoFrames("the file holds no picture")
        width, height = size or decoding.shown_size(video)
        ahead: asyncio.Queue[Frame | Exception | str] = asyncio.Queue(AHEAD)
        count = 0
        arguments = decoding.picture_arguments(self._limits, video, runs, width, height)
        async with self._child("-v", "error", *arguments) as child:
            pump = asyncio.create_task(decoding.pump_frames(child, wanted, (height, width, 3), video, ahead))
            try:
                while isinstance(item := await ahead.get(), Frame):
                    count += 1
                    yield item
                if isinstance(item, Exception):
                    raise item
            finally:
                pump.cancel()
                await asyncio.wait([pump])
        if item:
            await self._note_pictures(video.codec, (wanted[count - 1] + 1) / FPS, wanted[count] / FPS)

    async def _note_pictures(self, codec: str, came: float, missing: float) -> None:
        """Note that there are pictures to the second ``came``, and none at ``missing``."""
        read, promised = await self._extent("V:0", codec)
        if missing < promised - SLACK:
            self._note("pictures", min(max(came, read), missing) if read < promised else came, promised)

    @asynccontextmanager
    async def _child(self, *arguments: str) -> AsyncIterator[FfmpegProcess]:
        async with running(self._ffmpeg, arguments, self._file.descriptor, self._limits) as child:
            self._children.add(child)
            try:
                yield child
            finally:
                self._children.discard(child)


def _close(opening: asyncio.Task[Media]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
