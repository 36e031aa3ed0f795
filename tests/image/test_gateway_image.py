"""The gateway's image: what its file copies is there, and what buildah makes of it on a plain Debian serves."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator

import dockerfiles
import httpx
import image_build
import pytest
from dockerfiles import Stage
from image_build import Container

from veracity.settings import CHECKOUT
from veracity_gateway import __main__ as command_line
from veracity_gateway.settings import Settings

DOCKERFILE = CHECKOUT / "Dockerfile.gateway"
IGNORE = CHECKOUT / "Dockerfile.gateway.dockerignore"
BUDGET = 1200  # seconds: the registries' pace, not ours
slow = [pytest.mark.slow, pytest.mark.image, pytest.mark.timeout(BUDGET)]
INSTALLED = "import importlib.metadata as m, json; print(json.dumps([d.metadata['Name'] for d in m.distributions()]))"


@pytest.fixture(scope="module")
def stages() -> list[Stage]:
    return dockerfiles.read(DOCKERFILE)[1]


def test_its_base_is_named_and_all_else_is_built_here() -> None:
    arguments, stages = dockerfiles.read(DOCKERFILE)
    assert re.fullmatch(r"docker\.io/library/debian:12-slim(@sha256:[0-9a-f]{64})?", arguments["BASE"])
    assert [stage.base for stage in stages] == [arguments["BASE"], "runtime", "runtime"]


def test_what_is_copied_exists_and_reaches_the_build(stages: list[Stage]) -> None:
    there = dockerfiles.context(CHECKOUT, IGNORE.name)
    copied = {source for stage in stages for source in dockerfiles.sources(stage)}
    for source in copied:
        assert any(file == source or file.startswith(f"{source}/") for file in there), source
    assert not [file for file in there if not any(file == c or file.startswith(f"{c}/") for c in copied)]
    assert not [file for file in there if file.endswith(".pyc") or "/." in file]


def test_its_healthcheck_asks_the_gateway(
    stages: list[Stage], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program, *arguments = stages[-1].command("HEALTHCHECK")
    assert program == "veracity-gateway"
    monkeypatch.setenv("VERACITY_GATEWAY_PORT", "1")  # nobody listens there
    assert command_line.main(arguments) == 1
    assert "127.0.0.1:1/health/ready does not answer" in capsys.readouterr().err


@pytest.fixture(scope="module")
def container() -> Iterator[Container]:
    with image_build.storage() as buildah:
        base = buildah.base()
        yield buildah.build(DOCKERFILE, "BASE", base, IGNORE)


class TestImage:
    """Costs minutes: all of these share one build."""

    pytestmark = slow

    def test_it_says_how_it_is_run(self, container: Container) -> None:
        config, env = container.config, container.env
        assert (config["User"], config["Entrypoint"]) == ("1000:1000", ["veracity-gateway"])
        assert config["Healthcheck"]["Test"] == ["CMD", "veracity-gateway", "ready"]
        assert (env["VERACITY_GATEWAY_HOST"], env["VERACITY_GATEWAY_DATA"]) == ("0.0.0.0", "/data")
        assert {name.removeprefix("VERACITY_GATEWAY_").lower() for name in env if "VERACITY_" in name} <= set(
            Settings.model_fields
        )

    def test_only_what_runs_is_in_it(self, container: Container) -> None:
        root = container.root
        for name in ("opt/pip", "build", "opt/gateway/bin/pip", "opt/veracity", "srv/veracity"):
            assert not (root / name).exists(), name
        installed = set(json.loads(container.run("python3", "-c", INSTALLED).stdout))
        assert {"veracity-gateway", "veracity-client"} <= installed
        assert not {"veracity", "torch", "onnxruntime", "nvidia-pytriton", "pip"} & installed
        assert (root / "data").stat().st_uid == 1000
        assert container.run("sh", "-c", "find /opt /srv /usr /etc -writable ! -type l -print").stdout == ""

    def test_it_wants_a_key_and_then_serves(self, container: Container) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        say_pid = "echo $$; exec veracity-gateway --url localhost:1"  # buildah passes no signal on
        serve = container.command("sh", "-c", say_pid, VERACITY_GATEWAY_PORT=port)
        refused = subprocess.run(serve, capture_output=True, text=True, check=False)
        assert refused.returncode == 3, refused.stderr
        assert "there is no API key yet" in refused.stderr, f"\n{refused.stderr}"
        made = container.command("veracity-gateway", "keys", "add", "test", "--scopes", "read,admin")
        key = subprocess.run(made, capture_output=True, text=True, check=True).stdout.strip()
        with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            child = int(process.stdout.readline())
            try:
                assert process.stdout.readline() == f"gateway  http://0.0.0.0:{port}\n"
                url = f"http://127.0.0.1:{port}"
                assert httpx.get(f"{url}/jobs").status_code == 401
                assert httpx.get(f"{url}/jobs", headers={"x-api-key": key}).json()["jobs"] == []
                assert "<title>" in httpx.get(url).text
                ready = container.run("veracity-gateway", "ready", VERACITY_GATEWAY_PORT=port)
                assert (ready.returncode, "ModelUnavailable" in ready.stderr) == (1, True)  # no server is there
            finally:
                os.kill(child, signal.SIGTERM)
                assert process.wait(20) == 0

    def test_a_report_becomes_a_pdf(self, container: Container) -> None:
        made = "HTML(string='Fälschung').write_pdf(uncompressed_pdf=True)"
        script = f"from weasyprint import HTML; import sys; sys.stdout.buffer.write({made})"
        done = subprocess.run(container.command("python3", "-c", script), capture_output=True, check=True)
        assert done.stdout.startswith(b"%PDF-")
        assert b"DejaVu" in done.stdout
