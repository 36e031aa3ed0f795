"""ffmpeg as a sandboxed child: which one, what it may use, and what its complaints mean.

A hostile file can take over a decoder. So ffmpeg runs in a process group of its own with limits on processor time,
memory and open files, writes no file, sees an empty environment, and opens nothing but the one file under analysis:
only the ``file`` protocol and only formats that cannot name another file are allowed.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from veracity_client.errors import (
    AnalysisTimeout,
    BadOption,
    BadVideo,
    LimitExceeded,
    NoFrames,
    TooManyPixels,
    UnsupportedCodec,
    VeracityError,
)

MIB = 1 << 20
THREADS = min(8, len(os.sched_getaffinity(0)))  # decoding gains little above 8, memory grows with each
PIPE_BYTES = 1 * MIB  # what Linux lets an ordinary user have; 64 KiB would mean 95 wake-ups a 1080p frame
STDERR_BYTES = 256 << 10  # kept of what ffmpeg says; the rest is read and dropped
F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ, which Python 3.10 has on Linux only and type checkers nowhere else
ENVIRONMENT = {"LC_ALL": "C", "AV_LOG_FORCE_NOCOLOR": "1", "MALLOC_ARENA_MAX": "2"}  # each arena counts 64 MiB
SOURCE = "file:/proc/self/fd/0"  # the file under analysis is the child's standard input, opened anew and so seekable

# Containers, elementary streams and pictures. Missing on purpose: whatever names other files (hls, dash, concat,
# image2, imf, sdp, rtsp, …) and what only games and trackers write.
FORMATS = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mxf,gxf,nut,ivf,rm,dv,wtv,yuv4mpegpipe,"
    "h264,hevc,vvc,m4v,h263,mjpeg,obu,av1,vc1,gif,apng,png_pipe,jpeg_pipe,webp_pipe,webp,bmp_pipe,tiff_pipe,jpegxl_pipe,"
    "wav,w64,aiff,au,caf,mp3,aac,ac3,eac3,dts,flac,amr,amrnb,amrwb,ape,wv,tta"
)


@dataclass(frozen=True)
class Limits:
    """What one file may have (bytes, seconds, pixels a frame, frames), and what each run of ffmpeg on it may use.

    ``cpu_seconds`` is processor time over all threads, ``memory_bytes`` address space, ``wall_seconds`` the time spent
    waiting for ffmpeg: what the consumer of frames takes is not counted.
    """

    max_bytes: int = 200 * MIB
    max_seconds: float = 1800.0
    max_pixels: int = 8192 * 4320
    max_frames: int = 200_000
    cpu_seconds: int = 600
    memory_bytes: int = 4096 * MIB
    wall_seconds: float = 300.0


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
    try:
        return Path(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise VeracityError("ffmpeg is missing: apt-get install ffmpeg, or pip install imageio-ffmpeg") from None


class FfmpegProcess:
    """A running ffmpeg: its output as bytes, its end as an error of ours."""

    def __init__(self, process: asyncio.subprocess.Process, output: int, limits: Limits) -> None:
        self._process = process
        self._output = output
        self._limits = limits
        self._seconds_left = limits.wall_seconds
        self._expired = False
        self._listener = asyncio.create_task(self._listen())

    async def fill(self, view: memoryview) -> int:
        """Read until ``view`` is full or the output ends; return the bytes read."""
        done = 0
        with self._clock():
            while done < len(view):
                try:
                    count = os.readv(self._output, [view[done:]])
                except BlockingIOError:
                    await self._readable()
                    continue
                if not count:
                    break
                done += count
        return done

    async def rest(self) -> bytes:
        """Read the output to its end; the arguments must bound it."""
        parts, block = [], bytearray(PIPE_BYTES)
        while count := await self.fill(memoryview(block)):
            parts.append(bytes(block[:count]))
        return b"".join(parts)

    async def end(self) -> str:
        """Wait for the exit and return what ffmpeg said; raises :class:`LimitExceeded` or :class:`AnalysisTimeout`."""
        with self._clock():
            said = await self._listener
            code = await self._process.wait()
        if self._expired:
            limit = f"{self._limits.wall_seconds:g} s (VERACITY_FFMPEG_WALL_SECONDS)"
            raise AnalysisTimeout(f"decoding took longer than {limit}; send a shorter or smaller video")
        if "Cannot allocate memory" in said or "failed to map segment" in said:
            raise LimitExceeded(f"decoding needs more memory than {self._memory}; send a smaller video")
        if code in (255, -signal.SIGXCPU):  # 255: ffmpeg caught the signal and closed down
            limit = f"{self._limits.cpu_seconds} s of processor time (VERACITY_FFMPEG_CPU_SECONDS)"
            raise LimitExceeded(f"decoding took more than {limit}; send a shorter or smaller video")
        if code == -signal.SIGKILL:
            raise LimitExceeded(f"the system stopped the decoder, for processor time or memory over {self._memory}")
        if code < 0:
            raise BadVideo("the decoder broke down on this file: it is damaged; convert it anew or send another")
        return said if code == 0 else said or f"ffmpeg ended with {code}"

    @property
    def _memory(self) -> str:
        return f"{self._limits.memory_bytes // MIB} MiB (VERACITY_FFMPEG_MEMORY_BYTES)"

    def kill(self) -> None:
        """End the whole process group at once."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def gone(self) -> None:
        """Kill it and wait until nothing is left of it."""
        self.kill()
        await self._process.wait()
        await self._listener

    async def _listen(self) -> str:
        kept = bytearray()
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(1 << 16):
            kept += chunk[: STDERR_BYTES - len(kept)]
        return kept.decode(errors="replace")

    async def _readable(self) -> None:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._output, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._output)

    @contextmanager
    def _clock(self) -> Iterator[None]:
        """Count the time inside against the wall-clock limit; when it is used up the child dies, its output ends."""
        loop = asyncio.get_running_loop()
        start, timer = loop.time(), loop.call_later(self._seconds_left, self._expire)
        try:
            yield
        finally:
            timer.cancel()
            self._seconds_left -= loop.time() - start

    def _expire(self) -> None:
        self._expired = True
        self.kill()


