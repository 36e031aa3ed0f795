"""The run: every contender started, asked in turn, and held to our answers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.peers import limit, plain
from benchmarks.peers.networks import THREADS, installed, runtime
from benchmarks.peers.service import OPTIONS, Analyze, all_at_once, one_by_one
from benchmarks.printing import show as show_table
from benchmarks.target import decode_to_null, timed
from veracity.analysis.context import AnalysisContext
from veracity.analysis.installed import model_info
from veracity.media import find_ffmpeg
from veracity.server import Server
from veracity.server.proxy.access import Access
from veracity.settings import Settings
from veracity_client import Detector, Verdict

CLOSE = 1e-3  # of P(fake): answers that are further apart are others
PACKAGES = ("nvidia-pytriton", "onnxruntime", "torch", "fastapi", "uvicorn", "litserve", "ray")


@contextmanager
def ours(settings: Settings, _: AnalysisContext) -> Iterator[Analyze]:
    """The product: its server, its client. Models are not checked meanwhile, which would be work beside the others."""
    options: dict[str, Any] = {"access": Access(), "canary_seconds": 3600.0}
    with Server.from_settings(settings, **options) as server, Detector(server.grpc_url, timeout=1800.0) as detector:
        yield lambda clip: detector.analyze(clip, OPTIONS)


Start = Callable[[Settings, AnalysisContext], AbstractContextManager[Analyze]]
CONTENDERS: Mapping[str, Start] = {
    "veracity": ours,
    "plain": plain.started,
    "fastapi": partial(one_by_one, "benchmarks.peers.fastapi_service"),
    "litserve": partial(all_at_once, "benchmarks.peers.litserve_service"),
    "ray_serve": partial(all_at_once, "benchmarks.peers.ray_service"),
}


@dataclass
class Contender:
    """What was measured of one: seconds until it can be asked, of the first video, of one alone, of several at once."""

    name: str
    analyze: Analyze
    processes: list[psutil.Process]  # that sleep while others are asked
    start_seconds: float
    first_seconds: float = 0.0
    alone: list[float] = field(default_factory=list)
    at_once: list[float] = field(default_factory=list)
    refused: str = ""
    _tree: list[psutil.Process] = field(default_factory=list)

    def asked(self, clip: Path, clients: int) -> tuple[float, list[Verdict]]:
        """Return the seconds for so many analyses of the clip at once, and the verdicts."""
        with self._awake(), ThreadPoolExecutor(clients) as pool:
            return timed(lambda: list(pool.map(self.analyze, [clip] * clients)))

    def sleep(self) -> None:
        """Stop the processes until they are asked: some poll, which would be work beside the others'."""
        self._tree = [one for root in self.processes for one in (root, *root.children(recursive=True))]
        self._signal(psutil.Process.suspend)

    def wake(self) -> None:
        """Have the processes go on."""
        self._signal(psutil.Process.resume)

    def _signal(self, send: Callable[[psutil.Process], None]) -> None:
        for process in self._tree:
            with suppress(psutil.NoSuchProcess):  # a worker may have ended meanwhile
                send(process)

    @contextmanager
    def _awake(self) -> Iterator[None]:
        self.wake()
        yield
        self.sleep()

    def hold(self, verdicts: Sequence[Verdict], to: Verdict) -> None:
        """Note the first answer that is not ours."""
        self.refused = self.refused or next(filter(None, (difference(to, verdict) for verdict in verdicts)), "")

    def row(self, clients: int) -> dict[str, Any]:
        """The figures, rounded."""
        many: dict[str, Any] = {}
        if clients:
            many["videos_per_minute"] = round(60 * clients / median(self.at_once), 2)
            many["at_once_seconds"] = _spread(self.at_once)
        return {
            "name": self.name,
            "start_seconds": round(self.start_seconds, 2),
            "first_seconds": round(self.first_seconds, 3),
            "seconds": _spread(self.alone),
            **many,
            "refused": self.refused,
        }


def difference(ours: Verdict, theirs: Verdict) -> str:
    """Say where a verdict's layers are not ours, to 0.001 of P(fake); empty where nowhere."""
    for key, mine in ours.layer_results.items():
        other = theirs.layer_results[key]
        if mine.status != other.status:
            return f"{key} {other.status}, not {mine.status}: {other.reason or mine.reason}"
        a, b = mine.fake_probability, other.fake_probability
        if (a is None) != (b is None) or (a is not None and b is not None and abs(a - b) > CLOSE):
            return f"{key} has P(fake) {b}, not {a}"
    return ""


