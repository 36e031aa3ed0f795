"""A host as each part of Triton wants it written, and as a client reaches it."""

from __future__ import annotations

import socket

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104, what is listened on and cannot be called


def family(host: str) -> socket.AddressFamily:
    """Return the kind of socket that binds ``host``."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def for_grpc(host: str) -> str:
    """Return ``host`` as a port can follow it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def for_http(host: str) -> str:
    """Return ``host`` as Triton's HTTP library tells IPv6: by a prefix, for it knows no brackets."""
    return f"ipv6:{host}" if ":" in host else host


def url(host: str, port: int) -> str:
    """Return ``host:port`` that a client on this machine reaches."""
    return f"{for_grpc(EVERYWHERE.get(host, host))}:{port}"
