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
from server_models import PATIENCE, ask, make_repository

from veracity.server import Server
from veracity_client.errors import ModelUnavailable, ServerUnavailable


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("models"))


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
        said = [process.stdout.readline() for _ in range(5)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert [line.split()[0] for line in said] == ["gRPC", "HTTP", "metrics", "model", "double"]


@pytest.mark.triton
def test_production_refuses_a_model_that_does_not_load(models: Path) -> None:
    with pytest.raises(ModelUnavailable, match="broken"):
        Server(models, models=["broken"], production=True).start()
    with pytest.raises(ModelUnavailable, match="absent: weights not installed"):
        Server(models, models=["absent"], production=True).start()


@pytest.mark.triton
def test_taken_port_is_named(server: Server, models: Path) -> None:
    port = int(server.grpc_url.rpartition(":")[2])
    with pytest.raises(ServerUnavailable, match=f"{port}.* is taken"):
        Server(models, models=[], grpc_port=port).start()


def run_serve(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables}
    ports = ["--http-port=0", "--metrics-port=0", *arguments]
    command = [sys.executable, "-m", "veracity.cli", "serve", *ports]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)


@pytest.mark.triton
@pytest.mark.parametrize(
    ("variables", "error"),
    [
        (
            {"VERACITY_MODEL_REPOSITORY": "/nope"},
            "ServerUnavailable: no model repository at /nope: correct VERACITY",
        ),
        ({"VERACITY_TRITON": "/nope"}, "ServerUnavailable: /nope holds no bin/tritonserver"),
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
    assert done.returncode == 1
    assert re.search(f"^veracity: {error}", done.stderr, re.M)


@pytest.mark.triton
def test_serve_names_a_taken_port(models: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        done = run_serve(f"--grpc-port={port}", VERACITY_MODEL_REPOSITORY=str(models))
    assert done.returncode == 1
    assert f"veracity: ServerUnavailable: port {port} is taken" in done.stderr


@pytest.mark.triton
def test_serves_ipv6(models: Path) -> None:
    with Server(models, host="::1", models=["double"]) as server:
        assert server.grpc_url.startswith("[::1]:")
        with grpc.InferenceServerClient(server.grpc_url) as client:
            assert ask(client, [[1, 2]]).tolist() == [[11, 22]]
        for url in (f"http://{server.http_url}/v2/health/ready", server.metrics_url):
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                assert answer.status == 200
