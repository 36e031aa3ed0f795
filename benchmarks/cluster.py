"""Several servers behind HAProxy, and as a list: what is lost, doubled or late while one is killed, drained, added."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from benchmarks.load import RETRIES, SHORT, TIMEOUT_SECONDS
from benchmarks.printing import show
from benchmarks.target import installed
from evaluation import record
from veracity.catalog.assets import PORTRAIT_FILE
from veracity.media import find_ffmpeg
from veracity.sample import make_sample
from veracity.server.ports import Ports, choose
from veracity.settings import CHECKOUT, Settings, variable
from veracity_client import AsyncDetector, Options
from veracity_client.errors import VeracityError

DEPLOY = CHECKOUT / "deploy"
HAPROXY = "HAProxy"
LIST = "a list in the client"
READY_SECONDS = 300.0
END_SECONDS = 200.0
POLL_SECONDS = 0.2
KEY = "0123456789abcdef0123456789abcdef"
FREE_BOX = 16  # bytes of an MP4 box that says nothing: size, name, eight bytes that number the file


@dataclass
class Replica:
    """One server with an address of this machine to itself. ``command`` takes its host and ports as options."""

    host: str
    ports: Ports
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Its gRPC address."""
        return f"{self.host}:{self.ports.grpc}"

    def start(self) -> None:
        """Start it and wait until it is ready."""
        ports = [f"--{name}-port={port}" for name, port in self.ports._asdict().items()]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, f"--host={self.host}", *ports],
                env=os.environ | self.environment,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise VeracityError(f"{self.host} is not ready: {self.log.read_text('utf-8')[-2000:]}")
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """End all its processes at once, as a node that is lost."""
        if self.process is not None:
            root = psutil.Process(self.process.pid)
            for process in (root, *root.children(recursive=True)):
                process.kill()
            self.process.wait()
            self.process = None

    def drain(self) -> None:
        """Tell it to stop, and wait until it has."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(END_SECONDS)
            self.process = None

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"http://{self.host}:{self.ports.health}/health/ready").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


@dataclass(frozen=True)
class Sent:
    """A request: in which phase it was sent, the sha256 of its file, and that of its verdict or an error's name."""

    phase: str
    sha256: str
    answer: str
    seconds: float


class Load:
    """Clients that ask all the time, each time with another file."""

    def __init__(self, detector: AsyncDetector, video: bytes, options: Options) -> None:
        self._detector, self._video, self._options = detector, video, options
        self._numbers = itertools.count()
        self.phase = ""
        self.over = False
        self.sent: list[Sent] = []

    async def run(self, clients: int) -> None:
        """Ask until it is over, and wait for every answer."""
        await asyncio.gather(*(self._client() for _ in range(clients)))

    async def _client(self) -> None:
        while not self.over:
            phase, video = self.phase, numbered(self._video, next(self._numbers))
            began = time.monotonic()
            try:
                answer = (await self._detector.analyze(video, self._options)).input.sha256
            except VeracityError as error:
                answer = error.to_wire()
            self.sent.append(Sent(phase, hashlib.sha256(video).hexdigest(), answer, time.monotonic() - began))


def numbered(video: bytes, number: int) -> bytes:
    """Return an MP4 file with the same content, and other bytes than with another number."""
    return video + FREE_BOX.to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")


async def measure(last: Replica, load: Load, clients: int, seconds: float) -> list[dict[str, Any]]:
    """Ask while one replica is killed, drained and started again; returns a row a phase."""
    phases: dict[str, tuple[Callable[[], None], ...]] = {
        "quiet": (),
        "one killed, and started anew": (last.kill, last.start),
        "one drained": (last.drain,),
        "one added": (last.start,),
    }
    load.phase, lengths = next(iter(phases)), {}
    asking = asyncio.create_task(load.run(clients))
    for phase, steps in phases.items():
        load.phase, began = phase, time.monotonic()
        for step in steps:
            await asyncio.to_thread(step)
        await asyncio.sleep(seconds)
        lengths[phase] = time.monotonic() - began
    load.over = True
    await asking
    return [{"phase": phase, "seconds": round(lengths[phase], 1), **_row(load.sent, phase)} for phase in phases]


def _row(sent: Sequence[Sent], phase: str) -> dict[str, Any]:
    own = [one for one in sent if one.phase == phase]
    verdicts = Counter(one.answer for one in sent)
    milliseconds = sorted(1e3 * one.seconds for one in own)
    return {
        "requests": len(own),
        "answered": sum(one.answer == one.sha256 for one in own),
        "lost": sum(one.answer != one.sha256 for one in own),
        "doubled": sum(verdicts[one.sha256] > 1 for one in own),
        "p50_ms": round(statistics.median(milliseconds)),
        "p99_ms": round(statistics.quantiles(milliseconds, n=100, method="inclusive")[98]),
        "broken": sorted({one.answer for one in own if one.answer != one.sha256}),
    }


