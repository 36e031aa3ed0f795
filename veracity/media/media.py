"""One file under analysis: what is in it, its sound, its frames.

    probe    its tracks, and how long they play      0.2 s; every packet is counted, one picture a track decoded
    audio    one track, 16 kHz mono                  0.1 s for 10 s of sound; no picture is decoded
    frames   chosen ones, as they are decoded        one pass, on a constant 25 fps time base

The file's name never reaches a decoder, and each run is sandboxed (:mod:`veracity.media.sandbox`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from veracity import log
from veracity.catalog.layers import FPS, SAMPLE_RATE
from veracity.media import boxes, decoding, pictures
from veracity.media.decoders import FFMPEG, Decoder
from veracity.media.decoding import Frame
from veracity.media.ffmpeg import FORMATS, find_ffmpeg, nothing_decoded
from veracity.media.isolation import Grants
from veracity.media.levels import Levels, measure_levels
from veracity.media.probe import SLACK, AudioStream, Probe, Timeline, VideoStream, parse_facts, within_limits
from veracity.media.repeated import ATTEMPTS, repeated, unavailable
from veracity.media.sandbox import DecoderLost, DecoderProcess, Limits, running
from veracity.media.scripts import script
from veracity.media.source import Source, SourceFile
from veracity_client.errors import (
    AnalysisTimeout,
    BadVideo,
    InternalError,
    LimitExceeded,
    NoFrames,
    UnsupportedCodec,
)

__all__ = ["Frame", "Limits", "Media", "Probe", "Source", "find_ffmpeg"]

logger = log.get(__name__)
FACTS_BYTES = 16 << 20  # of what is told of a file; a thousand tracks take 1 MB
ON_CPU = "pictures are decoded on the CPU"
MAX_PACKETS = 2_000_000  # of all tracks; 200 MB of 10 ms sound packets are fewer


class Media:
    """A context manager around one open file; leaving it ends what still runs on it.

    ``video_track`` is the one whose frames are decoded, None for the one that a player would show, and ``decoder``
    what decodes them.
    ``damage`` says in short sentences how far the file could be read where that is less far than it promises.
    """

    def __init__(
        self, file: SourceFile, limits: Limits, ffmpeg: Path, video_track: int | None = None, decoder: Decoder = FFMPEG
    ) -> None:
        self.size = file.size  # bytes
        self.sha256 = file.sha256
        self.damage: tuple[str, ...] = ()
        self._file = file
        self._converted: SourceFile | None = None  # the picture that is decoded instead
        self._limits = limits
        self._ffmpeg = ffmpeg
        self._video_track = video_track
        self._decoder = decoder
        self._probe: Probe | None = None
        self._children: set[DecoderProcess] = set()
        self._early_sound: asyncio.Task[tuple[bytearray, str]] | None = None
        self._early_arguments: Sequence[str] = ()

    @classmethod
    def open(
        cls, source: Source, limits: Limits, ffmpeg: Path | None = None, video_track: int | None = None,
        decoder: Decoder = FFMPEG,
    ) -> Media:  # fmt: skip
        """Open a source, which blocks while its bytes are copied and hashed; :meth:`opened` does it in a thread.

        Raises :class:`TooLarge`; :class:`BadVideo` where the file is empty or not a regular file.
        """
        program = find_ffmpeg(ffmpeg)
        return cls(source.open(limits), limits, program, video_track, decoder)

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, source: Source, limits: Limits, ffmpeg: Path | None = None, video_track: int | None = None,
        decoder: Decoder = FFMPEG,
    ) -> AsyncIterator[Media]:  # fmt: skip
        """Open a source in a thread, off the event loop, and close it on leaving. Raises as :meth:`open`."""
        opening = asyncio.create_task(asyncio.to_thread(cls.open, source, limits, ffmpeg, video_track, decoder))
        try:
            media = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close)  # a thread cannot be cancelled: close the file when it is done
            raise
        with media:
            try:
                yield media
            finally:
                await media._end_early_sound()

    def close(self) -> None:
        """Kill what still runs and let go of the file."""
        for child in self._children:
            child.kill()
        self._file.close()
        if self._converted is not None:
            self._converted.close()

    def __enter__(self) -> Media:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    async def probe(self) -> Probe:
        """Return what is in the file, read once.

        Raises :class:`BadVideo`, :class:`UnsupportedCodec`, :class:`NoFrames`; :class:`BadOption` where there is no
        such video track; :class:`TooLong`, :class:`TooManyPixels` and :class:`LimitExceeded`.
        """
        if self._probe is None:
            if boxes.is_protected(self._file.descriptor):
                raise BadVideo("the file is encrypted (DRM); send one that plays without a key")
            if name := pictures.picture_format(self._file.descriptor):
                self._converted = await pictures.convert(self._file.descriptor, name, self._limits)
            found = within_limits(await self._inspected(), self._limits)
            if name and found.video:
                codec = name.split()[-1].lower()
                found = replace(found, video=replace(found.video, codec=codec), container=codec)
            self._probe = found
            self._note_timeline(found)
        return self._probe

    @repeated
    async def _inspected(self) -> Probe:
        most = {"max_pixels": self._limits.max_pixels, "max_packets": MAX_PACKETS}
        async with self._child(script("inspect_script.py", "av", formats=FORMATS, **most)) as child:
            told = await child.rest(FACTS_BYTES)
            said = await child.end()
        if not told:
            logger.error("inspecting a file failed", said=said)
            raise InternalError("the file could not be inspected; the server's log has the reason")
        found = parse_facts(told, self._video_track)
        if found is None or not (found.video or found.audio):
            raise pictures.unreadable(self._file.descriptor)
        if not found.complete:
            raise LimitExceeded(f"the file has over {MAX_PACKETS} packets; convert it anew")
        return found

    def _note_timeline(self, probe: Probe) -> None:
        for at, excess in probe.timeline.jumps:
            self._note(f"the file's clock jumps by {excess:.1f} s at {at - excess / 2:.1f} s, and nothing plays there")
        if probe.timeline.stray_after is not None:
            self._note("pictures with a time far past the end were left out")

    async def video_seconds(self) -> float:
        """Return when the pictures end as they can be played, which may be before the sound does; 0 without any."""
        probe = await self.probe()
        if probe.video is None:
            return 0.0
        return probe.video.seconds if probe.audio else probe.seconds or 0.0

    def _note(self, note: str) -> None:
        if note not in self.damage:
            self.damage += (note,)

    def _note_end(self, what: str, read: float, promised: float) -> None:
        if read < promised - SLACK:
            self._note(f"the {what} can be read up to {read:.1f} s of {promised:.1f} s")

    def begin_sound(self) -> None:
        """Decode the first track while :meth:`probe` runs; :meth:`audio` takes it where it is what it would ask for.

        For files that are :meth:`opened`, which ends what nobody asked for. Both start a process, which is most of
        their time. Nothing is begun for a file that is converted, encrypted or a picture; where there is no sound after
        all the run ends at once.
        """
        file = self._file.descriptor
        if pictures.is_picture(file) or boxes.is_protected(file):
            return
        self._early_arguments = decoding.audio_arguments(self._limits, AudioStream("", 0), Timeline())
        self._early_sound = asyncio.create_task(self._sound(self._early_arguments))

    async def _end_early_sound(self) -> None:
        if self._early_sound is not None:
            self._early_sound.cancel()
            await asyncio.wait([self._early_sound])
            if not self._early_sound.cancelled():
                self._early_sound.exception()  # of sound that nobody asked for

    async def audio(self, track: int = 0, channel: int | None = None) -> NDArray[np.int16]:
        """Decode a track to int16 [samples], 16 kHz mono, sample 0 at time 0 of the file; empty where it holds nothing.

        All channels are mixed, unless one is named. A late start and holes over 0.1 s are filled with silence, so that
        sample n is at n / 16000 s. Less than the file promises is noted in ``damage`` where ffmpeg reported an error.
        Raises :class:`BadOption` where there is no such track, :class:`BadVideo`, :class:`UnsupportedCodec`.
        """
        probe = await self.probe()
        stream = probe.sound_track(track)
        pcm, said = await self._sound_of(decoding.audio_arguments(self._limits, stream, probe.timeline, channel))
        if said and not pcm:
            raise nothing_decoded(said, "the sound", stream.codec)
        samples = np.frombuffer(pcm, np.int16)
        if said:
            alone = probe.video is None and len(probe.audio) == 1
            promised = probe.declared if probe.declared and (alone or probe.cut) else stream.seconds
            self._note_end("sound", len(samples) / SAMPLE_RATE, promised)
        return samples

    async def _sound_of(self, arguments: Sequence[str]) -> tuple[bytearray, str]:
        if self._early_sound is not None and arguments == self._early_arguments:
            return await self._early_sound
        return await self._sound(arguments)

    @repeated
    async def _sound(self, arguments: Sequence[str]) -> tuple[bytearray, str]:
        async with self._ffmpeg_child(arguments) as child:
            return await child.rest(decoding.sound_bytes(self._limits)), await child.end()

    @repeated
    async def levels(self, track: int = 0) -> Levels:
        """Measure the channels of a track. Raises :class:`BadOption` where there is no such track."""
        probe = await self.probe()
        stream = probe.sound_track(track)
        arguments = decoding.audio_arguments(self._limits, stream, probe.timeline, mix=False)
        async with self._ffmpeg_child(arguments) as child:
            levels = await measure_levels(child, stream.channels)
            await child.end()
        return levels

    async def frames(self, indices: Sequence[int], size: tuple[int, int] | None = None) -> AsyncGenerator[Frame, None]:
        """Yield the frames of ``indices`` while decoding goes on; those past the end of the video never come.

        ``indices`` are rising numbers on the 25 fps time base. Frames are upright, have square pixels and are scaled to
        ``size`` (width, height) if given, else down to the area of 1920 × 1080 where they are larger. Up to 8 frames
        are decoded ahead. Frames that a damaged file promises and does not give are noted in ``damage``.
        Raises :class:`NoFrames` where nothing came, :class:`BadVideo`, :class:`UnsupportedCodec`, and
        :class:`ModelUnavailable` where the system ends the decoder twice.
        """
        if not decoding.runs_of(indices):
            return
        probe = await self.probe()
        video = probe.video
        if video is None:
            raise NoFrames("the file holds no picture")
        if not video.width:
            raise UnsupportedCodec(f"there is no decoder for the video codec {video.codec}")
        width, height = size or decoding.shown_size(video.width, video.height)
        said, count, due = "", 0, 0
        for part in decoding.passes(indices, probe):
            due += len(part)
            async with aclosing(self._pass(part, video, (height, width), begun=count > 0)) as items:
                async for item in items:
                    if isinstance(item, Frame):
                        count += 1
                        yield item
                    else:
                        said = item
            if count < due:
                break
        missing = indices[count] / FPS if said and count < len(indices) else None
        self._note_pictures(probe, (indices[count - 1] + 1) / FPS, missing)

    async def _pass(
        self, indices: Sequence[int], video: VideoStream, size: tuple[int, int], *, begun: bool
    ) -> AsyncGenerator[Frame | str, None]:
        """Yield the frames of one run of ffmpeg and then its messages; one that has ``begun`` seeks to the first."""
        item: Frame | Exception | str = ""
        count, timeline = 0, (await self.probe()).timeline
        for decoder in self._decoders(video):
            left, (height, width) = indices[count:], size
            runs = decoding.runs_of(left)
            arguments = decoding.picture_arguments(
                self._limits, video, timeline, runs, width, height, seek=begun, decoder=decoder
            )
            async with self._ffmpeg_child(arguments, decoder.grants) as child:
                ahead = decoding.read_ahead(child, left, (height, width, 3), video, begun=begun or count > 0)
                async with aclosing(ahead):
                    async for item in ahead:
                        if isinstance(item, Frame):
                            count += 1
                            yield item
            if not _is_repeated(decoder, item, missing=count < len(indices)):
                break
            if decoder is not FFMPEG:
                logger.warning(ON_CPU, decoder=decoder.name, codec=video.codec, said=child.said)
        if isinstance(item, Exception):
            raise unavailable(item) if isinstance(item, DecoderLost) else item
        yield item

    def _decoders(self, video: VideoStream) -> list[Decoder]:
        """Return what decodes the pictures, and what does where that gives up."""
        if self._decoder is FFMPEG:
            return [FFMPEG] * ATTEMPTS
        if not self._decoder.takes(video.codec):
            logger.info(ON_CPU, decoder=self._decoder.name, codec=video.codec)
            return [FFMPEG] * ATTEMPTS
        return [self._decoder, *[FFMPEG] * ATTEMPTS]

    def _note_pictures(self, probe: Probe, came: float, missing: float | None) -> None:
        """Note that there are pictures to the second ``came``, and none at ``missing`` though they were promised."""
        end = probe.video.seconds if probe.video else 0.0
        if probe.cut and probe.declared:
            self._note_end("pictures", min(max(came, end), missing or end), probe.declared)
        elif missing is not None and missing < end - SLACK:
            self._note_end("pictures", came, end)

    @asynccontextmanager
    async def _child(self, command: Sequence[str], grants: Grants | None = None) -> AsyncIterator[DecoderProcess]:
        file = self._converted or self._file
        async with running(command, file.descriptor, self._limits, grants) as child:
            self._children.add(child)
            try:
                yield child
            finally:
                self._children.discard(child)

    def _ffmpeg_child(
        self, arguments: Sequence[str], grants: Grants | None = None
    ) -> AbstractAsyncContextManager[DecoderProcess]:
        return self._child([str(self._ffmpeg), *arguments], grants)


def _is_repeated(decoder: Decoder, item: Frame | Exception | str, *, missing: bool) -> bool:
    """Return whether another run follows: the system ended this one, or it did not do what ffmpeg may do on the CPU."""
    if isinstance(item, DecoderLost):
        return True
    return decoder is not FFMPEG and missing and bool(item) and not isinstance(item, AnalysisTimeout)


def _close(opening: asyncio.Task[Media]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
