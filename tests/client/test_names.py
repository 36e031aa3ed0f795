"""A name that stands for several servers, as that of a headless Service: all are asked, also one that comes later."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from name_server import Names, name_server
from restartable import free_ports, install
from server_models import SLEEPER, ask_slow, eventually, write_python

from veracity.server import Server
from veracity.server.proxy import limits
from veracity.server.proxy.access import Access
from veracity_client import Options
from veracity_client._address import Address
from veracity_client._grpc import GrpcTransport
from veracity_client._wire import build
from veracity_client.errors import ServerUnavailable

HOSTS = ["127.0.0.2", "127.0.0.3"]
NAME = "veracity.test"
TIMEOUT_SECONDS = 30.0
DRAIN_SECONDS = 5  # Envoy's, between saying that a connection ends and its end


def asked(transport: GrpcTransport) -> str:
    """Return which server answers."""
    answer = transport.infer(build(b"real", Options(), None), TIMEOUT_SECONDS)
    return str(json.loads(answer)["video_id"])


class Servers:
    """A server of each host, all at one port, to be started."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        (self.port,) = free_ports(HOSTS, 1)

    def start(self, host: str) -> None:
        install(self._folder / host, host)
        access = Access(hosts=(NAME,))
        self._stack.enter_context(Server(self._folder / host, host=host, grpc_port=self.port, access=access))

    def transport(self, names: Names) -> GrpcTransport:
        found = GrpcTransport(Address(f"dns://127.0.0.1:{names.port}/{NAME}:{self.port}", "grpc", None))
        self._stack.callback(found.close)
        return found


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack, tmp_path)


@pytest.mark.triton
def test_all_servers_of_a_name_are_asked(servers: Servers) -> None:
    for host in HOSTS:
        servers.start(host)
    with name_server(*HOSTS) as names:
        transport = servers.transport(names)
        asked(transport)
        eventually(lambda: {asked(transport) for _ in range(4)} == set(HOSTS))  # once both are connected


@pytest.mark.triton
def test_a_server_that_comes_later_is_found_and_nothing_is_lost(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CONNECTION_SECONDS", 1)
    servers.start(HOSTS[0])
    with name_server(HOSTS[0]) as names, ThreadPoolExecutor(1) as pool:
        transport, over, answers = servers.transport(names), threading.Event(), list[str]()

        def ask() -> None:
            while not over.wait(0.01):
                answers.append(asked(transport))

        asking = pool.submit(ask)
        try:
            servers.start(HOSTS[1])
            names.addresses = HOSTS
            eventually(lambda: asking.done() or HOSTS[1] in answers)
        finally:
            over.set()
        asking.result()
    assert set(answers) == set(HOSTS)


@pytest.mark.triton
@pytest.mark.slow
def test_a_request_outlives_the_time_of_its_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONNECTION_SECONDS", 1)
    write_python(tmp_path / "models/deepfake_detector", SLEEPER)
    (tmp_path / "busy").mkdir()
    with Server(tmp_path / "models", env={"BUSY_FOLDER": str(tmp_path / "busy")}) as server:
        assert ask_slow(server.grpc_url, "deepfake_detector", 2.0 + DRAIN_SECONDS)


def test_a_name_without_a_server_is_no_connection() -> None:
    (port,) = free_ports(HOSTS, 1)
    with name_server(*HOSTS) as names:
        transport = GrpcTransport(Address(f"dns://127.0.0.1:{names.port}/{NAME}:{port}", "grpc", None))
        try:
            with pytest.raises(ServerUnavailable) as raised:
                asked(transport)
            assert raised.value.connected is False
        finally:
            transport.close()
