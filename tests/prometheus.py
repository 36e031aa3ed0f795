"""What a metrics page holds, and a real Prometheus that reads such pages."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from restartable import free_ports

from veracity.server import Server
from veracity.settings import CHECKOUT

FOLDER = CHECKOUT / "deploy" / "prometheus"
RULES = FOLDER / "veracity.rules.yml"
START_SECONDS = 60.0

Series = dict[tuple[str, ...], float]


def series(url: str) -> Series:
    """Each sample of a page by its name and the values of its labels, which are sorted by their names."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {(s.name, *dict(sorted(s.labels.items())).values()): s.value for f in families for s in f.samples}


def metrics(server: Server) -> Series:
    return series(server.health_url.replace("/health", "/metrics"))


def heals(server: Server, part: str, model: str = "") -> float:
    return metrics(server).get(("veracity_heals_total", model, part), 0.0)


def program(name: str) -> str:
    """Where a program of Debian's package prometheus is."""
    if (found := shutil.which(name)) is None:
        pytest.skip(f"{name} is not installed")
    return found


def rules() -> list[dict[str, Any]]:
    """All rules that we ship."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str], seconds: float) -> Iterator[str]:
    """Run Prometheus with our configuration, reading ``targets``, job to host:port, so often; gives its url."""
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": f"{seconds:g}s", "evaluation_interval": f"{seconds:g}s"}
    config["rule_files"] = [str(RULES)]
    assert {job["job_name"] for job in config["scrape_configs"]} == set(targets)
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (port,) = free_ports(["127.0.0.1"], 1)
    address, data = f"127.0.0.1:{port}", folder / "data"
    options = {"config.file": folder / "prometheus.yml", "web.listen-address": address, "storage.tsdb.path": data}
    command = [program("prometheus"), *(f"--{name}={value}" for name, value in options.items()), "--log.level=warn"]
    url = f"http://{address}"
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        try:
            end = time.monotonic() + START_SECONDS
            while not _ready(url):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < end
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()


def query(url: str, expression: str) -> list[dict[str, Any]]:
    """What Prometheus finds now for an expression."""
    asked = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{url}/api/v1/query?{asked}", timeout=30) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
            return True
    except OSError:
        return False
