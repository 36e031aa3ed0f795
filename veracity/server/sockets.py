"""Where tritonserver itself listens: sockets in the run's private directory, which no network and no browser reaches.

Only the owner of the run directory and root can connect. Calls that change the server want a secret on top, which the
proxy adds to none of the requests that it lets in: a hole in the proxy's list of addresses opens none of them.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tritonclient.grpc import InferenceServerClient
from tritonclient.grpc import InferenceServerClientPlugin as Plugin

from veracity_client._address import Address
from veracity_client._grpc import channel_options, ssl_credentials
from veracity_client.errors import ServerUnavailable

LONGEST_PATH = 107  # bytes of sun_path, linux/un.h
GRPC_PORT = 1  # Triton puts ":PORT" behind the address, and gRPC takes both together for the name of the file
NAMES = ("http", "metrics", f"grpc:{GRPC_PORT}")
HEALTH = "health"  # the supervisor's own
RESIDENCY = "residency"  # likewise
HEADER = "x-veracity-supervisor"
GRPC_HEADER = f"triton-grpc-protocol-{HEADER}"  # as Triton wants it over gRPC
CLOSED = ("shared-memory", "model-config", "model-repository", "statistics", "trace", "logging")  # Triton's groups
SECRET_FILE = "secret"  # noqa: S105, a name


@dataclass(frozen=True)
class Sockets:
    """The sockets of one run, in ``directory``, and its secret."""

    directory: Path
    secret: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)

    @property
    def http(self) -> Path:
        """The socket that speaks HTTP."""
        return self.directory / NAMES[0]

    @property
    def metrics(self) -> Path:
        """The socket that serves the metrics by HTTP."""
        return self.directory / NAMES[1]

    @property
    def grpc(self) -> Path:
        """The socket that speaks gRPC."""
        return self.directory / NAMES[2]

    @property
    def health(self) -> Path:
        """The socket where the supervisor serves the pages of the health port by HTTP."""
        return self.directory / HEALTH

    @property
    def residency(self) -> Path:
        """The socket where the supervisor lets models be held in memory; there where they are not always in it."""
        return self.directory / RESIDENCY

    @property
    def url(self) -> str:
        """The gRPC socket as tritonclient takes it."""
        return f"unix:{self.grpc}"

    def prepare(self) -> None:
        """Remove the sockets of a tritonserver that ended, and write the secret; raises ServerUnavailable."""
        longest = max(len(bytes(self.directory / name)) for name in NAMES)
        if longest > LONGEST_PATH:
            raise ServerUnavailable(f"the path of the temporary directory is {longest - LONGEST_PATH} bytes too long")
        for name in NAMES:
            (self.directory / name).unlink(missing_ok=True)
        file = self.directory / SECRET_FILE
        file.touch(0o600)
        file.write_text(self.secret)

    @classmethod
    def read(cls, directory: Path) -> Sockets:
        """Return the sockets of a run of our own; raises OSError where there is none."""
        return cls(directory, (directory / SECRET_FILE).read_text())

    def options(self) -> dict[str, object]:
        """Return tritonserver's options."""
        groups = ",".join(CLOSED)
        return {
            "http-address": f"unix:{self.http}",
            "metrics-address": f"unix:{self.metrics}",
            "grpc-address": f"unix:{self.directory / NAMES[2].partition(':')[0]}",
            "grpc-port": GRPC_PORT,
            "http-restricted-api": f"{groups}:{HEADER}={self.secret}",
            "grpc-restricted-protocol": f"{groups}:{HEADER}={self.secret}",
        }

    def connect(self) -> InferenceServerClient:
        """Open a connection that may do everything."""
        return connect(Address(self.url, "grpc", None, {GRPC_HEADER: self.secret}))


class Headers(Plugin):  # type: ignore[misc]  # tritonclient has no types
    """Puts ``headers`` into each call of a client; a stream has to be given them when it starts."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def __call__(self, request: Any) -> None:
        """Change a request, as tritonclient has it."""
        request.headers = {**(request.headers or {}), **self.headers}


def connect(address: Address) -> InferenceServerClient:
    """Open a connection to a tritonserver or to a proxy."""
    credentials = ssl_credentials(address.tls) if address.tls else None
    options = channel_options(address.target)
    client = InferenceServerClient(address.target, ssl=bool(credentials), creds=credentials, channel_args=options)
    client.register_plugin(Headers(address.headers))
    return client