@asynccontextmanager
async def running(ffmpeg: Path, arguments: Sequence[str], source: int, limits: Limits) -> AsyncIterator[FfmpegProcess]:
    """Run ffmpeg on the open file ``source``, :data:`SOURCE` in its arguments; nothing of it survives the block."""
    launcher = _launcher(limits)
    output, far_end = os.pipe()
    os.set_blocking(output, False)
    with suppress(OSError):  # an unprivileged user's pipes have a common ceiling; a small pipe is only slower
        fcntl.fcntl(far_end, F_SETPIPE_SZ, PIPE_BYTES)
    try:
        try:
            process = await asyncio.create_subprocess_exec(
                *launcher, str(ffmpeg), "-nostdin", "-hide_banner", *arguments,
                stdin=source, stdout=far_end, stderr=asyncio.subprocess.PIPE,
                env=ENVIRONMENT, cwd="/", start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(far_end)
        child = FfmpegProcess(process, output, limits)
        try:
            yield child
        finally:
            await child.gone()
    finally:
        os.close(output)


def input_args(limits: Limits, *options: str) -> list[str]:
    """Return the arguments that open :data:`SOURCE` safely, with more input ``options``."""
    guards = ["-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-max_pixels", str(limits.max_pixels)]
    threads = ["-threads", str(THREADS), "-filter_threads", str(THREADS)]
    return [*threads, *guards, *options, "-i", SOURCE]


def _launcher(limits: Limits) -> list[str]:
    prlimit = shutil.which("prlimit")
    if prlimit is None:
        raise VeracityError("prlimit is missing, no media is decoded without it: apt-get install util-linux")
    cpu = limits.cpu_seconds
    bounds = {"cpu": f"{cpu}:{cpu + 1}", "as": limits.memory_bytes, "fsize": 0, "nofile": 64, "core": 0}
    return [prlimit, *(f"--{name}={value}" for name, value in bounds.items()), "--"]


PLAYABLE = "send one that plays, such as an mp4, mov, mkv, webm, wav or mp3"

# What ffmpeg says, in the order of how much it tells; its own words hold paths and are never passed on.
COMPLAINTS: tuple[tuple[str, type[VeracityError], str], ...] = (
    (r"Picture size (\d+x\d+) ", TooManyPixels, "pictures of {} pixels are more than VERACITY_MAX_PIXELS allows"),
    (r"not on whitelist", BadVideo, "this is a playlist, a script or the like; send the video itself"),
    (r"low score of 1|Unknown input format", BadVideo, f"this is no video or audio file; {PLAYABLE}"),
    (r"moov atom not found", BadVideo, "the file's index (moov atom) is missing: was the upload cut short?"),
    (r"[Dd]ecoder \(codec (\w+)\) not found", UnsupportedCodec, "there is no decoder for the codec {}"),
    (r"no decoder found for: (\w+)", UnsupportedCodec, "there is no decoder for the codec {}"),
    (r"Unsupported codec with id", UnsupportedCodec, "there is no decoder for its codec"),
    (r"matches no streams", BadOption, "the file has no such track"),
    (r"not contain any stream", NoFrames, "the file holds neither picture nor sound"),
)


def error_from_stderr(said: str, otherwise: VeracityError) -> VeracityError:
    """Return the error that ffmpeg's words stand for, ``otherwise`` where they tell nothing a caller could use."""
    for pattern, error, message in COMPLAINTS:
        if found := re.search(pattern, said):
            return error(message.format(*found.groups()))
    return otherwise
