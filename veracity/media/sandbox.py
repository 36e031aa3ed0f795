"""A decoder as a sandboxed child process: ffmpeg, or a Python script around its libraries.

A hostile file can take over a decoder. So it runs in a process group of its own with limits on processor time, memory
and open files, writes no file, sees an empty environment, and is handed nothing but the one file under analysis; where
the system allows, it can reach nothing else either (:mod:`veracity.media.isolation`). It dies with this process.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import resource
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

from veracity.media.isolation import Grants, Level
from veracity.media.launch import Launched
from veracity_client.errors import AnalysisTimeout, BadVideo, LimitExceeded, TooLarge

MIB = 1 << 20
PIPE_BYTES = 1 * MIB  # what Linux lets an ordinary user have; 64 KiB would mean 95 wake-ups a 1080p frame
STDERR_BYTES = 256 << 10  # kept of what a decoder says; the rest is read and dropped
F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ, which Python 3.10 has on Linux only and type checkers nowhere else
# 255: ffmpeg caught the signal and closed down. SIGXCPU and SIGKILL may be our own limit of processor time.
ENDED_BY_OTHERS = (255, -signal.SIGXCPU, -signal.SIGKILL, -signal.SIGTERM)
OUT_OF_MEMORY = 12  # exit status of our scripts, errno's ENOMEM
# As ffmpeg ends a line about an error code, and as the dynamic linker does; titles of a file are not printed.
NO_MEMORY = re.compile(r"(?:^|: )Cannot allocate memory$|failed to map segment|^MemoryError", re.M)


@dataclass(frozen=True)
class Limits:
    """What one file may have (bytes, seconds, pixels a frame, frames), and what each decoder run on it may use.

    ``max_bytes`` is of what was sent and lies in memory, ``max_file_bytes`` of a file that is read where it lies.
    ``cpu_seconds`` is processor time over all threads, ``memory_bytes`` address space, ``wall_seconds`` the time spent
    waiting for the decoder: what the consumer of frames takes is not counted. ``isolation`` is what it needs of
    Landlock and seccomp: ``auto`` is what the system allows.
    """

    max_bytes: int = 200 * MIB
    max_file_bytes: int = 4096 * MIB
    max_seconds: float = 3600.0
    max_pixels: int = 8192 * 4320
    max_frames: int = 250_000
    cpu_seconds: int = 600
    memory_bytes: int = 4096 * MIB
    wall_seconds: float = 300.0
    isolation: Level = "auto"


class DecoderLost(Exception):
    """The system ended a decoder, or could not start it: for want of memory, most often, and not for the file."""


class DecoderProcess:
    """A running decoder: its output as bytes, its end as an error of ours."""

    def __init__(self, process: Launched, output: int, errors: int, limits: Limits) -> None:
        self._process = process
        self._output, self._errors = output, errors
        self._limits = limits
        self._seconds_left = limits.wall_seconds
        self._expired = False
        self._seconds_before = _seconds_of_children()
        self._listener = asyncio.create_task(self._listen())

    async def fill(self, view: memoryview) -> int:
        """Read until ``view`` is full or the output ends; return the bytes read."""
        done = 0
        with self._clock():
            while count := await self._read(self._output, view[done:]):
                done += count
        return done

    async def blocks(self, most: int) -> AsyncIterator[memoryview]:
        """Yield the output to its end; each block is gone with the next. Raises :class:`TooLarge` past ``most`` bytes.

        What ffmpeg is asked for is bounded by its arguments; a decoder that a file has taken over is bounded by this.
        """
        block, total = memoryview(bytearray(PIPE_BYTES)), 0
        while count := await self.fill(block):
            total += count
            if total > most:
                raise TooLarge(f"decoding gave more than {most} bytes")
            yield block[:count]

    async def rest(self, most: int) -> bytearray:
        """Return the output to its end. Raises :class:`TooLarge` past ``most`` bytes."""
        content = bytearray()
        async for block in self.blocks(most):
            content += block
        return content

    async def end(self) -> str:
        """Wait for the exit and return what was said.

        Raises :class:`LimitExceeded`, :class:`AnalysisTimeout`, :class:`BadVideo`, :class:`DecoderLost`.
        """
        with self._clock():
            said = await self._listener
            code = await self._ended()
        if self._expired:
            limit = f"{self._limits.wall_seconds:g} s (VERACITY_FFMPEG_WALL_SECONDS)"
            raise AnalysisTimeout(f"decoding took longer than {limit}; send a shorter or smaller video")
        if code == OUT_OF_MEMORY or NO_MEMORY.search(said):
            raise LimitExceeded(f"decoding needs more memory than {self._memory}; send a smaller video")
        if code in ENDED_BY_OTHERS:
            if self._may_have_used(self._limits.cpu_seconds):
                limit = f"{self._limits.cpu_seconds} s of processor time (VERACITY_FFMPEG_CPU_SECONDS)"
                raise LimitExceeded(f"decoding took more than {limit}; send a shorter or smaller video")
            raise DecoderLost(f"ended with {code}")
        if code < 0:
            raise BadVideo("the decoder broke down on this file: it is damaged; convert it anew or send another")
        return said if code == 0 else said or f"the decoder ended with {code}"

    def _may_have_used(self, seconds: float) -> bool:
        """Return whether this process can have used so much processor time; others that ended meanwhile count too."""
        return _seconds_of_children() - self._seconds_before >= 0.9 * seconds  # the kernel's clocks differ a little

    @property
    def said(self) -> str:
        """What it said, once nothing is left of it; empty before."""
        return self._listener.result() if self._listener.done() else ""

    @property
    def exit_status(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.status

    @property
    def _memory(self) -> str:
        return f"{self._limits.memory_bytes // MIB} MiB (VERACITY_FFMPEG_MEMORY_BYTES)"

    def kill(self) -> None:
        """End the whole process group at once."""
        self._process.kill()

    async def gone(self) -> None:
        """Kill it and wait until nothing is left of it."""
        self.kill()
        await self._ended()
        await self._listener

    async def _ended(self) -> int:
        await self._process.ended.wait()
        assert self._process.status is not None
        return self._process.status

    async def _listen(self) -> str:
        kept, block = bytearray(), memoryview(bytearray(1 << 16))
        while count := await self._read(self._errors, block):
            kept += block[: min(count, STDERR_BYTES - len(kept))]
        return kept.decode(errors="replace")

    async def _read(self, pipe: int, view: memoryview) -> int:
        """Return how many bytes were read; 0 at the end, which is its own even where a stray of it holds the pipe."""
        while len(view):
            try:
                return os.readv(pipe, [view])
            except BlockingIOError:
                if self._process.ended.is_set():
                    break
                await self._readable(pipe)
        return 0

    async def _readable(self, pipe: int) -> None:
        """Wait until there is something to read, or the process has ended."""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        self._process.waiting.add(ready)
        loop.add_reader(pipe, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(pipe)
            self._process.waiting.discard(ready)

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
async def running(
    command: Sequence[str], source: int, limits: Limits, grants: Grants | None = None
) -> AsyncIterator[DecoderProcess]:
    """Run a decoder whose standard input is the open file ``source``; nothing of it survives the block."""
    cpu, memory = limits.cpu_seconds, limits.memory_bytes
    bounds = {"cpu": f"{cpu}:{cpu + 1}", "core": 0} | (
        {"as": memory, "fsize": 0, "nofile": 64} if grants is None
        # A driver reserves addresses by the terabyte, keeps files in memory, and opens its devices many times over.
        else {"data": memory, "fsize": memory, "nofile": 1024}
    )  # fmt: skip
    (output, far_output), (errors, far_errors) = os.pipe(), os.pipe()
    os.set_blocking(output, False)
    os.set_blocking(errors, False)
    with suppress(OSError):  # an unprivileged user's pipes have a common ceiling; a small pipe is only slower
        fcntl.fcntl(far_output, F_SETPIPE_SZ, PIPE_BYTES)
    try:
        try:
            process = Launched(command, bounds, limits.isolation, source, far_output, far_errors, grants)
        except OSError as error:  # no process, thread or memory is left
            raise DecoderLost(f"could not be started: {error}") from error
        finally:
            os.close(far_output)
            os.close(far_errors)
        child = DecoderProcess(process, output, errors, limits)
        try:
            yield child
        finally:
            await child.gone()
    finally:
        os.close(output)
        os.close(errors)


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
