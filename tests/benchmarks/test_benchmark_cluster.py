"""``python -m benchmarks cluster`` on small servers: it counts what it says, and nothing is lost."""

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from restartable import install

from benchmarks import cluster
from benchmarks.cluster import KEY, Load, Replica, Sent
from veracity_client import AsyncDetector, Options, VeracityError

# `veracity serve` would want the models that the detectors call: to its health port it would not be ready
SERVE = """
import argparse, os, signal, sys, threading
from pathlib import Path
from veracity.server import Server
from veracity.server.proxy.access import Access
from veracity.server.proxy.keys import KeyRing
parser = argparse.ArgumentParser()
parser.add_argument("--host")
for name in ("http", "grpc", "metrics", "health"):
    parser.add_argument(f"--{name}-port", type=int)
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
access = Access(KeyRing(os.environ["VERACITY_API_KEYS"]))
given = vars(parser.parse_args())
models = ("deepfake_detector", "deepfake_detector_stream")
with Server(Path(os.environ["REPOSITORY"]), models=models, access=access, drain_seconds=10, **given):
    ended.wait()
"""
SERVERS, CLIENTS = 2, 3


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[list[Replica]]:
    install(tmp_path / "models", "small")
    environment = {"VERACITY_API_KEYS": f"cluster:{KEY}", "REPOSITORY": str(tmp_path / "models")}
    with cluster.replicas_of(SERVERS, (sys.executable, "-c", SERVE), environment, tmp_path) as found:
        yield found


async def measured(url: "str | list[str]", replicas: list[Replica]) -> tuple[list[Sent], "list[dict[str, object]]"]:
    detector = AsyncDetector(url, retries=None, timeout=120.0, api_key=KEY)
    load = Load(detector, b"real ", Options())
    try:
        return load.sent, await cluster.measure(replicas[-1], load, CLIENTS, 2.0)
    finally:
        await detector.close()


@pytest.mark.triton
@pytest.mark.slow
@pytest.mark.parametrize("through", ["haproxy", "list"])
def test_nothing_is_lost(replicas: list[Replica], tmp_path: Path, through: str) -> None:
    if through == "list":
        sent, rows = asyncio.run(measured([replica.url for replica in replicas], replicas))
    else:
        if shutil.which("haproxy") is None:
            pytest.skip("haproxy is not installed")
        with cluster.haproxy(replicas, tmp_path) as url:
            sent, rows = asyncio.run(measured(url, replicas))
    assert [row["phase"] for row in rows] == ["quiet", "one killed, and started anew", "one drained", "one added"]
    assert [(row["lost"], row["doubled"], row["broken"]) for row in rows] == [(0, 0, [])] * 4
    assert sum(int(str(row["requests"])) for row in rows) == len(sent) > 40


def test_what_is_lost_and_doubled_is_counted() -> None:
    sent = [Sent("now", "a", "a", 1.0), Sent("now", "b", "ServerUnavailable: gone", 9.0), Sent("now", "c", "a", 1.0)]
    row = cluster._row(sent, "now")
    assert (row["requests"], row["answered"], row["lost"], row["doubled"]) == (3, 1, 2, 1)
    assert row["broken"] == ["ServerUnavailable: gone", "a"]
    assert row["p50_ms"] == 1000


def test_each_request_has_a_file_of_its_own() -> None:
    files = {hashlib.sha256(cluster.numbered(b"video", number)).digest() for number in range(300)}
    assert len(files) == 300


def test_a_replica_that_does_not_start_is_said(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "print('no room')")
    replicas = cluster.replicas_of(1, command, os.environ, tmp_path)
    with pytest.raises(VeracityError, match=r"127.0.0.2 is not ready: no room"), replicas:
        pass
