"""What docs/reliability.md promises, in short runs of the benchmarks' own functions on a server of their own."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks import concurrency, load, overload
from benchmarks.faults import Faults, Whole, decoders, processes_of
from veracity.catalog.serving import VIDEOS_AT_ONCE
from veracity.server import Server
from veracity.server.proxy.access import Access
from veracity.settings import Settings
from veracity_client import Detector, Options, Verdict, errors
from veracity_client._wire import ALIVE_SECONDS, STREAM

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def own_server(full_repository: Path) -> Iterator[Server]:
    with Server.from_settings(Settings(model_repository=full_repository), access=Access()) as running:
        yield running


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory, talking: Path) -> list[load.Case]:
    assert talking.is_file()  # what it is made of is here, then
    return load.cases(tmp_path_factory.mktemp("cases"))


def test_mixed_requests_while_processes_are_killed(
    own_server: Server, cases: list[load.Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concurrency, "MODEL_SECONDS", 15.0)  # time for an analysis on a slow machine
    found = asyncio.run(concurrency.measure(own_server, cases, requests=24, clients=8, seed=0))
    assert found["broken"] == []
    assert found["right_verdicts"] == found["due_verdicts"] > 10
    assert found["right_errors"] == found["due_errors"] > 2
    assert set(found["faults"]) == {"tritonserver", "model process", "decoder"}


@pytest.mark.parametrize("way", load.WAYS)
def test_more_requests_than_the_queues_hold(own_server: Server, cases: list[load.Case], way: load.Way) -> None:
    found = asyncio.run(overload.measure(own_server, way, load.named(cases, "voice"), overload.PLACES + 24, 6.0))
    assert found["broken"] == []
    assert found["refused"] > 0
    assert found["right_verdicts"] == found["taken"] >= overload.PLACES


@pytest.mark.parametrize("model", ["face_detector", "semantic_starter"])
def test_a_verdict_waits_for_a_model_whose_process_died(own_server: Server, talking: Path, model: str) -> None:
    """It would be another verdict without; the supervisor loads the model again within seconds."""
    exhaustive = Options(policy="exhaustive")
    with Detector(own_server.grpc_url, retries=10) as detector:
        before = detector.analyze(talking, exhaustive)
        events = detector.stages(talking, exhaustive)
        next(events)
        for process in processes_of(model)(own_server):
            os.kill(process, signal.SIGKILL)
        *_, after = events
    assert isinstance(after, Verdict)
    assert load.difference(before, after) <= load.TOLERANCE


def test_a_stream_whose_process_died_is_server_unavailable(
    own_server: Server, cases: list[load.Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton itself ends it neither way."""
    monkeypatch.setattr("veracity_client._grpc.SILENCE_SECONDS", 2 * ALIVE_SECONDS)
    case, whole = load.named(cases, "long film, all layers"), Whole(own_server)
    with Detector(own_server.grpc_url) as detector:
        events = detector.stages(case.video, case.options)
        next(events)
        for process in processes_of(STREAM)(own_server):
            os.kill(process, signal.SIGKILL)
        with pytest.raises(errors.ServerUnavailable, match="silent"):
            list(events)
    asyncio.run(whole.again())


def test_a_detector_process_that_dies_over_a_request_costs_no_other(own_server: Server, cases: list[load.Case]) -> None:
    """Triton never lets go of a process that died while another model worked for it."""
    case, whole = load.named(cases, "long film, all layers"), Whole(own_server)
    with Detector(own_server.grpc_url, retries=10) as detector, ThreadPoolExecutor(VIDEOS_AT_ONCE) as pool:
        asked = [pool.submit(detector.analyze, case.video, case.options) for _ in range(VIDEOS_AT_ONCE)]
        while len(decoders(own_server)) < VIDEOS_AT_ONCE:
            time.sleep(0.05)
        assert Faults(own_server, seed=0).inject("detector process")
        assert all(isinstance(one.result(), Verdict) for one in asked)
    asyncio.run(whole.again())
