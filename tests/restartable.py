"""A server of its own process with doubles of the detectors, at ports that stay: it is ended and started again."""

import dataclasses
import json
import os
import random
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import canned
from server_models import eventually

SERVE = """
import json, signal, sys, threading
from pathlib import Path
from veracity.server import Server
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
with Server(Path(sys.argv[1]), models=("deepfake_detector", "deepfake_detector_stream"), **json.loads(sys.argv[2])):
    ended.wait()
"""  # `veracity serve` would want the models that the detectors call: to its health port it would not be ready
BELOW_EPHEMERAL = range(20000, 32000)  # where no connection of a client can be given a server's port meanwhile


def install(repository: Path, name: str) -> None:
    """Write both detectors, with room for every request; each of their verdicts has the ``video_id`` ``name``."""
    canned.install(repository)
    for config in repository.glob("*/config.pbtxt"):
        config.write_text(config.read_text().replace("max_queue_size: 1 ", "max_queue_size: 100 "))
    verdict = dataclasses.replace(canned.VERDICT, video_id=name)
    for file in repository.glob("*/1/verdict.json"):
        file.write_text(verdict.to_json(), "utf-8")


def free_ports(hosts: list[str], count: int) -> list[int]:
    """Return ports that are free on every host, and that no other worker of pytest-xdist is given."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ours = BELOW_EPHEMERAL[worker :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    found: list[int] = []
    while len(found) < count:
        port = random.choice(ours)
        with ExitStack() as held:
            try:
                for host in hosts:
                    held.enter_context(socket.create_server((host, port)))
            except OSError:
                continue
            found += [port] * (port not in found)
    return found


@dataclass
class Restartable:
    """One server, on an address of this machine that it has for itself; its name is that address."""

    host: str
    grpc_port: int
    http_port: int
    health_port: int
    repository: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def url(self, transport: str) -> str:
        """Return its address over ``grpc`` or ``http``."""
        return f"{transport}://{self.host}:{self.grpc_port if transport == 'grpc' else self.http_port}"

    def start(self) -> None:
        """Start it and wait until it is ready."""
        where = {key: getattr(self, key) for key in ("host", "grpc_port", "http_port", "health_port")}
        command = [sys.executable, "-c", SERVE, str(self.repository), json.dumps(where)]
        log = self.repository.with_name(f"{self.repository.name}.log")
        with log.open("ab") as file:
            process = self.process = subprocess.Popen(command, stdout=file, stderr=file)

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            return self._is_ready()

        eventually(ready)

    def end(self, number: signal.Signals) -> None:
        """Send it a signal, and wait until nothing of it has the ports."""
        assert self.process
        self.process.send_signal(number)
        self.process.wait()
        self.process = None
        eventually(self._is_gone)

    def stop(self) -> None:
        """End it where it runs."""
        if self.process:
            self.end(signal.SIGTERM)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.health_port}/health/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _is_gone(self) -> bool:
        try:
            for port in (self.grpc_port, self.http_port, self.health_port):
                socket.create_server((self.host, port)).close()
        except OSError:
            return False
        return True
