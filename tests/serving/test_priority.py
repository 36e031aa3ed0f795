"""Bulk waits while somebody waits whose request is interactive: real queues, in which bulk came first."""

import asyncio
import dataclasses
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.request import urlopen

import canned
import media_samples
import pytest
from conftest import REPOSITORY
from server_models import eventually

from veracity.catalog.serving import BULK_WAITING, VIDEOS_AT_ONCE
from veracity.server import Server
from veracity.turns import Turns
from veracity_client import Detector, Options, Verdict
from veracity_client.batch import asked_in
from veracity_client.errors import Overloaded
from veracity_gateway.jobs.servers import content_of

BULK = Options(priority="bulk", policy="exhaustive")
LONG = media_samples.gif(8192, 4320, 4000)  # more processor time than a test may take
BULK_REQUESTS = 3


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The detectors' double, one instance of it, in the queue that the real ones have."""
    repository = tmp_path_factory.mktemp("double") / "models"
    canned.install(repository)
    for name in ("deepfake_detector", "deepfake_detector_stream"):
        text = (REPOSITORY / name / "config.pbtxt").read_text()
        (repository / name / "config.pbtxt").write_text(re.sub(r"count: \d+", "count: 1", text))
    with Server(repository, canary_seconds=1000) as running:  # canaries would wait in the queue too
        yield running


def waiting(server: Server) -> int:
    """Return how many requests wait in Triton's queue of the detector."""
    with urlopen(server.metrics_url) as answer:
        found = re.search(r'pending_request_count\{model="deepfake_detector",\S+ (\d+)', answer.read().decode())
    return int(found[1]) if found else 0


@pytest.mark.triton
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_interactive_is_answered_before_bulk_that_came_first(double: Server, protocol: str, tmp_path: Path) -> None:
    go, go_bulk = tmp_path / "go", tmp_path / "bulk"
    url = double.grpc_url if protocol == "grpc" else f"http://{double.http_url}"
    with Detector(url, retries=0) as detector, ThreadPoolExecutor(8) as pool:
        under_way = pool.submit(detector.analyze, f"wait {go}".encode())
        eventually(go.with_name("go.begun").exists)
        bulk = []
        for count in range(1, BULK_REQUESTS + 1):
            bulk.append(pool.submit(detector.analyze, f"wait {go_bulk}".encode(), BULK))
            eventually(lambda: waiting(double) == count)  # noqa: B023  called at once
        interactive = pool.submit(detector.analyze, b"real")
        eventually(lambda: waiting(double) == BULK_REQUESTS + 1)
        go.touch()
        assert interactive.result(timeout=30).label == "real"
        assert not any(request.done() for request in bulk)
        go_bulk.touch()
        assert [request.result(timeout=30).label for request in (under_way, *bulk)] == ["fake"] * (1 + BULK_REQUESTS)


@pytest.mark.triton
def test_bulk_takes_no_place_of_the_others(double: Server, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with Detector(double.grpc_url, retries=0) as detector, ThreadPoolExecutor(BULK_WAITING + 3) as pool:
        taken = [pool.submit(detector.analyze, f"wait {go}".encode(), BULK)]
        eventually(go.with_name("go.begun").exists)
        taken += [pool.submit(detector.analyze, f"wait {go}".encode(), BULK) for _ in range(BULK_WAITING)]
        eventually(lambda: waiting(double) == BULK_WAITING)
        with pytest.raises(Overloaded):
            detector.analyze(b"real", BULK)
        interactive = pool.submit(detector.analyze, b"real")
        eventually(lambda: waiting(double) == BULK_WAITING + 1)
        go.touch()
        assert interactive.result(timeout=30).label == "real"
        assert all(request.result(timeout=30) for request in taken)


@pytest.mark.triton
def test_a_stream_that_is_interactive_has_the_next_turn(server: Server, talking: Path) -> None:
    with Detector(server.grpc_url) as detector, ExitStack() as stack, ThreadPoolExecutor(8) as pool:

        def begun(options: Options) -> None:
            events = stack.enter_context(closing(detector.stages(LONG, options)))
            pool.submit(next, events)

        for _ in range(VIDEOS_AT_ONCE - 1):
            begun(Options())
        first = detector.stages(LONG)
        next(first)
        eventually(lambda: server.status().requests_in_flight == VIDEOS_AT_ONCE)
        begun(BULK)
        eventually(lambda: server.status().requests_in_flight == VIDEOS_AT_ONCE + 1)
        interactive = pool.submit(lambda: list(detector.stages(talking, Options(layers=("audio",)))))
        eventually(lambda: server.status().requests_in_flight == VIDEOS_AT_ONCE + 2)
        first.close()
        assert isinstance(interactive.result(timeout=60)[-1], Verdict)  # a turn of bulk would last longer than the test


def test_priority_changes_no_answer() -> None:
    """What is kept as answered with one priority is not asked again with the other."""
    assert asked_in(BULK, []) == asked_in(dataclasses.replace(BULK, priority="interactive"), [])
    usual = Options()
    assert content_of("a", usual, "1-b") == content_of("a", dataclasses.replace(usual, priority="bulk"), "1-b")


def test_turns_go_by_priority_then_arrival_and_none_is_lost() -> None:
    async def work() -> list[str]:
        turns, order = Turns(1), []

        async def take(name: str, priority: int) -> None:
            async with turns.turn(priority):
                order.append(name)
                await asyncio.sleep(0)

        async with turns.turn(1):
            named = [("bulk 1", 2), ("gone", 1), ("one", 1), ("bulk 2", 2), ("two", 1)]
            tasks = [asyncio.create_task(take(*one)) for one in named]
            await asyncio.sleep(0)
            tasks[1].cancel()
        await asyncio.wait(tasks)
        await asyncio.wait_for(take("last", 2), 5)
        return order

    assert asyncio.run(work()) == ["one", "two", "bulk 1", "bulk 2", "last"]


def test_a_turn_that_comes_to_one_who_leaves_goes_on_to_the_next() -> None:
    async def work() -> None:
        turns = Turns(1)

        async def take() -> None:
            async with turns.turn(1):
                pass

        async with turns.turn(1):
            leaving = asyncio.create_task(take())
            await asyncio.sleep(0)
        leaving.cancel()  # its turn came, and it has not run since
        await asyncio.wait([leaving])
        assert leaving.cancelled()
        await asyncio.wait_for(take(), 5)

    asyncio.run(work())
