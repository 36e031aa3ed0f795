"""How tritonserver is started: its command line and environment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from veracity.server import address, reaper
from veracity.server.binaries import Binaries
from veracity.server.ports import Ports
from veracity_client.errors import ServerUnavailable

HTTP_LIMIT = "http-max-input-size"  # the wheel's tritonserver is older than this option


@dataclass(frozen=True)
class Launch:
    """What a tritonserver is told. Sizes are bytes, times are seconds."""

    repository: Path
    host: str
    ports: Ports
    exit_seconds: int
    http_max_input_size: int
    env: Mapping[str, str] = field(default_factory=dict)
    model_config: str = ""  # name of the configs/<name>.pbtxt that models use which have it

    def environment(self, binaries: Binaries) -> dict[str, str]:
        """Return the environment of tritonserver, which the models' processes inherit."""
        return {**os.environ, **binaries.environment, **self.env}

    def command(self, binaries: Binaries, ports: Ports, run_dir: Path, *, limit_http: bool) -> list[str]:
        """Return the command line; ``limit_http`` where this tritonserver bounds the size of HTTP requests."""
        options: dict[str, object] = {
            "model-repository": self.repository,
            "backend-directory": binaries.backends,
            "model-control-mode": "explicit",
            "strict-readiness": "true",
            "exit-timeout-secs": self.exit_seconds,
            "http-address": address.for_http(self.host),
            "grpc-address": address.for_grpc(self.host),
            "metrics-address": address.for_http(self.host),
            "http-port": ports.http,
            "grpc-port": ports.grpc,
            "metrics-port": ports.metrics,
            "backend-config": f"python,shm-region-prefix-name={reaper.shared_memory_prefix(run_dir)}",
            "log-format": "ISO8601",
        }
        if limit_http:
            options[HTTP_LIMIT] = self.http_max_input_size
        if self.model_config:
            options["model-config-name"] = self.model_config
        flags = [f"--{name}={value}" for name, value in options.items()]
        return [str(binaries.server), "--disable-auto-complete-config", *flags]  # our configurations are complete


def limits_http(binaries: Binaries) -> bool:
    """Return whether this tritonserver has the option; raises ServerUnavailable when it cannot even print its help."""
    env = {**os.environ, **binaries.environment}
    run = subprocess.run([binaries.server, "--help"], env=env, capture_output=True, text=True, check=False)
    printed = run.stdout + run.stderr
    if "--model-repository" not in printed:
        raise ServerUnavailable(f"tritonserver does not start: {printed.strip()[-300:]}")
    return f"--{HTTP_LIMIT}" in printed
