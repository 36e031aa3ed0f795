"""How many servers a load takes: a simulator fed by what files cost one server, held against one server and two.

Each server has a core of its own. What a file costs is measured alone, with all places of one server taken and with all
of both; then requests come by chance at shares of what the servers carry, and the simulator gets the same ones, with
what files cost alone just before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.costs import spread
from benchmarks.printing import show
from benchmarks.target import clip_of, installed, messenger_clip, picture_of, sound_of
from benchmarks.usage import processes
from evaluation import record
from evaluation.capacity import Demand, ImpossibleError, Load, Machine, Outcome, Request, plan, poisson, simulate
from evaluation.capacity_table import CORES, demands_of
from evaluation.results import RESULTS
from veracity.server import Server
from veracity.server.proxy.access import Access
from veracity.settings import Settings
from veracity_client import AsyncDetector, Options
from veracity_client.errors import BadOption, InternalError

MIX = {"sound": 0.5, "picture": 0.3, "720p": 0.2}  # of the files
SECONDS = {"sound": 10.0, "picture": 0.04, "720p": 10.0, "1080p": 10.0}
LOADS = (0.5, 0.8)  # shares of what the servers carry
AROUND = 2  # rounds alone after each load
AIM = 0.20  # how far the simulator may be off
SLACK = 0.05  # of a core, that clocks may disagree by


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--hours", type=float, help="video-hours a day: plan for them, from a measurement that is there"
    )
    parser.add_argument("--p95", type=float, default=30.0, help="seconds that 95 %% of the files may take")
    parser.add_argument("--peak", type=float, default=2.0, help="the busiest hour, in means of the day")
    parser.add_argument("--spare", type=int, default=1, help="servers that may be away (N + 1)")
    parser.add_argument(
        "--mix", default=",".join(f"{kind}={share}" for kind, share in MIX.items()), help="shares of the files"
    )
    parser.add_argument("--cores", type=float, default=1.0, help="of a server, each as the measured one")
    parser.add_argument("--service", type=Path, default=RESULTS / "capacity.json", help="what files cost, as measured")
    parser.add_argument("--rounds", type=int, default=5, help="of a measurement: times that each file is sent alone")
    parser.add_argument("--requests", type=int, default=100, help="of a measurement: files of a server at each load")


def run(args: argparse.Namespace) -> int:
    """Plan for ``--hours``; without it measure, and write ``results/capacity.json``."""
    if args.hours is not None:
        return _plan(args)
    if len(os.sched_getaffinity(0)) < 2:
        raise BadOption("two servers want two cores")
    found = measure(args.rounds, args.requests)
    show("what a file costs", [{"": kind, **row} for kind, row in found["service"].items()])
    show("simulated and measured", found["levels"])
    sys.stderr.write(f"written to {record.write('capacity', {**installed(), **found})}\n")
    return 0


def _plan(args: argparse.Namespace) -> int:
    demands = read_demands(args.service)
    load = Load(args.hours, mix_of(args.mix, demands), args.peak)
    if args.hours <= 0 or args.p95 <= 0 or args.peak < 1 or args.spare < 0 or args.cores <= 0:
        raise BadOption("--hours, --p95 and --cores are over 0, --peak 1 or more, --spare 0 or more")
    try:
        found = plan(load, demands, Machine({CORES: args.cores}), args.p95, args.spare)
    except ImpossibleError as error:
        raise BadOption(str(error)) from None
    row = {"video-hours a day": args.hours, "files a second at the peak": found.rate, "servers": found.servers,
           "of them spare": args.spare, "cores": found.units[CORES], "busy at the peak": f"{found.busy[CORES]:.0%}",
           "p95": f"{found.p95:.1f} s"}  # fmt: skip
    show(f"p95 under {args.p95:g} s, one server of {args.cores:g} cores", [row])
    if found.needed > found.simulated:
        sys.stdout.write(
            f"{found.simulated} servers were simulated with their part of the load; the rest is the same again\n"
        )
    return 0


def read_demands(path: Path) -> dict[str, Demand]:
    """Return what files cost by a measurement; raises :class:`BadOption` for what is none."""
    try:
        return demands_of(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise BadOption(f"there is no measurement at {path}: python -m benchmarks capacity") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadOption(f"{path} is no measurement of this command: {error!r}") from None


def mix_of(text: str, demands: Mapping[str, Demand]) -> dict[str, float]:
    """Read KIND=SHARE,…; raises :class:`BadOption` for kinds that were not measured."""
    found = {}
    for part in text.split(","):
        kind, _, share = part.partition("=")
        if kind.strip() not in demands:
            raise BadOption(f"--mix: {kind.strip()!r} was not measured; there are {', '.join(demands)}")
        with suppress(ValueError):
            found[kind.strip()] = float(share)
    if not found or min(found.values()) < 0 or not sum(found.values()):
        raise BadOption(f"--mix wants KIND=SHARE,…, got {text!r}")
    return found


def measure(rounds: int, requests: int) -> dict[str, Any]:
    """Return costs, and each load as it was measured and as the simulator has it."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    with tempfile.TemporaryDirectory() as made, _pinned(first) as one, _pinned(second) as other:
        clip = clip_of(None)
        paths = {
            "sound": sound_of(clip, Path(made)),
            "picture": picture_of(clip, Path(made)),
            "720p": messenger_clip(),
            "1080p": clip,
        }
        files = {kind: path.read_bytes() for kind, path in paths.items()}
        return asyncio.run(_measure(files, [one, other], rounds, requests))


