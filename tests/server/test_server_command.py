"""``veracity serve`` and what a start refuses."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import tritonclient.grpc as grpc
from server_models import OPEN, WAIT_SECONDS, ask

from veracity.server import Server, address, ports
from veracity_client.errors import ModelUnavailable, ServerUnavailable


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[Server]:
    with Server(models, canary_seconds=0.5) as running:
        yield running


@pytest.mark.triton
def test_serve_says_where_it_listens_and_ends_on_a_signal(models: Path) -> None:
    code = "import sys; from pathlib import Path; from veracity.server import serve; "
    code += "from veracity.settings import Settings; "
    code += "sys.exit(serve(Settings(model_repository=Path(sys.argv[1])), models=['double']))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", code, str(models)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env) as process:
        assert process.stdout
        said = [process.stdout.readline() for _ in range(6)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 0
    assert [line.split()[0] for line in said] == ["gRPC", "HTTP", "metrics", "health", "model", "double"]


@pytest.mark.triton
def test_production_refuses_a_model_that_does_not_load(models: Path) -> None:
    with pytest.raises(ModelUnavailable, match="broken"):
        Server(models, models=["broken"], production=True).start()
    with pytest.raises(ModelUnavailable, match="absent: weights not installed"):
        Server(models, models=["absent"], production=True).start()


@pytest.mark.triton
def test_taken_port_is_named(server: Server, models: Path) -> None:
    port = int(server.grpc_url.rpartition(":")[2])
    with pytest.raises(ServerUnavailable, match=f"port {port} is already in use"):
        Server(models, models=[], grpc_port=port).start()


def run_serve(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables}
    ports = ["--http-port=0", "--metrics-port=0", "--health-port=0", *arguments]
    command = [sys.executable, "-m", "veracity.cli", "serve", *ports]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=2 * WAIT_SECONDS, check=False)


@pytest.mark.triton
@pytest.mark.parametrize(
    ("variables", "error"),
    [
        (
            {"VERACITY_MODEL_REPOSITORY": "/nope"},
            "ServerUnavailable: no model repository at /nope: correct VERACITY",
        ),
        ({"VERACITY_TRITON": "/nope"}, "ServerUnavailable: /nope has no bin/tritonserver"),
        (
            {"VERACITY_ENV": "production"},
            "ServerUnavailable: VERACITY_ENV=production refuses to start:\n(  .*\n)*"
            "  model audio_starter: missing: weights not installed",
        ),
    ],
    ids=["repository", "triton", "layers"],
)
def test_serve_that_cannot_start_says_why(models: Path, variables: dict[str, str], error: str) -> None:
    done = run_serve("--grpc-port=0", **{"VERACITY_MODEL_REPOSITORY": str(models), **variables})
    assert done.returncode == 3
    assert re.search(f"^veracity: {error}", done.stderr, re.M)


@pytest.mark.triton
@pytest.mark.parametrize("endpoint", ["http", "grpc", "metrics"])
def test_serve_names_a_port_in_use(models: Path, endpoint: str) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        done = run_serve(f"--{endpoint}-port={port}", VERACITY_MODEL_REPOSITORY=str(models))
    assert done.returncode == 3
    advice = f"stop the other process or pass --{endpoint}-port 0"
    assert done.stderr.endswith(f"veracity: ServerUnavailable: port {port} is already in use; {advice}\n")


@pytest.mark.triton
def test_the_ports_are_those_of_the_proxy_alone(server: Server) -> None:
    opened = {int(url.rpartition(":")[2].partition("/")[0]) for url in (server.grpc_url, server.http_url)}
    assert opened < ports.listening(server.proxy_pid)
    assert ports.listening(server.pid) == set()
    with socket.create_server(("127.0.0.1", 0)) as ours:
        port = ours.getsockname()[1]
        assert port in ports.listening(os.getpid())
        assert port not in ports.listening(server.proxy_pid)
    assert ports.listening(2**22 + 1) == set()  # no such process


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--host=nohost.invalid"], "BadOption: --host nohost.invalid: this machine knows no host of that name"),
        (["--host="], "BadOption: --host : this machine knows no host of that name"),
        ([f"--host={'a' * 99}.org"], f"BadOption: --host {'a' * 99}.org: this machine knows no host of that name"),
        (
            ["--host=192.0.2.1", "--insecure"],
            "ServerUnavailable: 192.0.2.1 is no address of this machine; pass --host with one",
        ),
        (["--host=2001:db8::1", "--insecure"], "ServerUnavailable: 2001:db8::1 is no address of this machine"),
        (["--host=0.0.0.0"], "BadOption: --host 0.0.0.0 is reached from other machines, so callers need API keys: set"),
        (["--tls-cert=x.pem"], "BadOption: TLS wants both VERACITY_TLS_CERT and VERACITY_TLS_KEY"),
        (["--grpc-port=65536"], "BadOption: --grpc-port must be a number from 0 to 65535, got 65536"),
        (["--grpc-port=-1"], "BadOption: --grpc-port must be a number from 0 to 65535, got -1"),
        (["--grpc-port=8055", "--metrics-port=8055"], "BadOption: two endpoints cannot share port 8055"),
    ],
)
def test_serve_refuses_what_it_cannot_listen_on(models: Path, arguments: list[str], error: str) -> None:
    done = run_serve("--grpc-port=0", *arguments, VERACITY_MODEL_REPOSITORY=str(models))
    assert done.returncode == 3
    assert done.stderr.startswith(f"veracity: {error}")
    assert done.stderr.count("\n") == 1


def test_a_privileged_port_is_an_error_with_advice() -> None:
    """Also for root, here without the capability that it has to bind one."""
    code = "from veracity.server.ports import Ports, choose; choose('127.0.0.1', Ports(0, 79, 0, 0))"
    without = ["setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service"] * (os.getuid() == 0)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([*without, sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert "port 79 needs the right to bind privileged ports; pass --grpc-port with a number of 1024" in done.stderr


def test_a_host_is_resolved_once() -> None:
    assert address.resolve("localhost") in ("127.0.0.1", "::1")
    assert address.resolve("0.0.0.0") == "0.0.0.0"
    assert address.resolve("::1") == address.resolve("[::1]") == "::1"


@pytest.mark.triton
def test_serves_ipv6(models: Path) -> None:
    with Server(models, host="[::1]", access=OPEN, models=["double"]) as server:
        assert server.grpc_url.startswith("[::1]:")
        with grpc.InferenceServerClient(server.grpc_url) as client:
            assert ask(client, [[1, 2]]).tolist() == [[11, 22]]
        for url in (f"http://{server.http_url}/v2/health/ready", server.metrics_url):
            with urllib.request.urlopen(url, timeout=WAIT_SECONDS) as answer:
                assert answer.status == 200
