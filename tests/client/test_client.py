"""The client through a real tritonserver whose detectors are doubles (``double_model.py``), and in trouble."""

import asyncio
import dataclasses
import io
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import canned
import httpx
import pytest

from veracity.server import Server
from veracity_client import AsyncDetector, Detector, Options, StageEvent, Verdict, errors

triton = pytest.mark.triton
TRANSPORTS = ("grpc", "http")
MEGABYTES_100 = 100 * 10**6


@pytest.fixture
def url(doubles: Server, transport: str) -> str:
    return f"{transport}://{doubles.grpc_url if transport == 'grpc' else doubles.http_url}"


@pytest.fixture
def detector(url: str) -> Iterator[Detector]:
    with Detector(url, retries=0) as found:
        yield found


@pytest.fixture
def gate(tmp_path: Path, url: str) -> Iterator[Path]:
    """A file that lets waiting requests go; it is there at the end, and the queue empty, whatever happened."""
    gate = tmp_path / "gate"
    yield gate
    gate.touch()
    with Detector(url, retries=100) as found:
        found.analyze(b"real")  # answered after all that came before it


def asked(verdict: Verdict) -> dict[str, Any]:
    """What the double was asked: options and path."""
    said: dict[str, Any] = json.loads(verdict.reasoning)
    return said


async def ask(url: str, video: bytes, **options: Any) -> Verdict:
    async with AsyncDetector(url, **options) as found:
        return await found.analyze(video)


@triton
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_path_bytes_and_a_file_object_are_one(detector: Detector, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"real \x00\xff clip\n")
    options = Options("exhaustive", ("audio", "semantic"), 1, 20.0)
    verdicts = [
        detector.analyze(v, options) for v in (clip, str(clip), clip.read_bytes(), io.BytesIO(clip.read_bytes()))
    ]
    assert len(set(map(Verdict.to_json, verdicts))) == 1
    assert (verdicts[0].label, verdicts[0].input.bytes) == ("real", clip.stat().st_size)
    assert asked(verdicts[0]) == {"options": json.loads(options.to_json()), "path": None}
    assert dataclasses.replace(
        verdicts[0], reasoning="", label="fake", final_verdict=True, input=canned.VERDICT.input
    ) == (dataclasses.replace(canned.VERDICT, reasoning=""))


@triton
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_path_on_the_server(detector: Detector) -> None:
    assert asked(detector.analyze_path("häuser/clip.mp4"))["path"] == "häuser/clip.mp4"


@triton
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_async(url: str) -> None:
    async def both() -> list[Verdict]:
        async with AsyncDetector(url) as found:
            assert await found.ready()
            return [await found.analyze(io.BytesIO(b"real")), await found.analyze_path("inconclusive")]

    assert [verdict.label for verdict in asyncio.run(both())] == ["real", "inconclusive"]


@triton
@pytest.mark.parametrize("transport", ["grpc"])
def test_stages_come_in_order_and_the_verdict_last(detector: Detector, url: str) -> None:
    async def aio() -> list[StageEvent | Verdict]:
        async with AsyncDetector(url) as found:
            return [event async for event in found.stages(b"real")]

    for *events, last in (list(detector.stages(b"real")), asyncio.run(aio())):
        assert [isinstance(event, StageEvent) and event.status for event in events] == ["started", "done"]
        assert isinstance(last, Verdict)
        assert last.label == "real"


@triton
@pytest.mark.parametrize("transport", ["http"])
def test_no_stages_over_http(detector: Detector, url: str) -> None:
    with pytest.raises(errors.BadOption, match="gRPC"):
        list(detector.stages(b"real"))

    async def aio() -> None:
        async with AsyncDetector(url) as found:
            await anext(found.stages(b"real"))

    with pytest.raises(errors.BadOption, match="gRPC"):
        asyncio.run(aio())


@triton
@pytest.mark.parametrize("transport", ["grpc"])
def test_leaving_a_stream_early_ends_the_analysis(detector: Detector, url: str, tmp_path: Path) -> None:
    with_sync, with_async = tmp_path / "sync", tmp_path / "async"
    events = detector.stages(f"watch {with_sync}".encode())
    assert isinstance(next(events), StageEvent)
    events.close()
    _appears(with_sync)

    async def aio() -> None:
        async with AsyncDetector(url) as found:
            left = found.stages(f"watch {with_async}".encode())
            assert isinstance(await anext(left), StageEvent)
            await left.aclose()

    asyncio.run(aio())
    _appears(with_async)


