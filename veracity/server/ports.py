"""The ports of a server: which can be had, and which a process listens on."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from veracity.server import address
from veracity_client.errors import BadOption, ServerUnavailable

HIGHEST = 65535
LISTEN = "0A"  # TCP_LISTEN of the kernel, as /proc/net/tcp writes it


class Ports(NamedTuple):
    """A port for each endpoint; 0 stands for any that is free."""

    http: int
    grpc: int
    metrics: int
    health: int


def check(ports: Ports) -> None:
    """Raise :class:`BadOption` for a number that is no port, or that two endpoints would share."""
    for name, port in ports._asdict().items():
        if not 0 <= port <= HIGHEST:
            raise BadOption(f"--{name}-port must be a number from 0 to {HIGHEST}, got {port}")
    chosen = [port for port in ports if port]
    for port in chosen:
        if chosen.count(port) > 1:
            raise BadOption(f"two endpoints cannot share port {port}; pass 0 for one of them")


def choose(host: str, wanted: Ports) -> Ports:
    """Return ``wanted`` with each 0 replaced by a port that is free now.

    Raises :class:`ServerUnavailable` for a port or address that cannot be bound. All are held until all are chosen, so
    they differ.
    """
    with ExitStack() as held:
        return Ports(*(_bind(held, host, name, port) for name, port in wanted._asdict().items()))


def _bind(held: ExitStack, host: str, name: str, port: int) -> int:
    try:
        listener = held.enter_context(socket.socket(address.family(host)))
        if port:  # one that the last run let go of may be in the state TIME_WAIT
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        raise ServerUnavailable(_refusal(error, host, name, port)) from None
    return int(listener.getsockname()[1])


def _refusal(error: OSError, host: str, name: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return in_use(name, port)
    if error.errno == errno.EACCES:
        return f"port {port} needs the right to bind privileged ports; pass --{name}-port with a number of 1024 or more"
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return f"{host} is no address of this machine; pass --host with one that is"
    return f"cannot listen on {address.url(host, port)}: {error.strerror}"


def in_use(name: str, port: int) -> str:
    """Say that another process has a port."""
    return f"port {port} is already in use; stop the other process or pass --{name}-port 0"


def listening(pid: int) -> set[int]:
    """Return the TCP ports that a process itself listens on, none where it has ended.

    An answer from a port may come from another process, and Triton logs "Started Metrics Service" before it tries.
    """
    found = set()
    with suppress(OSError):
        sockets = set(map(_target, Path(f"/proc/{pid}/fd").iterdir()))
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN and f"socket:[{fields[9]}]" in sockets:
                    found.add(int(fields[1].rpartition(":")[2], 16))
    return found


def _target(descriptor: Path) -> str:
    with suppress(OSError):  # it was closed meanwhile
        return str(descriptor.readlink())
    return ""
