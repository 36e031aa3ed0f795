"""Files a second: NVIDIA's perf_analyzer over gRPC and HTTP at rising concurrency, and at Poisson rates over gRPC.

The input is a mix of real files, most of them small. Its --collect-metrics reads a GPU's metrics alone, of which the
embedded server has none: what the models waited and computed comes from --bls-composing-models.
"""

from __future__ import annotations

import argparse
import base64
import csv
import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.printing import show
from benchmarks.target import clip_of, installed, messenger_clip, picture_of, sound_of
from evaluation import record
from evaluation.speed_tables import load_of
from veracity.server import Server
from veracity.server.proxy.access import ALL, Access
from veracity.settings import Settings
from veracity_client import Options
from veracity_client.errors import VeracityError

# tritonclient's wheel brings an old one, which wants libb64 and libcudart; on an older glibc pip finds a placeholder
_ELSEWHERE = "pip install 'perf-analyzer>=2' (glibc 2.38 or newer), or name NVIDIA's program by --perf-analyzer"
_NO_LIBRARY = 127  # the loader's exit code
COLUMNS = {
    "Concurrency": "concurrency",
    "Request Rate": "request_rate",
    "Inferences/Second": "videos_per_second",
    "p50 latency": "p50_ms",
    "p90 latency": "p90_ms",
    "p95 latency": "p95_ms",
    "p99 latency": "p99_ms",
    "Server Queue": "queue_ms",
}
# 20 files: 10 sounds, 6 pictures, 3 clips of 720p, one of 1080p
MIX = ("sound", "picture", "720p", "sound", "sound", "picture", "sound") * 2 + (
    "720p", "sound", "picture", "1080p", "sound", "picture",
)  # fmt: skip
POISSON = "grpc, Poisson"
_SENT = re.compile(rb'"timestamp":(\d+),"request_inputs"')  # nanoseconds
# Where a model was asked nothing, its counts are missing.
_ASKED = re.compile(
    r"^  (?P<model>\w+), version: \d+\n +Inference count: (?P<items>\d+)\n +Execution count: (?P<runs>\d+)\n"
    r" +Successful request count: (?P<requests>\d+)\n"
    r".*\+ queue (?P<queue>\d+) usec \+ compute input \d+ usec \+ compute infer (?P<compute>\d+) usec",
    re.MULTILINE,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--clip", type=Path, help="the largest file; without it a 10 s 1080p clip with speech and a face is made"
    )
    parser.add_argument("--perf-analyzer", default="perf_analyzer", help="the program, by name or path")
    parser.add_argument(
        "--concurrency", type=int, nargs="+", default=[1, 4], help="files under way at one time, a level each"
    )
    parser.add_argument(
        "--load", type=float, nargs="*", default=[0.7, 1.1],
        help="Poisson rates over gRPC, as shares of the highest throughput; the first 40 times come at 0.73 of a rate",
    )  # fmt: skip
    parser.add_argument("--policy", default="exhaustive", choices=("fail_fast", "decided", "exhaustive"))
    parser.add_argument("--requests", type=int, default=40, help="files a level, after one a stream to warm up")


def run(args: argparse.Namespace) -> int:
    """Measure both protocols against one server, print tables, write ``results/throughput.json``."""
    args.perf_analyzer = _program(args.perf_analyzer)
    clip, models = clip_of(args.clip), installed()
    # perf_analyzer reads the statistics of the models behind the detector, which callers cannot name otherwise
    access = Access(open_models=(ALL,))
    with tempfile.TemporaryDirectory() as made, Server.from_settings(Settings.from_env(), access=access) as server:
        folder = Path(made)
        files = {"sound": sound_of(clip, folder), "picture": picture_of(clip, folder),
                 "720p": messenger_clip(), "1080p": clip}  # fmt: skip
        data = input_file(folder, [files[kind] for kind in MIX], args.policy)
        sweeps = _sweeps(args, server, data, models["models"])
    figures = {"clip_bytes": clip.stat().st_size, "mix": {kind: MIX.count(kind) for kind in files},
               "policy": args.policy, "requests": args.requests, **models, "sweeps": sweeps}  # fmt: skip
    for name, rows in sweeps.items():
        show(f"throughput, {name}", rows)
        for row in rows:
            if "models" in row:
                show(f"{load_of(row)}: means of a model's request", row["models"])
    sys.stderr.write(f"written to {record.write('throughput', figures)}\n")
    return 0


