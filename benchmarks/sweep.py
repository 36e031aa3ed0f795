"""Instances, batches, queue delay and ONNX Runtime's threads, each varied alone: throughput and latency of a server.

Every visit to a point is a server of its own on a temporary copy of the model repository; the committed configurations
stay. A point is better than the committed settings only if its slowest round beats their fastest.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tritonclient.grpc as grpc
from google.protobuf import text_format

from benchmarks.costs import in_rounds, spread
from benchmarks.printing import show
from benchmarks.target import installed, messenger_clip, sound_of, timed
from evaluation import record
from veracity.catalog import MODELS
from veracity.catalog.profiles import children, choose
from veracity.catalog.triton_config import CONFIG
from veracity.server import Server
from veracity.server.proxy.access import Access
from veracity.server.repository import DETECTORS
from veracity.settings import Settings
from veracity_client import Detector, Options

CLIENTS = 4
THREADS = "intra_op_thread_count"  # the key of NVIDIA's backend, which ours reads too
SPINNING = "session.intra_op.allow_spinning"  # ONNX Runtime's key, which our backend sets to 0
OPTIONS = Options(policy="exhaustive")


@dataclass(frozen=True)
class Point:
    """What is changed in the configuration of every network; None leaves it as it is committed.

    ``batch`` is in requests of one video: 1 never merges the requests of two videos.
    """

    name: str
    instances: int | None = None
    batch: int | None = None
    delay_us: int | None = None
    threads: int | None = None
    spinning: int | None = None  # 1: threads without work wait in a loop

    @property
    def settings(self) -> dict[str, int]:
        """What is changed, by name."""
        return {key: value for key, value in vars(self).items() if key != "name" and value is not None}


COMMITTED = Point("as committed")
POINTS = (
    COMMITTED,
    Point("threads that spin", spinning=1),
    Point("1 thread", threads=1),
    Point("2 instances of 1 thread", instances=2, threads=1),
    Point("batches of one request", batch=1),
    Point("no delay", delay_us=0),
    Point("delay of 20 ms", delay_us=20_000),
)


@dataclass(frozen=True)
class Visit:
    """One round of a point: seconds of one client's video, and files a second of all clients."""

    seconds: float
    files_per_second: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--clip", type=Path, help="a video; without it a 10 s 720p clip as a messenger sends it is made"
    )
    parser.add_argument("--points", type=int, default=len(POINTS), help="how many, the most telling first")
    parser.add_argument("--rounds", type=int, default=2, help="servers a point, every other round backwards")
    parser.add_argument(
        "--minutes", type=float, default=9.5, help="of all; points for which it is too little are left out"
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write ``results/sweep.json``."""
    clip, settings, chosen = args.clip or messenger_clip(), Settings.from_env(), POINTS[: args.points]
    with tempfile.TemporaryDirectory(prefix="veracity-") as folder:
        files = [clip, sound_of(clip, Path(folder))]
        visits = measure(chosen, args.rounds, args.minutes, lambda point: visit(settings, point, files))
    rows = [_figures(point, found) for point, found in visits.items()]
    chosen_best = best(visits)
    show(f"settings, {OPTIONS.policy}, {CLIENTS} clients", [_row(row) for row in rows])
    figures = {
        "clip_bytes": clip.stat().st_size, "policy": OPTIONS.policy, "rounds": args.rounds, "clients": CLIENTS,
        **installed(), "best": chosen_best.name, "best_settings": effective(settings, chosen_best),
        "left_out": [point.name for point in chosen if point not in visits], "points": rows,
    }  # fmt: skip
    sys.stderr.write(f"best: {chosen_best.name}\nwritten to {record.write('sweep', figures)}\n")
    return 0


def measure(
    points: Sequence[Point], rounds: int, minutes: float, work: Callable[[Point], Visit]
) -> dict[Point, list[Visit]]:
    """Visit the points in rounds; a point that the first round has no time for, of its share of all, is left out."""
    visits: dict[Point, list[Visit]] = {}
    began, longest = time.monotonic(), 0.0
    for point in points:
        start = time.monotonic()
        if visits and start - began + longest > 60 * minutes / rounds:
            break
        visits[point] = [work(point)]
        longest = max(longest, time.monotonic() - start)
    in_rounds(list(visits)[::-1], rounds - 1, lambda point: visits[point].append(work(point)))
    return visits


def best(visits: Mapping[Point, Sequence[Visit]]) -> Point:
    """Return the point with the highest throughput of those that beat the committed settings, or these."""
    slowest = {point: min(one.files_per_second for one in found) for point, found in visits.items()}
    to_beat = max(one.files_per_second for one in visits[COMMITTED])
    return max((point for point in visits if slowest[point] > to_beat), key=slowest.__getitem__, default=COMMITTED)


def visit(settings: Settings, point: Point, files: Sequence[Path]) -> Visit:
    """Start a server of the point and ask it: the video of each client to warm up, one client's, all files of all."""
    with tempfile.TemporaryDirectory(prefix="veracity-") as folder:
        own = settings.replace(model_repository=repository_of(settings, point, Path(folder)))
        # No canary is due within the measurement: each is an inference.
        with Server.from_settings(own, access=Access(), canary_seconds=3600.0) as server:
            for name in children(choose(own.profile, own.models)):
                server.require(name)
            with _clients(server.grpc_url) as clients, ThreadPoolExecutor(CLIENTS) as threads:
                list(threads.map(lambda client: client.analyze(files[0], OPTIONS), clients))
                alone, _ = timed(lambda: clients[0].analyze(files[0], OPTIONS))
                together, _ = timed(lambda: list(threads.map(lambda client: _ask(client, files), clients)))
    return Visit(alone, CLIENTS * len(files) / together)


def repository_of(settings: Settings, point: Point, folder: Path) -> Path:
    """Copy the profile's models, graphs as hard links where the file system can, with the point's configurations."""
    target = folder / "model_repository"
    for name in (*children(choose(settings.profile, settings.models)), *DETECTORS):
        shutil.copytree(settings.model_repository / name, target / name, copy_function=_link)
        if name in MODELS:
            file = target / name / CONFIG
            config = altered(file.read_text(), point, MODELS[name].request_items)
            file.unlink()  # the link, and not the file behind it
            file.write_text(text_format.MessageToString(config))
    return target


def altered(text: str, point: Point, request_items: int) -> Any:
    """Return a model's configuration with the settings of a point."""
    config = text_format.Parse(text, grpc.model_config_pb2.ModelConfig())
    if point.instances is not None:
        config.instance_group[0].count = point.instances
    if point.batch is not None:
        config.max_batch_size = point.batch * request_items
        del config.dynamic_batching.preferred_batch_size[:]
    if point.delay_us is not None:
        config.dynamic_batching.max_queue_delay_microseconds = point.delay_us
    if point.threads is not None:
        config.parameters[THREADS].string_value = str(point.threads)
    if point.spinning is not None:
        config.parameters[SPINNING].string_value = str(point.spinning)
    return config


def effective(settings: Settings, point: Point) -> dict[str, dict[str, int]]:
    """Return what a point means for each network; 0 threads are as many as ONNX Runtime chooses."""
    found = {}
    for name in children(choose(settings.profile, settings.models)):
        text = (settings.model_repository / name / CONFIG).read_text()
        config = altered(text, point, MODELS[name].request_items)
        found[name] = {
            "instances": config.instance_group[0].count,
            "max_batch": config.max_batch_size,
            "delay_us": config.dynamic_batching.max_queue_delay_microseconds,
            "threads": int(config.parameters[THREADS].string_value or 0),
            "spinning": int(config.parameters[SPINNING].string_value or 0),
        }
    return found


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # of another file system
        shutil.copy2(source, target)


@contextmanager
def _clients(url: str) -> Iterator[list[Detector]]:
    made = [Detector(url) for _ in range(CLIENTS)]
    try:
        yield made
    finally:
        for client in made:
            client.close()


def _ask(client: Detector, files: Sequence[Path]) -> None:
    for file in files:
        client.analyze(file, OPTIONS)


def _figures(point: Point, found: Sequence[Visit]) -> dict[str, Any]:
    return {
        "name": point.name,
        "settings": point.settings,
        "seconds": spread([one.seconds for one in found]),
        "files_per_second": spread([one.files_per_second for one in found]),
    }


def _row(point: Mapping[str, Any]) -> dict[str, Any]:
    rate, seconds = point["files_per_second"], point["seconds"]
    return {
        "": point["name"],
        "files/s": rate["median"],
        "range": f"{rate['min']} – {rate['max']}",
        "one video, s": seconds["median"],
    }
