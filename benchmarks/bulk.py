"""veracity bulk on two Ray nodes, one of which is killed in the middle: rows, lost, doubled, seconds and cost."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.cluster import numbered
from benchmarks.load import SHORT
from benchmarks.printing import show
from benchmarks.target import installed, own_server
from benchmarks.usage import processes
from evaluation import record
from veracity.catalog.assets import PORTRAIT_FILE
from veracity.media import find_ffmpeg
from veracity.sample import make_sample
from veracity.server import Server
from veracity.settings import Settings
from veracity_client.errors import VeracityError

NODE = {"num_cpus": 1, "object_store_memory": 100 << 20}
POLL_SECONDS = 0.5
KILLED_AT = 1 / 3  # of the rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--files", type=int, default=100, help="clips that are made")
    parser.add_argument("--layers", default="audio", help="that are asked for, separated by commas")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write ``results/bulk.json``; returns 1 where a file was lost or has several rows."""
    with tempfile.TemporaryDirectory(prefix="veracity-bulk-") as made, own_server() as (server, _):
        folder = Path(made)
        _make_clips(folder / "clips", args.files)
        before = _cpu_seconds(server)
        with _two_nodes() as (address, kill_one):
            killed_at, seconds = _run(folder, server, address, args, kill_one)
        figures = _figures(folder, args.files) | {
            "seconds": round(seconds, 1),
            "nodes": 2,
            "nodes_killed": 1,
            "rows_when_killed": killed_at,
            "server_core_seconds": round(_cpu_seconds(server) - before, 1),
        }
    figures["core_seconds_per_video_hour"] = round(figures["server_core_seconds"] / figures["video_hours"])
    show("a Ray node that is killed in the middle", [{k: v for k, v in figures.items() if not isinstance(v, dict)}])
    given = {"layers": args.layers}
    sys.stderr.write(f"written to {record.write('bulk', {**given, **installed(), **figures})}\n")
    return int(bool(figures["lost"] or figures["doubled"]))


def _make_clips(folder: Path, count: int) -> None:
    folder.mkdir()
    settings = Settings.from_env()
    clip = make_sample(
        folder.parent / "clip.mp4", settings.weights / PORTRAIT_FILE, find_ffmpeg(settings.ffmpeg), SHORT
    )
    content = clip.read_bytes()
    for number in range(count):
        (folder / f"{number:05}.mp4").write_bytes(numbered(content, number))


@contextmanager
def _two_nodes() -> Iterator[tuple[str, Any]]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    try:
        other = cluster.add_node(**NODE)
        yield cluster.address, lambda: cluster.remove_node(other, allow_graceful=False)
    finally:
        cluster.shutdown()


def _run(folder: Path, server: Server, address: str, args: argparse.Namespace, kill_one: Any) -> tuple[int, float]:
    """Run the command, kill a node in the middle; returns the rows that were there by then, and the seconds of all."""
    command = [sys.executable, "-m", "veracity.cli", "bulk", str(folder / "clips"), str(folder / "out")]
    command += ["--url", server.grpc_url, "--ray", address, "--layers", args.layers, "--part-seconds", "1"]
    began = time.monotonic()
    with subprocess.Popen(command) as process:
        while (rows := len(_rows(folder))) < KILLED_AT * args.files:
            if process.poll() is not None:
                raise VeracityError(f"the run ended before a node was killed: exit code {process.returncode}")
            time.sleep(POLL_SECONDS)
        kill_one()
        if process.wait() not in (0, 1):
            raise VeracityError(f"the run ended with exit code {process.returncode}")
    return rows, time.monotonic() - began


def _rows(folder: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet

    columns = ["uri", "label", "attempts"]
    parts = sorted((folder / "out" / "rows").glob("*.parquet"))
    return [row for part in parts for row in pyarrow.parquet.read_table(part, columns=columns).to_pylist()]


def _figures(folder: Path, files: int) -> dict[str, Any]:
    report = json.loads((folder / "out" / "report.json").read_text("utf-8"))
    rows = _rows(folder)
    count = Counter(row["uri"] for row in rows)
    return {
        "files": files,
        "rows": len(rows),
        "lost": files - len({row["uri"] for row in rows if row["label"]}),
        "doubled": sum(number > 1 for number in count.values()),
        "attempts": sum(row["attempts"] for row in rows),
        "video_hours": report["video_hours"],
        "cost": report["cost"],
    }


def _cpu_seconds(server: Server) -> float:
    """Return the processor time of the server's processes, with that of their children that have ended."""
    total = 0.0
    for process in processes(server):
        with suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])
    return total
