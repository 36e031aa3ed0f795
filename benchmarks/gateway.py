"""What the gateway costs beside the server itself, and what becomes of jobs when it or tritonserver is killed."""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from benchmarks.load import SHORT
from benchmarks.printing import show
from benchmarks.target import installed, own_server
from evaluation import record
from veracity.catalog.assets import PORTRAIT_FILE
from veracity.media import find_ffmpeg
from veracity.sample import make_sample
from veracity.server import Server
from veracity.settings import Settings
from veracity_client import Detector, Options
from veracity_client.errors import VeracityError

ENDED = {"COMPLETE", "ERROR", "CANCELLED"}
READY_SECONDS = 60.0
JOBS_SECONDS = 900.0
POLL_SECONDS = 0.5
LEASE_SECONDS = 5.0  # so that a dead gateway's jobs are taken over soon


class GatewayProcess:
    """A gateway of its own process, in front of one server; its data outlive it."""

    def __init__(self, url: str, data: Path, **settings: object) -> None:
        self._command = [sys.executable, "-m", "veracity.cli", "gateway", "--url", url, "--data", str(data)]
        self._environment = {f"VERACITY_GATEWAY_{name.upper()}": str(value) for name, value in settings.items()}
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        command, environment = [*self._command, "--port", "0"], os.environ | self._environment
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        if self._process.stdout is None or not (line := self._process.stdout.readline()):
            raise VeracityError(f"the gateway ended with status {self._process.wait()}")
        self.url = line.split()[-1].decode()
        _until(lambda: _answers(f"{self.url}/health/ready"), READY_SECONDS, "the gateway is not ready")

    def kill(self) -> None:
        """End it as a crash does."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.communicate()
            self._process = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--requests", type=int, default=40, help="requests of each way")
    parser.add_argument("--jobs", type=int, default=50, help="jobs under which gateway and tritonserver are killed")


def run(args: argparse.Namespace) -> int:
    """Measure, print tables, write ``results/gateway.json``; returns 1 where a job was lost or doubled."""
    with own_server() as (server, folder):
        clip = folder / "clip.mp4"
        ffmpeg = find_ffmpeg(Settings.from_env().ffmpeg)
        make_sample(clip, Settings.from_env().weights / PORTRAIT_FILE, ffmpeg, SHORT)
        overhead = _overhead(server, folder, clip.read_bytes(), args.requests)
        videos = [_tagged(clip, folder, ffmpeg, number) for number in range(args.jobs)]
        survival = _survival(server, folder, videos)
    show("the gateway beside the server itself", overhead)
    show("jobs under which gateway and tritonserver were killed", [survival])
    figures = {"requests": args.requests, "jobs": args.jobs, **installed(), "overhead": overhead, "survival": survival}
    sys.stderr.write(f"written to {record.write('gateway', figures)}\n")
    return int(bool(survival["lost"] or survival["doubled"]))


def _overhead(server: Server, folder: Path, video: bytes, requests: int) -> list[dict[str, Any]]:
    """Return the milliseconds of a refusal and of a verdict, each way in turn, so that a drift is the same for both."""
    gateway = GatewayProcess(server.grpc_url, folder / "overhead")
    gateway.start()
    try:
        with Detector(server.grpc_url) as detector, httpx.Client(base_url=gateway.url, timeout=JOBS_SECONDS) as client:
            ways: dict[str, Callable[[bytes], object]] = {
                "server": lambda content: _refused(lambda: detector.analyze(content, Options(layers=("audio",)))),
                "gateway": lambda content: client.post(
                    "/predict", files={"video": ("clip.mp4", content)}, data={"layers": "audio"}
                ),
            }
            rows = []
            for what, content in (("a file that is refused", b"no media"), ("a verdict of one layer", video)):
                rows += _turns(what, content, ways, requests)
        return rows
    finally:
        gateway.stop()


def _refused(call: Callable[[], object]) -> None:
    try:
        call()
    except VeracityError:  # the refusal is the answer
        return


def _turns(
    what: str, content: bytes, ways: dict[str, Callable[[bytes], object]], requests: int
) -> list[dict[str, Any]]:
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(requests + 5):
        for way, call in ways.items():
            began = time.perf_counter()
            call(content)
            if number >= 5:  # warm
                seconds[way].append(1e3 * (time.perf_counter() - began))
    more = [through - direct for through, direct in zip(seconds["gateway"], seconds["server"], strict=True)]
    rows = [{"request": what, "way": way, **_spread(found)} for way, found in seconds.items()]
    return [*rows, {"request": what, "way": "more through the gateway", **_spread(more)}]


def _spread(milliseconds: Sequence[float]) -> dict[str, float]:
    return {
        "p50_ms": round(statistics.median(milliseconds), 1),
        "p95_ms": round(statistics.quantiles(milliseconds, n=20)[18], 1),
    }


def _tagged(clip: Path, folder: Path, ffmpeg: Path, number: int) -> bytes:
    """Return the clip under another title: another file, whose answer is not in the store."""
    target = folder / f"{number}.mp4"
    command = [ffmpeg, "-nostdin", "-v", "error", "-i", clip, "-c", "copy", "-metadata", f"title={number}", target]
    subprocess.run([str(word) for word in command], check=True)
    return target.read_bytes()


def _survival(server: Server, folder: Path, videos: Sequence[bytes]) -> dict[str, Any]:
    """Send jobs while the gateway is killed, kill it again and tritonserver while they are worked on, and count."""
    gateway = GatewayProcess(server.grpc_url, folder / "survival", lease_seconds=LEASE_SECONDS)
    gateway.start()
    accepted: dict[int, str] = {}
    sender = threading.Thread(target=_send, args=(gateway, videos, accepted))
    sender.start()
    try:
        for part in (0.2, 0.6):  # first while they are still sent
            wanted = round(part * len(videos))
            _until(lambda: len(accepted) >= wanted, JOBS_SECONDS, "the jobs are not accepted")  # noqa: B023 - it is called at once
            gateway.kill()
            gateway.start()
        sender.join()
        _until(lambda: _ended(gateway.url) >= 0.3 * len(videos), JOBS_SECONDS, "the jobs do not end")
        os.kill(server.pid, signal.SIGKILL)
        _until(lambda: _ended(gateway.url) >= 0.6 * len(videos), JOBS_SECONDS, "the jobs do not end")
        gateway.kill()
        gateway.start()
        _until(lambda: _ended(gateway.url) >= len(videos), JOBS_SECONDS, "the jobs do not end")
        return _counted(gateway.url, accepted)
    finally:
        gateway.stop()


def _send(gateway: GatewayProcess, videos: Sequence[bytes], accepted: dict[int, str]) -> None:
    """Send each file until it is accepted, as a client does whose connection broke: under the same key."""
    for number, video in enumerate(videos):
        key = {"Idempotency-Key": uuid4().hex}
        while number not in accepted:
            try:
                found = httpx.post(
                    f"{gateway.url}/analyze-video", files={"video": (f"{number}.mp4", video)}, headers=key
                )
                accepted[number] = found.raise_for_status().json()["job_id"]
            except httpx.HTTPError:
                time.sleep(POLL_SECONDS)


def _counted(url: str, accepted: dict[int, str]) -> dict[str, Any]:
    jobs = httpx.get(f"{url}/jobs", params={"limit": 500}).raise_for_status().json()["jobs"]
    states = Counter(job["state"] for job in jobs)
    ends = Counter({job["job_id"]: _ends(url, job["job_id"]) for job in jobs})
    return {
        "accepted": len(accepted),
        "complete": states["COMPLETE"],
        "error": states["ERROR"],
        "lost": len(set(accepted.values()) - set(ends)) + sum(job["state"] not in ENDED for job in jobs),
        "doubled": len(jobs) - len(set(accepted.values())) + sum(count > 1 for count in ends.values()),
    }


def _ends(url: str, job: str) -> int:
    return httpx.get(f"{url}/jobs/{job}/events").text.count("event: end")


def _ended(url: str) -> int:
    jobs = httpx.get(f"{url}/jobs", params={"limit": 500}).raise_for_status().json()["jobs"]
    return sum(job["state"] in ENDED for job in jobs)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


def _until(done: Callable[[], bool], seconds: float, why: str) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise VeracityError(why)
        time.sleep(POLL_SECONDS)
