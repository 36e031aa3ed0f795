"""The server that is measured: a given one, or one started for the purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from veracity.server import Server
from veracity.server.proxy.access import Access
from veracity.settings import Settings


@contextmanager
def server_at(url: str | None, protocol: str = "grpc") -> Iterator[str]:
    """Yield the address of the given server, or of one that is stopped on exit."""
    if url is not None:
        yield url
        return
    with Server.from_settings(Settings.from_env(), access=Access()) as server:
        yield server.grpc_url if protocol == "grpc" else server.http_url
