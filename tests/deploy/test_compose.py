"""deploy/compose.yaml: its services are our images with our settings, and its HAProxy takes its file."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import dockerfiles
import pytest
import yaml
from rendered import DEPLOY

from benchmarks.cluster import Replica, haproxy_config
from veracity import __version__, cli
from veracity.server.ports import Ports
from veracity.settings import CHECKOUT, PREFIX, Settings
from veracity_gateway.settings import PREFIX as GATEWAY_PREFIX
from veracity_gateway.settings import Settings as GatewaySettings

SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
VARIABLE = re.compile(r"\$\{(\w+):\?[^}]+\}")
TRITON_SECONDS = 30


def environment(service: str) -> dict[str, str]:
    """The variables, with something in place of those that the caller has to give."""
    given = SERVICES[service]["environment"]
    return {name: VARIABLE.sub("gateway:0123456789abcdef", str(value)) for name, value in given.items()}


def test_variables_are_settings() -> None:
    settings = Settings.from_env(environment("server"))
    grace = int(SERVICES["server"]["stop_grace_period"].removesuffix("s"))
    assert settings.drain_seconds + TRITON_SECONDS < grace
    assert settings.api_keys.get_secret_value()
    names = {name.removeprefix(GATEWAY_PREFIX).lower() for name in environment("gateway")}
    assert names <= set(GatewaySettings.model_fields)
    assert all(name.startswith(PREFIX) for name in environment("server"))


def test_what_is_not_given_is_asked_for() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)", text)) == set(VARIABLE.findall(text))


def test_nobody_has_rights() -> None:
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]
        if name != "haproxy":
            assert int(service["user"].partition(":")[0]) > 0
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))


def test_images_are_of_our_version_and_their_files_are_there() -> None:
    for name in ("server", "gateway", "gateway-key"):
        assert SERVICES[name]["image"].endswith(f":{__version__}")
    for name in ("server", "gateway"):
        build = SERVICES[name]["build"]
        assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_commands_are_ours() -> None:
    for name in ("gateway", "gateway-key"):
        assert cli.parser().parse_args(["gateway", *SERVICES[name]["command"]]).command


def test_the_gateways_image_gets_what_it_copies() -> None:
    stages = dockerfiles.read(CHECKOUT / "Dockerfile.gateway")[1]
    ignored = (CHECKOUT / "Dockerfile.gateway.dockerignore").read_text()
    let_in = {line[1:] for line in ignored.splitlines() if line.startswith("!")}
    assert let_in == {source for stage in stages for source in dockerfiles.sources(stage)}
    assert all((CHECKOUT / source).exists() for source in let_in)
    assert stages[-1].command("ENTRYPOINT") == ["veracity-gateway"]
    assert int(stages[-1].last("USER").partition(":")[0]) > 0


def test_haproxy_takes_its_file(tmp_path: Path) -> None:
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    ports = Ports(18000, 18001, 18002, 18003)
    replicas = [Replica(f"127.0.0.{k}", ports, (), os.environ, tmp_path / "log") for k in (2, 3)]
    for text in ((DEPLOY / "haproxy.cfg").read_text(), haproxy_config(replicas, 19001, 19000)):
        config = tmp_path / "haproxy.cfg"
        config.write_text(text)
        ended = subprocess.run(["haproxy", "-c", "-f", config], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    assert "server s1 127.0.0.3:18001 proto h2" in text
    assert "check port 18003" in text
    assert "template" not in text
