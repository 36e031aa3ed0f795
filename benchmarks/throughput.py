"""Videos a second: NVIDIA's perf_analyzer over gRPC and HTTP at rising concurrency, a clip's bytes as input."""

from __future__ import annotations

import argparse
import base64
import csv
import json
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.target import clip_of, installed
from evaluation import record
from veracity.server import Server
from veracity.server.proxy.access import Access
from veracity.settings import Settings
from veracity_client import Options
from veracity_client.errors import VeracityError

# tritonclient's wheel brings an old one, which wants libb64 and libcudart; on an older glibc pip finds a placeholder
_ELSEWHERE = "pip install 'perf-analyzer>=2' (glibc 2.38 or newer), or name NVIDIA's program by --perf-analyzer"
_NO_LIBRARY = 127  # the loader's exit code
COLUMNS = {
    "Inferences/Second": "videos_per_second",
    "p50 latency": "p50_ms",
    "p90 latency": "p90_ms",
    "Avg latency": "mean_ms",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--clip", type=Path, help="a video; without it a 10 s 1080p clip with speech and a face is made"
    )
    parser.add_argument("--perf-analyzer", default="perf_analyzer", help="the program, by name or path")
    parser.add_argument(
        "--concurrency", type=int, nargs="+", default=[1, 2, 4], help="videos under way at one time, a level each"
    )
    parser.add_argument("--policy", default="exhaustive", choices=("fail_fast", "decided", "exhaustive"))
    parser.add_argument("--requests", type=int, default=16, help="videos a level, after one a stream to warm up")


def run(args: argparse.Namespace) -> int:
    """Sweep both protocols against one server, print a table, write ``results/throughput.json``."""
    args.perf_analyzer = _program(args.perf_analyzer)
    clip = clip_of(args.clip)
    with tempfile.TemporaryDirectory() as folder, Server.from_settings(Settings.from_env(), access=Access()) as server:
        data = _input_file(Path(folder), clip, args.policy)
        urls = {"grpc": server.grpc_url, "http": server.http_url}
        sweeps = {protocol: _sweep(args, protocol, url, data) for protocol, url in urls.items()}
    figures = {"clip_bytes": clip.stat().st_size, "policy": args.policy, "requests": args.requests,
               **installed(), "sweeps": sweeps}  # fmt: skip
    _print(sweeps)
    sys.stderr.write(f"written to {record.write('throughput', figures)}\n")
    return 0


def _program(name: str) -> str:
    """The program's path: on PATH, or beside this Python; raises VeracityError where there is none that runs."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise VeracityError(f"{name} was not found: {_ELSEWHERE}")
    attempt = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    if attempt.returncode == _NO_LIBRARY:
        raise VeracityError(f"{attempt.stderr.strip()}: install that library, or {_ELSEWHERE}")
    return found


def _input_file(folder: Path, clip: Path, policy: str) -> Path:
    """Write perf_analyzer's input: the tensors of one request, each a length and its bytes, as base64."""
    options = Options(policy=policy).to_json()  # type: ignore[arg-type]
    tensors = {
        "VIDEO": {"content": {"b64": _element(clip.read_bytes())}, "shape": [1]},
        "OPTIONS": {"content": {"b64": _element(options.encode())}, "shape": [1]},
    }
    target = folder / "input.json"
    target.write_text(json.dumps({"data": [tensors]}), encoding="utf-8")
    return target


def _element(content: bytes) -> str:
    return base64.b64encode(struct.pack("<I", len(content)) + content).decode()


def _sweep(args: argparse.Namespace, protocol: str, url: str, data: Path) -> list[dict[str, Any]]:
    return [_level(args, protocol, url, data, concurrency) for concurrency in args.concurrency]


def _level(args: argparse.Namespace, protocol: str, url: str, data: Path, concurrency: int) -> dict[str, Any]:
    report = data.with_name(f"{protocol}-{concurrency}.csv")
    command = [
        args.perf_analyzer, "-m", "deepfake_detector", "-i", protocol, "-u", url, "--input-data", str(data),
        "--concurrency-range", str(concurrency), "--warmup-request-count", str(concurrency),
        "--request-count", str(args.requests), "--percentile", "50", "-f", str(report), "--verbose-csv",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not report.is_file():
        raise VeracityError(f"perf_analyzer failed over {protocol}: {(done.stderr or done.stdout).strip()[-500:]}")
    with report.open(newline="", encoding="utf-8") as file:
        return _row(next(csv.DictReader(file)))


def _row(row: dict[str, str]) -> dict[str, Any]:
    figures: dict[str, Any] = {"concurrency": int(row["Concurrency"])}
    for column, name in COLUMNS.items():
        if column in row:
            value = float(row[column])
            figures[name] = round(value / 1000, 1) if name.endswith("_ms") else round(value, 3)
    return figures


def _print(sweeps: dict[str, list[dict[str, Any]]]) -> None:
    table = Table("protocol", "concurrency", "videos/s", "p50 ms", "p90 ms", title="throughput", title_justify="left")
    for protocol, rows in sweeps.items():
        for row in rows:
            names = ("videos_per_second", "p50_ms", "p90_ms")
            table.add_row(protocol, str(row["concurrency"]), *(str(row.get(n, "")) for n in names))
    Console().print(table)
