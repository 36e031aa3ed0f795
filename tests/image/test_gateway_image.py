"""The gateway's image: what its file copies is there, and what buildah makes of it on a plain Debian serves."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import image_build
import pytest
from docker.utils.build import exclude_paths

from veracity.settings import CHECKOUT
from veracity_gateway import __main__ as command_line
from veracity_gateway.settings import Settings

DOCKERFILE = CHECKOUT / "Dockerfile.gateway"
IGNORE = CHECKOUT / "Dockerfile.gateway.dockerignore"
BASE, IMAGE = "localhost/plain", "localhost/veracity-gateway"
BUDGET = 1200  # seconds: the registries' pace, not ours
slow = [pytest.mark.slow, pytest.mark.image, pytest.mark.timeout(BUDGET)]
INSTALLED = "import importlib.metadata as m, json; print(json.dumps([d.metadata['Name'] for d in m.distributions()]))"


def steps() -> list[str]:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    return [line for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines() if line]


def context() -> set[str]:
    patterns = [line for line in IGNORE.read_text().splitlines() if not line.startswith("#")]
    return {path for path in exclude_paths(str(CHECKOUT), patterns) if (CHECKOUT / path).is_file()} - {".dockerignore"}


def test_its_base_is_named_and_all_else_is_built_here() -> None:
    argument, *rest = steps()
    assert re.fullmatch(r"ARG BASE=docker\.io/library/debian:12-slim(@sha256:[0-9a-f]{64})?", argument)
    bases = [step.split()[1] for step in rest if step.startswith("FROM ")]
    assert bases == ["${BASE}", "runtime", "runtime"]


def test_what_is_copied_exists_and_reaches_the_build() -> None:
    copies = [step.split()[1:-1] for step in steps() if step.startswith("COPY ") and "--from=" not in step]
    copied, there = {source for sources in copies for source in sources}, context()
    for source in copied:
        assert any(file == source or file.startswith(f"{source}/") for file in there), source
    assert not [file for file in there if not any(file == c or file.startswith(f"{c}/") for c in copied)]
    assert not [file for file in there if file.endswith(".pyc") or "/." in file]


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    ended = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_its_healthcheck_asks_the_gateway(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (check,) = [step for step in steps() if step.startswith("HEALTHCHECK")]
    program, *arguments = json.loads(check[check.index("[") :])
    assert program == "veracity-gateway"
    monkeypatch.setenv("VERACITY_GATEWAY_PORT", "1")  # nobody listens there
    assert command_line.main(arguments) == 1
    assert "127.0.0.1:1/health/ready does not answer" in capsys.readouterr().err


@dataclass
class Buildah:
    """Images and containers in a folder of their own."""

    folder: Path

    def command(self, *arguments: str | Path) -> list[str]:
        storage = ["--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver", "vfs"]
        return ["buildah", *map(str, [*storage, *arguments])]

    def __call__(self, *arguments: str | Path) -> str:
        ended = subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False)
        assert ended.returncode == 0, f"buildah {arguments}\n{ended.stdout[-5000:]}\n{ended.stderr[-2000:]}"
        return ended.stdout.strip()

    def run(self, container: str, *command: str, **env: object) -> list[str]:
        """Return what runs a command in a container, as its user and in the network of this machine."""
        variables = [f"--env=VERACITY_GATEWAY_{name.upper()}={value}" for name, value in env.items()]
        return self.command("run", "--isolation", "chroot", *variables, container, "--", *command)


@pytest.fixture(scope="module")
def buildah() -> Iterator[Buildah]:
    if os.geteuid() != 0:
        pytest.skip("only root can make a root")
    for program in ("buildah", "debootstrap", "unshare"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    try:
        httpx.get(image_build.mirror()[0], timeout=20, follow_redirects=True)
    except httpx.HTTPError as error:
        pytest.skip(f"no package mirror: {error}")
    with tempfile.TemporaryDirectory(prefix="veracity-gateway-image-") as work:
        found = Buildah(Path(work))
        yield found
        found("rm", "--all")


@pytest.fixture(scope="module")
def container(buildah: Buildah) -> str:
    plain = buildah("from", "scratch")
    root = buildah("mount", plain)
    subprocess.run(["cp", "-a", f"{image_build.plain_root()}/.", root], check=True)
    own = Path(root, "etc/ssl/this-machine.crt")  # the package ca-certificates writes the usual file anew
    shutil.copy(Path(root, "etc/ssl/certs/ca-certificates.crt"), own)
    index = image_build.index() | {"PIP_CERT": "/etc/ssl/this-machine.crt"}
    env = {"PATH": image_build.PATH, "DEBIAN_FRONTEND": "noninteractive", **index}
    buildah("config", *(f"--env={name}={value}" for name, value in env.items()), plain)
    buildah("commit", "--rm", plain, BASE)
    how = ["--isolation", "chroot", "--format", "docker", "--pull-never", "--build-arg", f"BASE={BASE}"]
    buildah("build", *how, "--ignorefile", IGNORE, "--file", DOCKERFILE, "--tag", IMAGE, CHECKOUT)
    return buildah("from", "--pull-never", IMAGE)


class TestImage:
    """Costs minutes: all of these share one build."""

    pytestmark = slow

    def test_it_says_how_it_is_run(self, buildah: Buildah, container: str) -> None:
        config: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", IMAGE))["Docker"]["config"]
        assert (config["User"], config["Entrypoint"]) == ("1000:1000", ["veracity-gateway"])
        assert config["Healthcheck"]["Test"] == ["CMD", "veracity-gateway", "ready"]
        env = dict(pair.split("=", 1) for pair in config["Env"])
        assert (env["VERACITY_GATEWAY_HOST"], env["VERACITY_GATEWAY_DATA"]) == ("0.0.0.0", "/data")
        assert {name.removeprefix("VERACITY_GATEWAY_").lower() for name in env if "VERACITY_" in name} <= set(
            Settings.model_fields
        )

    def test_only_what_runs_is_in_it(self, buildah: Buildah, container: str) -> None:
        root = Path(buildah("mount", container))
        for name in ("opt/pip", "build", "opt/gateway/bin/pip", "opt/veracity", "srv/veracity"):
            assert not (root / name).exists(), name
        said = subprocess.run(
            buildah.run(container, "python3", "-c", INSTALLED), capture_output=True, text=True, check=True
        )
        assert {"veracity-gateway", "veracity-client"} <= set(json.loads(said.stdout))
        assert not {"veracity", "torch", "onnxruntime", "nvidia-pytriton", "pip"} & set(json.loads(said.stdout))
        assert (root / "data").stat().st_uid == 1000
        written = "find /opt /srv /usr /etc -writable ! -type l -print"
        assert (
            subprocess.run(buildah.run(container, "sh", "-c", written), capture_output=True, check=False).stdout == b""
        )

    def test_it_wants_a_key_and_then_serves(self, buildah: Buildah, container: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        say_pid = "echo $$; exec veracity-gateway --url localhost:1"  # buildah passes no signal on
        serve = buildah.run(container, "sh", "-c", say_pid, port=port)
        refused = subprocess.run(serve, capture_output=True, text=True, check=False)
        assert refused.returncode == 3, refused.stderr
        assert "there is no API key yet" in refused.stderr, f"\n{refused.stderr}"
        made = buildah.run(container, "veracity-gateway", "keys", "add", "test", "--scopes", "read,admin")
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
                ready = subprocess.run(
                    buildah.run(container, "veracity-gateway", "ready", port=port),
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert (ready.returncode, "ModelUnavailable" in ready.stderr) == (1, True)  # no server is there
            finally:
                os.kill(child, signal.SIGTERM)
                assert process.wait(20) == 0

    def test_a_report_becomes_a_pdf(self, buildah: Buildah, container: str) -> None:
        made = "HTML(string='Fälschung').write_pdf(uncompressed_pdf=True)"
        script = f"from weasyprint import HTML; import sys; sys.stdout.buffer.write({made})"
        done = subprocess.run(buildah.run(container, "python3", "-c", script), capture_output=True, check=True)
        assert done.stdout.startswith(b"%PDF-")
        assert b"DejaVu" in done.stdout
