"""The way to a server: proxies, one deadline over everything, and event loops that come and go."""

import asyncio
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Thread
from threading import enumerate as enumerate_threads
from typing import Any

import pytest
from refusing_servers import refusing_grpc, refusing_http

from veracity_client import AsyncDetector, Detector, Verdict, errors
from veracity_client._address import Address, is_local

TRANSPORTS = ("grpc", "http")
PROXIES = ("grpc_proxy", "http_proxy", "https_proxy", "all_proxy", "no_grpc_proxy", "no_proxy")


async def analyze(url: str, **options: Any) -> Verdict:
    async with AsyncDetector(url, **options) as detector:
        return await detector.analyze(b"real")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A proxy that nobody reaches, as every variable names it."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with socket.socket() as bound:  # bound, not listening
        bound.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{bound.getsockname()[1]}"
        for name in ("grpc_proxy", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://user:s3cret@{place}")
        yield place


@contextmanager
def refusing(transport: str) -> Iterator[str]:
    if transport == "grpc":
        with refusing_grpc() as (port, _):
            yield f"grpc://localhost:{port}"
    else:
        with refusing_http() as server:
            yield f"http://127.0.0.1:{server.server_port}"


@pytest.mark.usefixtures("proxy")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_server_on_this_machine_is_reached_without_the_proxy(transport: str) -> None:
    with refusing(transport) as url:
        with Detector(url) as detector, pytest.raises(errors.Unauthorized):
            detector.analyze(b"real")
        with pytest.raises(errors.Unauthorized):
            asyncio.run(analyze(url))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_error_on_the_way_names_the_proxy(proxy: str, transport: str) -> None:
    url = f"{transport}://veracity.example:8001"
    with Detector(url, timeout=20) as detector, pytest.raises(errors.VeracityError) as caught:
        detector.analyze(b"real")
    with pytest.raises(errors.VeracityError) as caught_async:
        asyncio.run(analyze(url, timeout=20))
    for error in (caught.value, caught_async.value):
        assert isinstance(error, (errors.ServerUnavailable, errors.AnalysisTimeout))
        assert f"through the proxy {proxy} (from " in error.message
        assert "s3cret" not in error.message


def test_a_proxy_that_cannot_be_used_is_an_error_of_ours(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"gopher://{proxy}")
    with Detector("http://veracity.example:8000") as detector, pytest.raises(errors.ServerUnavailable, match=proxy):
        detector.analyze(b"real")


def test_a_way_without_proxy_names_none(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "veracity.example")
    assert Address.parse("http://veracity.example:8000", None, False, None).through == ""
    assert proxy in Address.parse("http://other.example:8000", None, False, None).through


@pytest.mark.parametrize(
    ("target", "local"),
    [
        ("localhost:8001", True),
        ("LOCALHOST", True),
        ("a.localhost:1", True),
        ("127.8.9.1:8001", True),
        ("[::1]:8001", True),
        ("localhost/base", True),
        ("unix:/run/veracity.sock", True),
        ("10.0.0.1:8001", False),
        ("localhost.example.com:1", False),
        ("veracity", False),
        ("[2001:db8::1]:8001", False),
    ],
)
def test_what_is_on_this_machine(target: str, local: bool) -> None:
    assert is_local(target) is local


@contextmanager
def endless_answer() -> Iterator[str]:
    """A server that sends the head of its answer for ever, a byte at a time."""
    over = Event()

    def serve(listening: socket.socket) -> None:
        while not over.is_set():
            try:
                Thread(target=drip, args=(listening.accept()[0],), daemon=True).start()
            except OSError:
                return

    def drip(connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Padding: ")
                while not over.wait(0.05):
                    connection.sendall(b"x")
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        Thread(target=serve, args=(listening,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        listening.shutdown(socket.SHUT_RDWR)


def test_a_timeout_bounds_an_answer_that_never_ends() -> None:
    with endless_answer() as url:
        with Detector(url) as detector, pytest.raises(errors.AnalysisTimeout):
            detector.analyze(b"real", timeout=0.5)
        with pytest.raises(errors.AnalysisTimeout):
            asyncio.run(analyze(url, timeout=0.5))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_detector_works_in_one_event_loop_after_another(transport: str) -> None:
    with refusing(transport) as url:
        detector = AsyncDetector(url)

        async def once() -> None:
            with pytest.raises(errors.Unauthorized):
                await detector.analyze(b"real")
            await detector.close()

        for _ in range(3):
            asyncio.run(once())


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # connections of a loop that ended before they were closed
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_detector_outlives_a_loop_in_which_it_was_not_closed(transport: str) -> None:
    with refusing(transport) as url:
        detector = AsyncDetector(url)
        for _ in range(3):
            with pytest.raises(errors.Unauthorized):
                asyncio.run(detector.analyze(b"real"))
        asyncio.run(detector.close())


def test_a_closed_detector_can_be_used_again_and_closed_again() -> None:
    with refusing("http") as url:
        detector = Detector(url)
        for _ in range(2):
            with pytest.raises(errors.Unauthorized):
                detector.analyze(b"real")
            detector.close()
        detector.close()


def test_closing_a_detector_ends_the_requests_of_other_threads() -> None:
    with endless_answer() as url, ThreadPoolExecutor(1) as pool:
        detector = Detector(url)
        waiting = pool.submit(detector.analyze, b"real")
        while not any(thread.name == "veracity-http" for thread in enumerate_threads()):
            time.sleep(0.01)
        detector.close()
        with pytest.raises(errors.ServerUnavailable, match="closed"):
            waiting.result()
