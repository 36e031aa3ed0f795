"""Ends processes of a running server, as accidents do, and waits until all is well again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType

import psutil

from veracity.catalog import FACE_DETECTOR
from veracity.server import Server
from veracity.server.reaper import child_processes
from veracity_client._wire import DETECTOR
from veracity_client.errors import VeracityError

HEAL_SECONDS = 120.0  # after which what is not whole again never will be
POLL_SECONDS = 0.05
STEADY_SECONDS = 2.0  # while a process is replaced, for some moments there are as many as before

Victims = Callable[[Server], list[int]]


def model_processes(server: Server) -> list[int]:
    """Return the processes of all models, those of the detectors among them."""
    return sorted(child_processes(server.pid))


def decoders(server: Server) -> list[int]:
    """Return ffmpeg and its like, below the detectors' processes."""
    return sorted(pid for model in model_processes(server) for pid in child_processes(model))


def processes_of(model: str) -> Victims:
    """Return what finds the processes of one model."""

    def found(server: Server) -> list[int]:
        return [pid for pid in model_processes(server) if f"/{model}/" in " ".join(psutil.Process(pid).cmdline())]

    return found


FAULTS: Mapping[str, tuple[Victims, signal.Signals]] = MappingProxyType({
    "model process": (model_processes, signal.SIGKILL),
    "decoder": (decoders, signal.SIGKILL),
    "detector process": (processes_of(DETECTOR), signal.SIGKILL),
    "face detector": (processes_of(FACE_DETECTOR.name), signal.SIGKILL),
    "tritonserver": (lambda server: [server.pid], signal.SIGKILL),
    "tritonserver hangs": (lambda server: [server.pid], signal.SIGSTOP),
    "proxy": (lambda server: [server.proxy_pid], signal.SIGKILL),
    "reaper": (lambda server: [psutil.Process(server.pid).ppid()], signal.SIGKILL),
})  # fmt: skip


class Faults:
    """Injects faults into one server; ``injected`` counts them."""

    def __init__(self, server: Server, seed: int) -> None:
        self.injected: Counter[str] = Counter()
        self._server, self._dice = server, random.Random(seed)  # noqa: S311, nothing secret

    def inject(self, fault: str) -> bool:
        """Signal one process of the fault's kind; returns whether there was one."""
        victims, number = FAULTS[fault]
        with suppress(OSError, ValueError, psutil.Error):  # it ended meanwhile, or starts just now
            if found := victims(self._server):
                os.kill(self._dice.choice(found), number)
                self.injected[fault] += 1
                return True
        return False

    async def again_and_again(self, fault: str, shortest: float, longest: float) -> None:
        """Inject until cancelled, with pauses of so many seconds; where there is no such process, as soon as one is."""
        while True:
            await asyncio.sleep(self._dice.uniform(shortest, longest))
            while not self.inject(fault):  # noqa: ASYNC110, nobody tells when one starts
                await asyncio.sleep(POLL_SECONDS)


class Whole:
    """How a healthy server looks: taken before a fault, to tell when it looks so again."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._before = self._seen()

    async def again(self) -> float:
        """Wait until it does and goes on so; return when, by ``time.monotonic``.

        Raises VeracityError where it never does.
        """
        began = since = time.monotonic()
        while time.monotonic() - since < STEADY_SECONDS:
            await asyncio.sleep(POLL_SECONDS)
            if self._seen() != self._before:
                since = time.monotonic()
                if since - began > HEAL_SECONDS:
                    raise VeracityError(f"not whole again after {HEAL_SECONDS:.0f} s: {self._server.models}")
        return since

    def _seen(self) -> tuple[object, ...]:
        """Return the states of the models, the number of their processes, and that the proxy runs."""
        with suppress(OSError, ValueError, psutil.Error):
            proxy_runs = psutil.Process(self._server.proxy_pid).status() != psutil.STATUS_ZOMBIE
            return self._server.models, len(model_processes(self._server)), proxy_runs
        return ()
