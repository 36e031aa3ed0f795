"""One of two servers goes away under load and comes back: through a list of both, and the recipes of the docs."""

import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from restartable import Restartable, free_ports, install
from server_models import eventually

from veracity.settings import CHECKOUT
from veracity_client import Detector, TlsConfig

pytestmark = [pytest.mark.triton, pytest.mark.slow]

HOSTS = ["127.0.0.1", "127.0.0.2"]
CLIENTS, PAUSE_SECONDS = 4, 0.02
WAIT_SECONDS = 120.0  # a server set aside is probed every 30 s at last
RETRIES = 30  # through a proxy; a list of both needs none, since one is always there
CHANGES = 10  # verdicts that show that a server is asked

Two = tuple[Restartable, Restartable]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    grpc_port, http_port, health_port = free_ports(HOSTS, 3)
    servers = [Restartable(host, grpc_port, http_port, health_port, folder / host) for host in HOSTS]
    try:
        for server in servers:
            install(server.repository, server.host)
            server.start()
        yield servers[0], servers[1]
    finally:
        for server in servers:
            server.stop()


def loses_nothing(detector: Detector, two: Two, number: signal.Signals) -> None:
    """Ask all the time, end the first server and start it again: each request gets its own verdict, once."""
    answers: list[tuple[int, str]] = []
    over, numbers = threading.Event(), itertools.count()

    def ask() -> list[int]:
        sent: list[int] = []
        while not over.wait(PAUSE_SECONDS):
            clip = b"real " + bytes(next(numbers))
            sent.append(len(clip))
            verdict = detector.analyze(clip)
            answers.append((verdict.input.bytes, verdict.video_id))
        return sent

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(ask) for _ in range(CLIENTS)]
        try:
            _answered_by(HOSTS, answers, clients)
            two[0].end(number)
            _answered_by(HOSTS[1:], answers, clients)
            two[0].start()
            _answered_by(HOSTS, answers, clients)
        finally:
            over.set()
        sent = [size for client in clients for size in client.result()]
    assert len(set(sent)) == len(sent)
    assert sorted(size for size, _ in answers) == sorted(sent)


def _answered_by(hosts: list[str], answers: list[tuple[int, str]], clients: "list[Future[list[int]]]") -> None:
    """Wait until each of the hosts gave verdicts to requests from now on."""
    since, end = len(answers), time.monotonic() + WAIT_SECONDS
    while any([host for _, host in answers[since:]].count(host) < CHANGES for host in hosts):
        for client in clients:
            if client.done():
                client.result()
        assert time.monotonic() < end, f"no verdict of one of {hosts}"
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_through_a_list(two: Two, transport: str, number: signal.Signals) -> None:
    with Detector([server.url(transport) for server in two], retries=0) as detector:
        loses_nothing(detector, two, number)


def recipe(name: str, two: Two, port: int, files: dict[str, Path]) -> str:
    """A block of ``docs/operate.md``, with addresses, ports and files of this machine."""
    page = (CHECKOUT / "docs" / "operate.md").read_text()
    block = re.search(rf"^```\n(# {name}\n.*?)^```", page, re.M | re.S)
    assert block, f"the page has no recipe for {name}"
    text: str = block[1]
    ports = {"8001": two[0].grpc_port, "8000": two[0].http_port, "8003": two[0].health_port}
    here = {
        r"10\.0\.0\.1\b": HOSTS[0],
        r"10\.0\.0\.2\b": HOSTS[1],
        **{rf"\b{there}\b": str(ours) for there, ours in ports.items() if there in text},
        r"(?<= ):?8443\b": f"127.0.0.1:{port}",
        **{re.escape(there): str(file) for there, file in files.items()},
    }
    for there, ours in here.items():
        text, count = re.subn(there, ours, text)
        assert count, f"the recipe has no {there}"
    return text


@pytest.fixture
def haproxy(two: Two, certificate: tuple[Path, Path], tmp_path: Path) -> Iterator[int]:
    pem, config, (port,) = tmp_path / "both.pem", tmp_path / "haproxy.cfg", free_ports(HOSTS[:1], 1)
    pem.write_text("".join(path.read_text() for path in certificate))
    config.write_text(recipe("HAProxy", two, port, {"/etc/haproxy/veracity.pem": pem}))
    with running(["haproxy", "-db", "-f", str(config)], port, tmp_path / "log"):
        yield port


NGINX = """
daemon off; pid {0}/pid; error_log stderr; {1}
events {{ }}
http {{
    access_log off; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy;
    fastcgi_temp_path {0}/fastcgi; uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
    {2}
}}
"""


@pytest.fixture
def nginx(two: Two, certificate: tuple[Path, Path], tmp_path: Path) -> Iterator[int]:
    config, (port,) = tmp_path / "nginx.conf", free_ports(HOSTS[:1], 1)
    files = dict(zip(("/etc/nginx/veracity.pem", "/etc/nginx/veracity.key"), certificate))
    user = "user root;" if os.getuid() == 0 else ""  # or its workers could not enter this folder
    config.write_text(NGINX.format(tmp_path, user, recipe("nginx", two, port, files)))
    with running(["nginx", "-e", "stderr", "-c", str(config)], port, tmp_path / "log"):
        yield port


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """Run a proxy; its port is open in the body."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            eventually(lambda: process.poll() is not None or _is_open(port))
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()


def _is_open(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def test_through_haproxy(two: Two, haproxy: int, certificate: tuple[Path, Path]) -> None:
    tls = TlsConfig(ca=certificate[0])
    with Detector(f"grpcs://127.0.0.1:{haproxy}", tls=tls, retries=RETRIES) as detector:
        loses_nothing(detector, two, signal.SIGKILL)


@pytest.mark.parametrize("scheme", ["grpcs", "https"])
def test_through_nginx(two: Two, nginx: int, certificate: tuple[Path, Path], scheme: str) -> None:
    with Detector(f"{scheme}://127.0.0.1:{nginx}", tls=TlsConfig(ca=certificate[0]), retries=RETRIES) as detector:
        loses_nothing(detector, two, signal.SIGKILL)
