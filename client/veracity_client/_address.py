"""Where the server is, and the way there: scheme, TLS, API key, proxy."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from veracity_client.errors import BadOption, ServerUnavailable

Protocol = Literal["grpc", "http"]

API_KEY_HEADER = "x-api-key"
SCHEMES: Mapping[str, tuple[Protocol, bool]] = {
    "grpc": ("grpc", False),
    "grpcs": ("grpc", True),
    "http": ("http", False),
    "https": ("http", True),
}


@dataclass(frozen=True)
class TlsConfig:
    """PEM files: who vouches for the server (None: the system's list), and who we are (both or neither)."""

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None


@dataclass(frozen=True)
class Address:
    """Where the server is and how it is spoken to. ``tls`` is None for plain text.

    ``connect_seconds``: what a connection may take to come about; None leaves it to the request's timeout.
    """

    target: str
    protocol: Protocol
    tls: TlsConfig | None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    connect_seconds: float | None = None

    @classmethod
    def parse(cls, url: str, protocol: Protocol | None, tls: bool | TlsConfig, api_key: str | None) -> Address:
        """Read ``[scheme://]host:port``; raises :class:`BadOption` for what is no address of ours."""
        if not isinstance(url, str):
            raise BadOption(f"url is text like localhost:8001, got {type(url).__name__}")
        scheme, has_scheme, rest = url.partition("://") if "://" in url else ("", "", url)
        if has_scheme and scheme not in SCHEMES:
            raise BadOption(f"url starts with {scheme!r}; it may start with {', '.join(SCHEMES)} or with the host")
        known, secure = SCHEMES[scheme] if has_scheme else (protocol or "grpc", False)
        if known not in ("grpc", "http") or protocol not in (None, known):
            raise BadOption(f"protocol is grpc or http and agrees with the url's scheme, got {protocol!r} for {url!r}")
        target = rest.rstrip("/")
        if not target:
            raise BadOption(f"url names no host: {url!r}; give one like localhost:8001")
        try:
            is_local(target)
        except ValueError as error:
            raise BadOption(f"url names no host that can be read: {url!r}: {error}") from None
        config = tls if isinstance(tls, TlsConfig) else TlsConfig() if tls or secure else None
        return cls(target, known, config, _headers(api_key))

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, where no proxy leads."""
        return is_local(self.target)

    @property
    def through(self) -> str:
        """Return `` through the proxy HOST:PORT (from VARIABLE)``, empty where the way is direct."""
        from urllib.request import proxy_bypass  # slow to import

        if self.is_local or proxy_bypass(self.target):
            return ""
        scheme = "https" if self.tls else "http"
        names = (
            ("grpc_proxy", "https_proxy", "http_proxy") if self.protocol == "grpc" else (f"{scheme}_proxy", "all_proxy")
        )
        for name in (spelling for lower in names for spelling in (lower, lower.upper())):
            if proxy := os.environ.get(name):
                return f" through the proxy {proxy.rpartition('@')[2].rpartition('://')[2].rstrip('/')} (from {name})"
        return ""


def is_local(target: str) -> bool:
    """Return whether ``HOST[:PORT][/…]`` is a name of this machine, or a socket file."""
    if target.startswith("unix:"):
        return True
    host = (urlsplit(f"//{target}").hostname or "").rstrip(".")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def unreachable(address: Address, reason: str, *, connected: bool) -> ServerUnavailable:
    """Return the error for a server that does not answer; ``connected`` where the connection broke later."""
    where = f"{address.target} over {address.protocol}{address.through}"
    error = ServerUnavailable(f"no server answers at {where}: {reason}")
    error.connected = connected
    return error


def _headers(api_key: str | None) -> dict[str, str]:
    if api_key is None:
        return {}
    if not (api_key and api_key.isascii() and api_key.isprintable()):
        raise BadOption("api_key must be printable ASCII and not empty")
    return {API_KEY_HEADER: api_key}
