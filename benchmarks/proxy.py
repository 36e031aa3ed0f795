"""What the proxy in front of tritonserver costs: small requests and a large one, through it and past it, in one run.

A small request is an empty video, which the detector refuses at once; past the proxy leads the way of who may use
tritonserver's own sockets. Memory is what the peak of each process grows by while the large video passes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import httpx
from rich.console import Console
from rich.table import Table
from tritonclient.grpc import service_pb2_grpc

from evaluation import record
from veracity.analysis.installed import model_info
from veracity.catalog import MODELS
from veracity.server import Server
from veracity.server.proxy.access import Access
from veracity.settings import Settings
from veracity_client._grpc import _message, channel_options
from veracity_client._http import _post
from veracity_client._wire import build

Call = Callable[[bytes], None]
RESET_PEAK = "5"  # of /proc/PID/clear_refs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--rounds", type=int, default=300, help="small requests of each kind")
    parser.add_argument("--megabytes", type=int, default=200, help="size of the large video")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write ``results/proxy.json``."""
    settings = Settings.from_env()
    with Server.from_settings(settings, access=Access()) as server:
        server.require("deepfake_detector")
        loaded = [name for name, model in server.models.items() if model.state == "ready" and name in MODELS]
        calls = {
            ("grpc", "through"): _grpc(server.grpc_url),
            ("grpc", "past"): _grpc(server.sockets.url),
            ("http", "through"): _http(httpx.Client(base_url=f"http://{server.http_url}/v2/models")),
            ("http", "past"): _http(
                httpx.Client(
                    base_url="http://localhost/v2/models",
                    transport=httpx.HTTPTransport(uds=str(server.sockets.http)),
                )
            ),
        }
        small = _small(calls, args.rounds)
        large = [_large(server, way, call, args.megabytes * 1_000_000) for way, call in calls.items()]
    _print(small, large)
    figures = {
        "rounds": args.rounds,
        "megabytes": args.megabytes,
        "models": {name: model_info(settings.model_repository, name).sha256 for name in loaded},
        "small": small,
        "large": large,
    }
    sys.stderr.write(f"written to {record.write('proxy', figures)}\n")
    return 0


def _grpc(url: str) -> Call:
    stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(url, options=channel_options(url)))

    def call(video: bytes) -> None:
        with suppress(grpc.RpcError):  # the refusal is the answer
            stub.ModelInfer(_message(build(video, None, None)))

    return call


def _http(client: httpx.Client) -> Call:
    def call(video: bytes) -> None:
        client.post(timeout=None, **_post(build(video, None, None)))

    return call


def _small(calls: dict[tuple[str, str], Call], rounds: int) -> list[dict[str, Any]]:
    """Return the milliseconds of each way; the ways take turns, so that a machine that drifts drifts for all."""
    seconds: dict[tuple[str, str], list[float]] = {way: [] for way in calls}
    for round_ in range(rounds + 10):
        for way, call in calls.items():
            began = time.perf_counter()
            call(b"")
            if round_ >= 10:  # warm
                seconds[way].append(time.perf_counter() - began)
    return [
        {
            "protocol": protocol,
            "way": way,
            "median_ms": round(1e3 * statistics.median(found), 2),
            "p99_ms": round(1e3 * statistics.quantiles(found, n=100)[98], 2),
        }
        for (protocol, way), found in seconds.items()
    ]


def _large(server: Server, way: tuple[str, str], call: Call, size: int) -> dict[str, Any]:
    """Return the seconds of one large request and how many megabytes each process took more than before."""
    pids = {"tritonserver": server.pid, "envoy": server.proxy_pid}
    call(bytes(size))  # what a process keeps for the next one is not counted
    before = {}
    for name, pid in pids.items():
        Path(f"/proc/{pid}/clear_refs").write_text(RESET_PEAK)
        before[name] = _status(pid, "VmRSS")
    began = time.perf_counter()
    call(bytes(size))
    seconds = round(time.perf_counter() - began, 2)
    grown = {f"{name}_mb": round((_status(pid, "VmHWM") - before[name]) / 1e6) for name, pid in pids.items()}
    return {"protocol": way[0], "way": way[1], "seconds": seconds, **grown}


def _status(pid: int, key: str) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) << 10


def _print(small: list[dict[str, Any]], large: list[dict[str, Any]]) -> None:
    console = Console()
    for title, rows in (("small requests", small), ("a large request", large)):
        table = Table(*rows[0], title=title, title_justify="left")
        for row in rows:
            table.add_row(*map(str, row.values()))
        console.print(table)
