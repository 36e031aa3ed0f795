"""How often a client asks a server again that is there and refuses, how long it pauses, and when it gives up."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from switchable_servers import Switch, switchable

from veracity_client import AsyncDetector, Detector, Verdict, errors
from veracity_client._wire import Pauses

KINDS = ["sync", "async"]
RETRIED = [errors.Overloaded("full"), errors.ModelUnavailable("died"), errors.ServerUnavailable("starts")]


@pytest.fixture(params=["grpc", "http"])
def server(request: pytest.FixtureRequest) -> Iterator[Switch]:
    with switchable(request.param) as running:
        yield running


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WHEN_OVERLOADED", "WHEN_MODEL_DOWN", "WHEN_DOWN"):
        monkeypatch.setattr(f"veracity_client._wire.{name}", Pauses(0.01, 1, 0.01))


def ask(kind: str, url: str, **options: Any) -> Verdict:
    if kind == "sync":
        with Detector(url, **options) as detector:
            return detector.analyze(b"clip")

    async def analyze() -> Verdict:
        async with AsyncDetector(url, **options) as detector:
            return await detector.analyze(b"clip")

    return asyncio.run(analyze())


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("refusal", RETRIED, ids=lambda error: type(error).__name__)
def test_without_a_number_a_request_is_repeated_while_its_time_lasts(
    server: Switch, kind: str, refusal: errors.VeracityError
) -> None:
    server.refusal = refusal
    better = threading.Timer(1.0, setattr, (server, "refusal", None))
    better.start()
    assert ask(kind, server.url, retries=None, timeout=60.0).label == "fake"
    assert server.asked > 10


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("kind", KINDS)
def test_and_no_longer(server: Switch, kind: str) -> None:
    server.refusal = errors.ModelUnavailable("died")
    with pytest.raises((errors.ModelUnavailable, errors.AnalysisTimeout)):
        ask(kind, server.url, retries=None, timeout=0.5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("retries", [None, -1, 1.5, "3"])
def test_retries_are_a_number_or_bounded_by_a_timeout(kind: str, retries: Any) -> None:
    with pytest.raises(errors.BadOption, match="retries"):
        ask(kind, "localhost:1", retries=retries)


@pytest.mark.parametrize(
    ("refusal", "longest"),
    [(RETRIED[0], [0.2, 0.4, 0.8, 1.6, 3.2]), (RETRIED[1], [1, 2, 4, 8, 8]), (RETRIED[2], [2, 4, 8, 10, 10])],
    ids=[type(error).__name__ for error in RETRIED],
)
def test_a_model_comes_back_sooner_than_a_server(
    refusal: errors.VeracityError, longest: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    with switchable("http") as server:
        server.refusal = refusal
        monkeypatch.setattr("veracity_client.client.time.sleep", pauses.append)
        with Detector(server.url) as detector, pytest.raises(type(refusal)):
            detector.analyze(b"clip")
    assert [limit / 2 <= pause <= limit for pause, limit in zip(pauses, longest, strict=True)] == [True] * len(longest)
