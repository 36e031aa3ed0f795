"""How tritonserver is started: its command line and environment."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from veracity.catalog.serving import ARRIVED, CALLER_TRACE, SERVICE
from veracity.server import reaper
from veracity.server.binaries import Binaries
from veracity.server.sockets import Sockets
from veracity_client import telemetry
from veracity_client.errors import ServerUnavailable

SECRETS = ("VERACITY_API_KEY", "VERACITY_API_KEYS")
RESPONSES_KEPT = 8  # that a gRPC stream holds for a caller who does not read them


@dataclass(frozen=True)
class Launch:
    """What a tritonserver is told. Sizes are bytes, times are seconds."""

    repository: Path
    exit_seconds: int
    max_request_bytes: int
    env: Mapping[str, str] = field(default_factory=dict)
    model_config: str = ""  # name of the configs/<name>.pbtxt that models use which have it
    lazy: bool = False  # models come and go: one that is not loaded does not make the server unready

    def environment(self, binaries: Binaries) -> dict[str, str]:
        """Return the environment of tritonserver, which the models' processes inherit: without the API keys."""
        return {**inherited(), **binaries.environment, **self.env}

    def command(self, binaries: Binaries, sockets: Sockets, newer: set[str]) -> list[str]:
        """Return the command line; ``newer`` has the options that this tritonserver knows of :meth:`newer_options`."""
        options: dict[str, object] = {
            "model-repository": self.repository,
            "backend-directory": binaries.backends,
            "model-control-mode": "explicit",
            "strict-readiness": str(not self.lazy).lower(),
            "exit-timeout-secs": self.exit_seconds,
            "backend-config": f"python,shm-region-prefix-name={reaper.shared_memory_prefix(sockets.directory)}",
            "log-format": "ISO8601",
            "grpc-infer-allocation-pool-size": 0,  # each object that is kept for reuse keeps its largest request
            "http-header-forward-pattern": ARRIVED,
            "grpc-header-forward-pattern": f"{ARRIVED}|{CALLER_TRACE}",
            **sockets.options(),
            **{name: value for name, value in self.newer_options().items() if name in newer},
        }
        if self.model_config:
            options["model-config-name"] = self.model_config
        flags = [f"--{name}={value}" for name, value in options.items()]
        flags += [f"--trace-config={setting}" for setting in self._trace_settings()]
        return [str(binaries.server), "--disable-auto-complete-config", *flags]  # our configurations are complete

    def _trace_settings(self) -> list[str]:
        """Return how tritonserver traces: requests whose caller does, and no other."""
        environ = {**inherited(), **self.env}
        if (url := telemetry.endpoint(environ)) is None:
            return []
        where = [f"opentelemetry,url={url}", f"opentelemetry,resource=service.name={telemetry.name(SERVICE, environ)}"]
        return ["mode=opentelemetry", "level=TIMESTAMPS", "rate=0", *where]

    def newer_options(self) -> dict[str, object]:
        """Return the options that the wheel's tritonserver is too old for."""
        return {"http-max-input-size": self.max_request_bytes, "grpc-max-response-pool-size": RESPONSES_KEPT}


def inherited() -> dict[str, str]:
    """Return our own environment as the programs that we start may have it."""
    return {name: value for name, value in os.environ.items() if name not in SECRETS}


def known_options(binaries: Binaries) -> set[str]:
    """Return the options that this tritonserver has; raises ServerUnavailable when it cannot even print its help."""
    env = {**os.environ, **binaries.environment}
    run = subprocess.run([binaries.server, "--help"], env=env, capture_output=True, text=True, check=False)
    printed = run.stdout + run.stderr
    if "--model-repository" not in printed:
        raise ServerUnavailable(f"tritonserver does not start: {printed.strip()[-300:]}")
    return set(re.findall(r"^\s*--([a-z0-9-]+)", printed, re.MULTILINE))