def _appears(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, "the server was not told that the caller left"
        time.sleep(0.02)


@triton
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_error_keeps_its_class_and_is_asked_for_once(url: str, transport: str) -> None:
    line = f"error BadVideo: no moov atom in {transport}"
    with Detector(url, retries=5) as found, pytest.raises(errors.BadVideo) as caught:
        found.analyze(line.encode())
    assert caught.value.message == f"no moov atom in {transport} (asked 1)"
    assert caught.value.request_id
    with pytest.raises(errors.BadVideo, match=r"asked 2"):
        asyncio.run(ask(url, line.encode(), retries=5))


@triton
@pytest.mark.parametrize("transport", ["grpc"])
def test_an_error_in_the_stream_keeps_its_class(detector: Detector) -> None:
    with pytest.raises(errors.TooLong, match=r"^hours \(asked 1\)$"):
        list(detector.stages(b"error TooLong: hours"))


@triton
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_overloaded_server_is_asked_again(url: str, gate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue stays full until the client pauses, so that only a second attempt can have been answered."""
    with ThreadPoolExecutor(8) as pool, Detector(url, retries=0) as impatient, Detector(url, retries=30) as patient:
        _fill_the_queue(pool, impatient, gate)
        with pytest.raises(errors.Overloaded, match="ask again"):
            impatient.analyze(b"real")
        pauses: list[float] = []

        def sleep(seconds: float, wait: Callable[[float], None] = time.sleep) -> None:
            pauses.append(seconds)
            gate.touch()
            wait(seconds)

        monkeypatch.setattr("veracity_client.client.time.sleep", sleep)
        assert patient.analyze(b"real").label == "real"
    assert pauses
    assert 0.1 <= pauses[0] <= 0.2


@triton
@pytest.mark.parametrize("transport", ["http"])
def test_an_overloaded_server_says_when_to_ask_again(url: str, gate: Path) -> None:
    video = {"name": "VIDEO", "datatype": "BYTES", "shape": [1, 1], "data": ["real"]}
    with ThreadPoolExecutor(8) as pool, Detector(url, retries=0) as filler:
        _fill_the_queue(pool, filler, gate)
        refused = httpx.post(f"{url}/v2/models/deepfake_detector/infer", json={"inputs": [video]})
        gate.touch()
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


def _fill_the_queue(pool: ThreadPoolExecutor, detector: Detector, gate: Path) -> None:
    """Ask until two are waiting, one in the model and one in its queue, and a third was refused."""
    waiting: list[Future[Verdict]] = []
    refused = False
    while not (refused and len(waiting) == 2):
        waiting.append(pool.submit(detector.analyze, f"wait {gate}".encode()))
        time.sleep(0.05)
        finished = [w for w in waiting if w.done()]
        refused = any(isinstance(w.exception(), errors.Overloaded) for w in finished)
        waiting = [w for w in waiting if w not in finished]


@triton
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_retries_end_with_the_deadline(url: str, gate: Path) -> None:
    with ThreadPoolExecutor(8) as pool, Detector(url, retries=0) as filler:
        _fill_the_queue(pool, filler, gate)
        with pytest.raises((errors.Overloaded, errors.AnalysisTimeout)):
            asyncio.run(ask(url, b"real", retries=10**6, timeout=1.0))
        gate.touch()


@triton
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_deadline_ends_the_wait_and_the_server_knows_it(detector: Detector, url: str, gate: Path) -> None:
    with pytest.raises(errors.AnalysisTimeout):
        detector.analyze(f"wait {gate}".encode(), timeout=0.5)
    gate.touch()
    with pytest.raises(errors.AnalysisTimeout):
        asyncio.run(ask(url, f"wait {gate}2".encode(), timeout=0.5))
    Path(f"{gate}2").touch()
    with Detector(url, timeout=40.0) as found:
        assert 0 < asked(found.analyze(b"real"))["options"]["deadline_seconds"] <= 40
        assert asked(found.analyze(b"real", Options(deadline_seconds=7.0)))["options"]["deadline_seconds"] == 7


@triton
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_hundred_megabytes(detector: Detector) -> None:
    assert detector.analyze(bytes(MEGABYTES_100)).input.bytes == MEGABYTES_100


@triton
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_many_threads_share_a_client(doubles: Server, url: str) -> None:
    with Detector(url, retries=100) as found, ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda n: found.analyze(bytes(n)).input.bytes, range(1, 25)))
    assert sizes == list(range(1, 25))