def _sweeps(
    args: argparse.Namespace, server: Server, data: Path, models: Iterable[str]
) -> dict[str, list[dict[str, Any]]]:
    closed = [level_at(concurrency) for concurrency in args.concurrency]
    behind = ["--bls-composing-models", ",".join(f"{name}:1" for name in models)]
    grpc = [level(args, "grpc", server.grpc_url, data, [*one, *behind]) for one in closed]
    # Over HTTP it asks for the statistics of all models at once, an address that the proxy does not have.
    http = [level(args, "http", server.http_url, data, one) for one in closed]
    highest = max(row["videos_per_second"] for row in grpc)
    rates = [rate_of(share * highest) for share in args.load]
    poisson = [level(args, "grpc", server.grpc_url, data, [*one, *behind]) for one in rates]
    return {"grpc": grpc, "http": http, **({POISSON: poisson} if poisson else {})}


def level_at(concurrency: int) -> list[str]:
    """Return perf_analyzer's options for so many requests at one time."""
    return ["--concurrency-range", str(concurrency), "--warmup-request-count", str(concurrency)]


def rate_of(rate: float) -> list[str]:
    """Return perf_analyzer's options for so many requests a second, whether or not the last were answered.

    One thread that does not wait for answers: a thread with no request of the count, or of a warm-up's, never ends.
    """
    return [
        "--request-rate-range", f"{rate:.3f}:{rate:.3f}", "--request-distribution", "poisson",
        "--async", "--max-threads", "1",
    ]  # fmt: skip


def _program(name: str) -> str:
    """The program's path: on PATH, or beside this Python; raises VeracityError where there is none that runs."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise VeracityError(f"{name} was not found: {_ELSEWHERE}")
    attempt = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    if attempt.returncode == _NO_LIBRARY:
        raise VeracityError(f"{attempt.stderr.strip()}: install that library, or {_ELSEWHERE}")
    return found


def input_file(folder: Path, files: Sequence[Path], policy: str) -> Path:
    """Write perf_analyzer's input: the tensors of each request, each a length and its bytes, as base64."""
    options = _tensor(Options(policy=policy).to_json().encode())  # type: ignore[arg-type]
    requests = [{"VIDEO": _tensor(file.read_bytes()), "OPTIONS": options} for file in files]
    target = folder / "input.json"
    target.write_text(json.dumps({"data": requests}), encoding="utf-8")
    return target


def _tensor(content: bytes) -> dict[str, Any]:
    return {"content": {"b64": base64.b64encode(struct.pack("<I", len(content)) + content).decode()}, "shape": [1]}


def level(args: argparse.Namespace, protocol: str, url: str, data: Path, options: Sequence[str]) -> dict[str, Any]:
    """Run perf_analyzer once and return its figures; raises VeracityError where it has none."""
    report, profile = data.with_name("level.csv"), data.with_name("level.json")
    for file in (report, profile):
        file.unlink(missing_ok=True)
    at_a_rate = "--request-rate-range" in options
    command = [
        args.perf_analyzer, "-m", "deepfake_detector", "-i", protocol, "-u", url, "--input-data", str(data), *options,
        "--request-count", str(args.requests), "--percentile", "95", "-f", str(report), "--verbose-csv",
        *(["--profile-export-file", str(profile)] if at_a_rate else []),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not report.is_file():
        raise VeracityError(f"perf_analyzer failed over {protocol}: {(done.stderr or done.stdout).strip()[-500:]}")
    with report.open(newline="", encoding="utf-8") as lines:
        found = row_of(next(csv.DictReader(lines)))
    if at_a_rate:
        found["sent_per_second"] = sent_per_second(profile.read_bytes())
    return found | ({"models": behind(done.stdout)} if "--bls-composing-models" in options else {})


def sent_per_second(profile: bytes) -> float:
    """Return the rate at which requests were sent: the times come from a fixed seed, and few miss the rate asked for.

    ``profile`` is no JSON to a strict reader: it has the bytes of the files as text.
    """
    times = sorted(map(int, _SENT.findall(profile)))
    return round((len(times) - 1) / (times[-1] - times[0]) * 1e9, 3)


def row_of(row: Mapping[str, str]) -> dict[str, Any]:
    """Return the figures of a line of its report."""
    figures: dict[str, Any] = {}
    for column, name in COLUMNS.items():
        if column in row:
            value = float(row[column])
            figures[name] = round(value / 1000, 1) if name.endswith("_ms") else round(value, 3)
    return figures | ({"concurrency": int(figures["concurrency"])} if "concurrency" in figures else {})


def behind(output: str) -> list[dict[str, Any]]:
    """Return what the models behind the detector were asked, waited and computed; raises VeracityError."""
    found = [
        {
            "model": one["model"],
            "requests": int(one["requests"]),
            "items_a_run": round(int(one["items"]) / int(one["runs"]), 2),
            "queue_ms": round(int(one["queue"]) / 1000, 1),
            "compute_ms": round(int(one["compute"]) / 1000, 1),
        }
        for one in _ASKED.finditer(output.partition("Composing models:")[2])
    ]
    if not found:
        raise VeracityError(f"perf_analyzer tells nothing of the models behind the detector: {output.strip()[-500:]}")
    return found
