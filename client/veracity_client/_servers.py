"""Several equal servers: which is asked next, and which is set aside until it says that it is ready again."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from veracity_client._address import Address, Protocol, TlsConfig
from veracity_client._source import shortened
from veracity_client._wire import RETRIED, WHEN_DOWN, Pauses, answered, pauses_after
from veracity_client.errors import AnalysisTimeout, BadOption, Overloaded, ServerUnavailable, VeracityError

T = TypeVar("T")

PROBE_SECONDS = 1.0  # the probe keeps one request waiting: a server that takes longer stays aside
CONNECT_SECONDS = 5.0  # then another is asked; of one server the request's own timeout bounds it


def parse(
    urls: str | Sequence[str], protocol: Protocol | None, tls: bool | TlsConfig, api_key: str | None
) -> list[Address]:
    """Read one url or a list of them; raises :class:`BadOption` for what is no address, and for an odd list."""
    if isinstance(urls, str) or not isinstance(urls, Sequence):
        return [Address.parse(urls, protocol, tls, api_key)]
    found = [Address.parse(url, protocol, tls, api_key) for url in urls]
    if not found:
        raise BadOption("the list of urls is empty; give one like localhost:8001")
    if len({address.protocol for address in found}) > 1:
        raise BadOption(f"the servers of a list are asked over one protocol, got {shortened(', '.join(urls))}")
    if len({address.target for address in found}) < len(found):
        raise BadOption(f"a server is in the list more than once: {shortened(', '.join(urls))}")
    if len(found) == 1:
        return found
    return [dataclasses.replace(address, connect_seconds=CONNECT_SECONDS) for address in found]


@dataclass(eq=False)
class Server(Generic[T]):
    """A server and what is known of it. ``probe_at``: it is set aside, and may be probed from then on."""

    name: str
    transport: T
    in_flight: int = 0
    failures: int = 0  # since its last answer
    probe_at: float | None = None


class Servers(Generic[T]):
    """The servers of one list. Least in flight is asked next, in turn where several are equal.

    A server is set aside when it refuses or cannot be reached, and comes back when a probe, at the next request after
    growing pauses, finds it ready. One that let a request time out is probed before it is asked again.
    """

    def __init__(self, addresses: Sequence[Address], connect: Callable[[Address], T]) -> None:
        self._all = [Server(address.target, connect(address)) for address in addresses]
        self._turns = itertools.count()
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Server[T]]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def to_probe(self) -> Server[T] | None:
        """Return a server whose probe is due, to the first caller alone; until it is back, its next probe is later."""
        if len(self._all) == 1:  # it is asked anyway
            return None
        with self._lock:
            due = [s for s in self._all if s.probe_at is not None and s.probe_at <= time.monotonic()]
            if not due:
                return None
            self._set_aside(due[0], WHEN_DOWN)
            return due[0]

    def back(self, server: Server[T]) -> None:
        """Ask a server again that a probe found ready."""
        with self._lock:
            server.probe_at = None

    @contextmanager
    def ask(self, refused: Container[Server[T]]) -> Iterator[Server[T]]:
        """Choose a server that is not in ``refused``, and learn from how the request ends."""
        with self._lock:
            server = self._choose([one for one in self._all if one not in refused])
            server.in_flight += 1
            probe_at = server.probe_at
        try:
            yield server
        except RETRIED as error:
            with self._lock:
                self._set_aside(server, pauses_after(error))
            raise
        except AnalysisTimeout:
            with self._lock:  # it may hang
                server.probe_at = time.monotonic() if server.probe_at is None else server.probe_at
            raise
        except VeracityError:
            self._answered(server, probe_at)
            raise
        else:
            self._answered(server, probe_at)
        finally:
            with self._lock:
                server.in_flight -= 1

    def _choose(self, candidates: list[Server[T]]) -> Server[T]:
        well = [server for server in candidates if server.probe_at is None] or candidates
        turn = next(self._turns) % len(well)
        return min(well[turn:] + well[:turn], key=lambda server: server.in_flight)

    def _set_aside(self, server: Server[T], pauses: Pauses) -> None:
        server.probe_at = time.monotonic() + pauses.seconds(server.failures)
        server.failures += 1

    def _answered(self, server: Server[T], probe_at: float | None) -> None:
        with self._lock:
            if server.probe_at == probe_at:  # else it was set aside meanwhile: this request is older than that
                server.probe_at, server.failures = None, 0


def refusal(refused: Mapping[Server[T], VeracityError]) -> VeracityError:
    """Return one error for all servers: Overloaded before others, since it passes soonest, no connection last."""
    chosen = max(refused.values(), key=lambda error: (isinstance(error, Overloaded), answered(error)))
    if len(refused) == 1:
        return chosen
    said = "; ".join(f"{server.name}: {error.message}" for server, error in refused.items())
    error = type(chosen)(f"none of {len(refused)} servers took the request: {said}", request_id=chosen.request_id)
    if isinstance(error, ServerUnavailable):
        error.connected = answered(chosen)
    return error