@dataclass
class Run:
    """Contenders on one clip, whose answers are held to the first one's; the limit is measured in each round."""

    clip: Path
    settings: Settings
    context: AnalysisContext
    rounds: int
    clients: int
    nulls: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)  # per cent of the cores that are used while nobody is asked
    reference: Verdict | None = None

    def in_turn(self) -> list[Contender]:
        """Start all, ask each once, then measure in rounds whose order turns round."""
        with ExitStack() as stack:
            contenders = [_enter(stack, name, self.settings, self.context) for name in CONTENDERS]
            self.idle.append(psutil.cpu_percent(2.0))
            for contender in contenders:
                self._first(contender)
            for number in range(self.rounds):
                self._limit()
                for contender in contenders[:: -1 if number % 2 else 1]:
                    self._round(contender)
        return contenders

    def one_after_another(self) -> list[Contender]:
        """Start, measure and end one, then the next: for networks that do not fit into memory five times."""
        contenders = []
        for name in CONTENDERS:
            with ExitStack() as stack:
                contender = _enter(stack, name, self.settings, self.context)
                self.idle.append(psutil.cpu_percent(2.0))
                self._first(contender)
                for _ in range(self.rounds):
                    self._limit()
                    self._round(contender)
            contenders.append(contender)
        return contenders

    def _first(self, contender: Contender) -> None:
        contender.first_seconds, (verdict,) = contender.asked(self.clip, 1)
        self.reference = self.reference or verdict
        contender.hold([verdict], self.reference)

    def _limit(self) -> None:
        self.nulls.append(timed(lambda: decode_to_null(self.clip))[0])
        self.rates.append(limit.gemm_gflops(THREADS))

    def _round(self, contender: Contender) -> None:
        assert self.reference is not None
        for count, seconds in ((1, contender.alone), (self.clients, contender.at_once)):
            if count:
                took, verdicts = contender.asked(self.clip, count)
                seconds.append(took)
                contender.hold(verdicts, self.reference)


def measured(clip: Path, settings: Settings, rounds: int, clients: int, *, apart: bool = False) -> dict[str, Any]:
    """Measure all contenders in turn, or ``apart``, one after another; return the figures."""
    context = AnalysisContext.from_settings(settings)
    run = Run(clip, settings, context, rounds, clients)
    work = limit.arithmetic(clip, settings, context)
    contenders = run.one_after_another() if apart else run.in_turn()
    reference = run.reference
    assert reference is not None
    names = installed(settings)
    return {
        "profile": settings.profile,
        "models": {name: model_info(settings.model_repository, name).sha256 for name in names},
        "clip": {
            "bytes": clip.stat().st_size,
            "seconds": reference.input.seconds,
            "resolution": reference.input.resolution,
        },
        "rounds": rounds,
        "clients": clients,
        "apart": apart,
        "threads": THREADS,
        "idle_cpu_percent": max(run.idle),
        "versions": {name: version(name) for name in PACKAGES} | {"ffmpeg": _ffmpeg_version(settings)},
        "peers_run": {name: runtime(name) for name in names},
        "layers": {key: result.fake_probability for key, result in reference.layer_results.items()},
        "limit": _limit(run.nulls, run.rates, work),
        "contenders": [contender.row(clients) for contender in contenders],
    }


def _enter(stack: ExitStack, name: str, settings: Settings, context: AnalysisContext) -> Contender:
    """Start a contender, which sleeps from then on; the product, whose server is watched from here, idles."""
    others, start = set(psutil.Process().children()), time.perf_counter()
    analyze = stack.enter_context(CONTENDERS[name](settings, context))
    took, processes = time.perf_counter() - start, set(psutil.Process().children()) - others
    contender = Contender(name, analyze, [] if CONTENDERS[name] is ours else list(processes), took)
    contender.sleep()
    stack.callback(contender.wake)
    return contender


def _limit(nulls: Sequence[float], rates: Sequence[float], work: dict[str, dict[str, float]]) -> dict[str, Any]:
    networks = sum(row["gflop"] for row in work.values()) / median(rates)
    return {
        "ffmpeg_null_seconds": _spread(nulls),
        "gemm_gflop_per_second": _spread(rates),
        "networks": work,
        "networks_seconds": round(networks, 3),
        "seconds": round(median(nulls) + networks, 3),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": round(min(values), 3), "median": round(median(values), 3), "max": round(max(values), 3)}


def _ffmpeg_version(settings: Settings) -> str:
    command = [str(find_ffmpeg(settings.ffmpeg)), "-version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[2]


def show(figures: dict[str, Any]) -> None:
    """Print the figures for a person."""
    limit_seconds = figures["limit"]["seconds"]
    rows: list[dict[str, Any]] = [{"name": "limit", "median_s": limit_seconds, "times_the_limit": 1.0}]
    for row in figures["contenders"]:
        seconds = row["seconds"]
        rows.append({
            "name": row["name"], "start_s": row["start_seconds"], "first_s": row["first_seconds"],
            "min_s": seconds["min"], "median_s": seconds["median"], "max_s": seconds["max"],
            "times_the_limit": round(seconds["median"] / limit_seconds, 2),
            "videos_per_minute": row.get("videos_per_minute", ""), "refused": row["refused"],
        })  # fmt: skip
    show_table(f"peers, profile {figures['profile']}", rows)
