"""A host as each part of Triton wants it written, and as a client reaches it."""

from __future__ import annotations

import socket

from veracity_client.errors import BadOption

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104, what is listened on and cannot be called


def resolve(host: str) -> str:
    """Return the address that a host name or address stands for: IPv4 where a name has both.

    IPv6 may stand in brackets. Raises :class:`BadOption` for a host that is unknown here.
    """
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        found = socket.getaddrinfo(bare, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # the latter for names that are too long for DNS
        raise BadOption(f"--host {host}: this machine knows no host of that name") from None
    return str(min(found, key=lambda entry: entry[0] != socket.AF_INET)[4][0])


def family(host: str) -> socket.AddressFamily:
    """Return the kind of socket that binds the address ``host``."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def for_grpc(host: str) -> str:
    """Return ``host`` as a port can follow it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def for_http(host: str) -> str:
    """Return ``host`` as Triton's HTTP library reads IPv6: by a prefix, for it knows no brackets."""
    return f"ipv6:{host}" if ":" in host else host


def url(host: str, port: int) -> str:
    """Return ``host:port`` that a client on this machine reaches."""
    return f"{for_grpc(EVERYWHERE.get(host, host))}:{port}"
