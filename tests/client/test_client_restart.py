"""What a client does while the server it asked goes away and comes back."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import canned
import pytest
from server_models import eventually

from veracity.server import Server, reaper
from veracity.server.instances import processes
from veracity_client import AsyncDetector, Detector, errors
from veracity_client._wire import STREAM
from veracity_client.verdict import Label, StageEvent, Verdict

CLIENTS, REQUESTS = 8, 5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("double")
    canned.install(repository)
    with Server(repository) as running:
        yield running


@contextmanager
def hanging_up() -> Iterator[int]:
    """Yield the port of a server that reads some bytes of each caller and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):  # it was shut down
                while True:
                    caller, _ = listener.accept()
                    with caller:
                        caller.recv(1000)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.triton
@pytest.mark.parametrize("transport", ["grpc", "http"])
@pytest.mark.parametrize("victim", ["tritonserver", "model process"])
def test_no_request_is_lost_with_what_is_killed(server: Server, transport: str, victim: str) -> None:
    url = f"{transport}://{server.grpc_url if transport == 'grpc' else server.http_url}"
    before = server.pid

    def ask(client: int) -> list[Label]:
        with Detector(url, retries=30) as detector:
            labels = [detector.analyze(b"real").label]
            started.append(client)
            return labels + [detector.analyze(b"real").label for _ in range(REQUESTS)]

    started: list[int] = []
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(ask, client) for client in range(CLIENTS)]
        eventually(lambda: bool(started))
        for pid in {before} if victim == "tritonserver" else reaper.child_processes(before):
            os.kill(pid, signal.SIGKILL)
        assert [client.result() for client in clients] == [["real"] * (1 + REQUESTS)] * CLIENTS
    assert (server.pid != before) == (victim == "tritonserver")


@pytest.mark.triton
def test_without_retries_a_request_in_flight_is_server_unavailable(server: Server, tmp_path: Path) -> None:
    with Detector(server.grpc_url, retries=0) as detector, ThreadPoolExecutor(1) as pool:
        eventually(detector.ready)
        waiting = pool.submit(detector.analyze, f"wait {tmp_path / 'never'}".encode())
        time.sleep(1.0)
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(errors.ServerUnavailable):
            waiting.result()


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_an_address_where_nobody_ever_answered_is_asked_once(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("veracity_client.client.time.sleep", pauses.append)
    with socket.socket() as bound:  # bound, not listening
        bound.bind(("127.0.0.1", 0))
        url = f"{transport}://127.0.0.1:{bound.getsockname()[1]}"
        with Detector(url) as detector, pytest.raises(errors.ServerUnavailable):
            detector.analyze(b"real")
    assert pauses == []


def test_a_server_that_hangs_up_is_asked_as_often_as_told_and_within_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("veracity_client.client.time.sleep", pauses.append)
    with hanging_up() as port, Detector(f"http://127.0.0.1:{port}", retries=3) as detector:
        with pytest.raises(errors.ServerUnavailable):
            detector.analyze(b"real")
        assert len(pauses) == 3
        pauses.clear()
        with pytest.raises((errors.ServerUnavailable, errors.AnalysisTimeout)):
            detector.analyze(b"real", timeout=0.7)
        assert sum(pauses) < 0.7


@pytest.mark.triton
def test_a_stream_whose_server_dies_after_its_first_event_is_server_unavailable(server: Server, tmp_path: Path) -> None:
    """The proxy goes on and resets the stream, which gRPC calls UNKNOWN."""
    with Detector(server.grpc_url) as detector:
        eventually(detector.ready)
        events = detector.stages(f"watch {tmp_path / 'never'}".encode())
        next(events)
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(errors.ServerUnavailable):
            next(events)


def healed(server: Server) -> None:
    """Wait until the server answers again: a test before may have killed it, whose next start waits for longer."""
    with Detector(server.grpc_url, retries=30) as detector:
        assert list(detector.stages(b"real"))


def read_sync(url: str, video: bytes, when_ready: Callable[[], object]) -> list[StageEvent | Verdict]:
    with Detector(url, retries=0) as detector:
        eventually(detector.ready)
        when_ready()
        return list(detector.stages(video))


def read_async(url: str, video: bytes, when_ready: Callable[[], object]) -> list[StageEvent | Verdict]:
    async def read() -> list[StageEvent | Verdict]:
        async with AsyncDetector(url, retries=0) as detector:
            assert await detector.ready()
            when_ready()
            return [event async for event in detector.stages(video)]

    return asyncio.run(read())


@pytest.mark.triton
@pytest.mark.parametrize("read", [read_sync, read_async])
def test_a_stream_whose_process_hangs_ends_with_an_error(
    server: Server, read: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton ends it neither way, unless it noticed before it handed the request on: then it says so itself."""
    healed(server)
    monkeypatch.setattr("veracity_client._grpc.SILENCE_SECONDS", 1.0)
    repository = server._launch.repository
    eventually(
        lambda: bool(processes(server.pid, repository / STREAM))
    )  # its number is known a moment after it answers
    stopped = processes(server.pid, repository / STREAM)

    def tell(number: signal.Signals) -> None:
        for pid in stopped:
            os.kill(pid, number)

    try:
        with pytest.raises((errors.ServerUnavailable, errors.ModelUnavailable), match=r"silent|not healthy"):
            read(server.grpc_url, b"real", partial(tell, signal.SIGSTOP))
    finally:
        tell(signal.SIGCONT)


@pytest.mark.triton
@pytest.mark.parametrize("read", [read_sync, read_async])
def test_a_slow_upload_is_no_silent_stream(
    server: Server, read: Callable[..., list[StageEvent | Verdict]], monkeypatch: pytest.MonkeyPatch
) -> None:
    healed(server)
    monkeypatch.setattr("veracity_client._grpc.SILENCE_SECONDS", 2.5)
    again = threading.Timer(6.0, os.kill, (server.proxy_pid, signal.SIGCONT))

    def hold() -> None:
        os.kill(server.proxy_pid, signal.SIGSTOP)
        again.start()

    *_, verdict = read(server.grpc_url, b"real".ljust(30_000_000), hold)
    assert isinstance(verdict, Verdict)