def haproxy_config(replicas: Sequence[Replica], grpc_port: int, http_port: int) -> str:
    """Return deploy/haproxy.cfg with these replicas in place of those that Docker's names stand for."""
    text = (DEPLOY / "haproxy.cfg").read_text("utf-8")
    text = re.sub(r"^resolvers docker\n(?: .*\n)+", "", text, flags=re.M)
    text = text.replace(" resolvers docker init-addr none", "").replace("port 8003", f"port {replicas[0].ports.health}")
    for name, bind, port in (("grpc", 8001, grpc_port), ("http", 8000, http_port)):
        text = text.replace(f"bind :{bind}", f"bind 127.0.0.1:{port}")
        (template,) = re.findall(rf"^ +server-template \S+ \d+ server:{bind}.*$", text, flags=re.M)
        options = template.partition(f":{bind}")[2]
        servers = [f"    server s{k} {r.host}:{getattr(r.ports, name)}{options}" for k, r in enumerate(replicas)]
        text = text.replace(template, "\n".join(servers))
    return text


@contextmanager
def haproxy(replicas: Sequence[Replica], folder: Path) -> Iterator[str]:
    """Run HAProxy in front of the replicas; gives its gRPC address."""
    ports = choose("127.0.0.1", Ports(0, 0, 0, 0))
    config = folder / "haproxy.cfg"
    config.write_text(haproxy_config(replicas, ports.grpc, ports.http), "utf-8")
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stdout=log, stderr=log)
    try:
        time.sleep(3)  # of its checks, each two seconds
        if process.poll() is not None:
            raise VeracityError(f"haproxy ended: {(folder / 'haproxy.log').read_text('utf-8')}")
        yield f"127.0.0.1:{ports.grpc}"
    finally:
        process.terminate()
        process.wait()


def chart_environment() -> dict[str, str]:
    """Return the settings that the chart gives its servers."""
    values = yaml.safe_load((DEPLOY / "helm" / "veracity" / "values.yaml").read_text("utf-8"))
    return {variable(name): str(value) for name, value in values["settings"].items()}


@contextmanager
def replicas_of(
    count: int, command: Sequence[str], environment: Mapping[str, str], folder: Path
) -> Iterator[list[Replica]]:
    """Run so many servers, at the same ports of addresses of this machine."""
    ports = choose("0.0.0.0", Ports(0, 0, 0, 0))  # noqa: S104, free at every address
    hosts = [f"127.0.0.{k + 2}" for k in range(count)]
    replicas = [Replica(host, ports, command, environment, folder / f"{host}.log") for host in hosts]
    try:
        for replica in replicas:
            replica.start()
        yield replicas
    finally:
        for replica in replicas:
            replica.drain()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--servers", type=int, default=3, help="replicas, of which one is killed, drained and added")
    parser.add_argument("--clients", type=int, default=8, help="requests at once")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each phase, after what happens in it")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write ``results/cluster.json``; returns 1 where a request was lost or doubled."""
    command = (sys.executable, "-m", "veracity.cli", "serve")
    environment = chart_environment() | {"VERACITY_API_KEYS": f"cluster:{KEY}"}
    settings = Settings.from_env()
    with tempfile.TemporaryDirectory(prefix="veracity-cluster-") as made:
        folder = Path(made)
        clip = make_sample(
            folder / "clip.mp4", settings.weights / PORTRAIT_FILE, find_ffmpeg(settings.ffmpeg), SHORT
        ).read_bytes()
        with replicas_of(args.servers, command, environment, folder) as replicas:
            with haproxy(replicas, folder) as url:
                rows = _through(HAPROXY, url, replicas, clip, args)
            rows += _through(LIST, [replica.url for replica in replicas], replicas, clip, args)
    show("servers that come and go under load", rows)
    given = {name: getattr(args, name) for name in ("servers", "clients", "seconds")}
    figures = {**given, "settings": chart_environment(), **installed(), "rows": rows}
    sys.stderr.write(f"written to {record.write('cluster', figures)}\n")
    return int(any(row["lost"] or row["doubled"] for row in rows))


def _through(
    way: str, urls: str | Sequence[str], replicas: Sequence[Replica], clip: bytes, args: argparse.Namespace
) -> list[dict[str, Any]]:
    async def go() -> list[dict[str, Any]]:
        detector = AsyncDetector(urls, retries=RETRIES, timeout=TIMEOUT_SECONDS, api_key=KEY)
        load = Load(detector, clip, Options(layers=("audio",)))
        try:
            return await measure(replicas[-1], load, args.clients, args.seconds)
        finally:
            await detector.close()

    return [{"through": way, **row} for row in asyncio.run(go())]