async def _measure(files: Mapping[str, bytes], servers: Sequence[Server], rounds: int, requests: int) -> dict[str, Any]:
    for core, server in enumerate(servers):
        for kind in files:
            await _timed(server, files[kind])  # warm
        _hold(server, sorted(os.sched_getaffinity(0))[core])
    alone = _Alone(files, servers[0])
    await alone.measure(rounds, files)
    full = [await _full(files, servers[:count], requests // 2, alone) for count in (1, 2)]
    levels = [
        await _level(files, servers[:count], requests * count, load, alone, full) for count in (1, 2) for load in LOADS
    ]
    off = [abs(level["off"]) for level in levels]
    return {"mix": MIX, "loads": LOADS, "cores_a_server": 1, "rounds": rounds, "requests": requests, "aim": AIM,
            "service": alone.service(), "full": full, "levels": levels, "largest_off": max(off),
            "within": max(off) <= AIM}  # fmt: skip


class _Alone:
    """What each kind takes alone, in rounds: first, and after each load, since a machine's speed drifts."""

    def __init__(self, files: Mapping[str, bytes], server: Server) -> None:
        self._files, self._server = files, server
        self._rounds: list[dict[str, tuple[float, float]]] = []

    async def measure(self, rounds: int, kinds: Iterable[str]) -> None:
        for _ in range(rounds):
            self._rounds.append({kind: await _timed(self._server, self._files[kind]) for kind in kinds})

    async def around(self) -> Mapping[str, Any]:
        """Measure again, and return what was measured last before and what now."""
        await self.measure(AROUND, MIX)
        return self.service(-2 * AROUND)

    def service(self, since: int = 0) -> dict[str, Any]:
        rounds = self._rounds[since:]
        found = {kind: [one[kind] for one in rounds if kind in one] for kind in rounds[0]}
        return {
            kind: {"media_seconds": SECONDS[kind], "bytes": len(self._files[kind]),
                   "wall_seconds": spread([wall for wall, _ in times]),
                   "cpu_seconds": spread([cpu for _, cpu in times])}
            for kind, times in found.items()
        }  # fmt: skip


async def _timed(server: Server, content: bytes) -> tuple[float, float]:
    async with AsyncDetector(server.grpc_url, timeout=600) as detector:
        began, before = time.perf_counter(), cpu_of([server])
        await detector.analyze(content, Options(policy="exhaustive"))
        return time.perf_counter() - began, cpu_of([server]) - before


async def _full(files: Mapping[str, bytes], servers: Sequence[Server], requests: int, alone: _Alone) -> dict[str, Any]:
    """Keep all places of each server taken: what they carry, and how much more a file costs then than alone.

    Servers of one machine share its caches and its memory, so that two at once may be slower than one by itself.
    """
    rows = await asyncio.gather(*(_filled(files, server, requests, seed) for seed, server in enumerate(servers, 9)))
    service = await alone.around()
    work = sum(service[kind]["cpu_seconds"]["median"] for asked, _, _ in rows for kind in asked)
    asked, took, cpu = (sum(values) for values in zip(*((len(asked), took, cpu) for asked, took, cpu in rows)))
    return {"servers": len(servers), "requests": asked, "seconds": round(took / len(servers), 2),
            "cpu_seconds": round(cpu, 2), "cpu_seconds_alone": round(work, 2),
            "files_per_second": round(asked / took * len(servers), 4), "inflation": round(took / work, 4)}  # fmt: skip


async def _filled(
    files: Mapping[str, bytes], server: Server, requests: int, seed: int
) -> tuple[list[str], float, float]:
    """Return what was asked of a server whose places are all taken, and its seconds by the clock and of the CPU."""
    order = iter([request.kind for request in poisson(1.0, requests, MIX, seed=seed)])
    asked: list[str] = []

    async def caller(detector: AsyncDetector) -> None:
        for kind in order:
            asked.append(kind)
            await detector.analyze(files[kind], Options(policy="exhaustive"))

    async with AsyncDetector(server.grpc_url, timeout=600) as detector:
        began, before = time.perf_counter(), cpu_of([server])
        await asyncio.gather(*(caller(detector) for _ in range(Machine({}).places + 1)))
        took, cpu = time.perf_counter() - began, cpu_of([server]) - before
    if cpu > (1 + SLACK) * took:
        raise InternalError(f"a server that has one core took {cpu / took:.2f} of them: it is not held to it")
    return asked, took, cpu


async def _level(
    files: Mapping[str, bytes],
    servers: Sequence[Server],
    requests: int,
    load: float,
    alone: _Alone,
    full: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Send requests that come by chance, and have the simulator do the same with what files cost then."""
    rate = load * len(servers) / _mean(demands_of({"service": alone.service(), "full": full}, len(servers)))
    sent = poisson(rate, requests, MIX, seed=len(servers))
    taken: dict[int, float] = {}
    busy, used = psutil.cpu_times(), cpu_of(servers)

    async def ask(detector: AsyncDetector, number: int, request: Request) -> None:
        await asyncio.sleep(max(0.0, began + request.at - time.perf_counter()))
        await detector.analyze(files[request.kind], Options(policy="exhaustive"))
        taken[number] = time.perf_counter() - began - request.at

    async with AsyncDetector([server.grpc_url for server in servers], timeout=600) as detector:
        began = time.perf_counter()
        await asyncio.gather(*(ask(detector, number, request) for number, request in enumerate(sent)))
        lasted = time.perf_counter() - began
    real = Outcome([taken[number] for number in sorted(taken)], 0, lasted, {CORES: (cpu_of(servers) - used) / lasted})
    others = _busy(busy, lasted) - real.busy[CORES]
    demands = demands_of({"service": await alone.around(), "full": full}, len(servers))
    model = simulate(sent, demands, Machine({CORES: 1.0}), len(servers))
    return {
        "servers": len(servers), "load": load, "files_per_second": round(len(sent) / sent[-1].at, 3),
        "measured": _figures(real), "simulated": _figures(model),
        "others_busy_cores": round(others, 2),
        "off": round(model.percentile(95) / real.percentile(95) - 1, 3),
        "off_mean": round(statistics.mean(model.seconds) / statistics.mean(real.seconds) - 1, 3),
    }  # fmt: skip


def _mean(demands: Mapping[str, Demand]) -> float:
    """Core-seconds of a file of the mix."""
    return sum(share * demands[kind].work[CORES] for kind, share in MIX.items())


def _figures(of: Outcome) -> dict[str, float]:
    return {"mean_seconds": round(statistics.mean(of.seconds), 3), "p50_seconds": round(of.percentile(50), 3),
            "p95_seconds": round(of.percentile(95), 3), "lasted_seconds": round(of.lasted, 2),
            "busy_cores": round(of.busy[CORES], 3)}  # fmt: skip


def cpu_of(servers: Sequence[Server]) -> float:
    """Return the CPU seconds of servers until now, decoders that ended included."""
    total = 0.0
    for server in servers:
        for process in processes(server):
            with suppress(psutil.Error):  # it ended meanwhile, and is in its parent's
                total += sum(process.cpu_times()[:4])
    return total


def _busy(before: Any, seconds: float) -> float:
    now = psutil.cpu_times()
    return float(
        sum(getattr(now, name) - getattr(before, name) for name in ("user", "nice", "system", "irq", "softirq"))
        / seconds
    )


def _hold(server: Server, core: int) -> None:
    """Keep every thread of a server's processes on its core: those of ONNX Runtime choose cores when they start."""
    for process in processes(server):
        with suppress(psutil.Error):  # it ended meanwhile
            for thread in process.threads():
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(thread.id, {core})


@contextmanager
def _pinned(core: int) -> Iterator[Server]:
    """Yield a server whose processes have one core: they inherit it from the thread that starts them."""
    with ExitStack() as stack:
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})
        try:
            server = stack.enter_context(Server.from_settings(Settings.from_env(), access=Access()))
        finally:
            os.sched_setaffinity(0, before)
        server.require("deepfake_detector")
        yield server
