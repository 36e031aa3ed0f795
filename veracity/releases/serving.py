"""``veracity release serve``: a server for each release that is asked, behind one address."""

from __future__ import annotations

import fcntl
import json
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from prometheus_client import CollectorRegistry

from veracity import log
from veracity.releases.front import Front
from veracity.releases.store import ANSWERS, CALIBRATION, REPOSITORY, ReleaseError, State, Store, write
from veracity.server import address, rundir
from veracity.server.heals import Heals
from veracity.server.ports import Ports
from veracity.server.proxy.access import Access
from veracity.server.repository import DETECTORS
from veracity.server.server import Server
from veracity.settings import Settings
from veracity_client.errors import VeracityError

SERVING, HELD = "serving.json", ".serving"
LOOK_SECONDS = 0.2  # how often it looks whether the releases' roles changed
# Envoy does not say when all of its threads have read new routes, which takes milliseconds on a machine that has time:
ROUTED_SECONDS = 1.0  # until a change counts as made
SETTLED_SECONDS = 5.0  # until a server that gets no requests any more is told to stop

_log = log.get(__name__)


class ReleaseServer:
    """The servers of the releases that have a role, and the front; :meth:`run` follows the state until the stop."""

    def __init__(self, store: Store, settings: Settings, host: str, ports: Ports, *, keep_previous: bool) -> None:
        self._store, self._settings, self._keep_previous = store, settings, keep_previous
        self._host, self._ports = host, ports
        self._servers: dict[str, Server] = {}
        self._starting: dict[str, Future[Server]] = {}
        self._failed: dict[str, str] = {}
        self._stopping_servers: list[Future[None]] = []
        self._routed, self._routed_at = State(), 0.0
        self._stopping = threading.Event()
        self._skip_drain = False
        self._threads = ThreadPoolExecutor(4, "release")

    def request_stop(self, *, drain: bool = True) -> None:
        """Begin to stop and return at once; without ``drain`` what is in flight is cut off."""
        self._skip_drain |= not drain
        self._stopping.set()
        for server in self._servers.values():
            server.request_stop(drain=drain)

    def run(self, announce: Any = None) -> None:
        """Serve. Raises :class:`VeracityError` where the current release cannot be."""
        with self._held():
            state = self._store.state()
            if state.current is None:
                raise ReleaseError(
                    f"no release in {self._store.folder} was promoted yet: `veracity release promote NAME`"
                )
            try:
                self._servers[state.current] = self._start(state.current)
                self._serve(state, announce)
            finally:
                self._end()

    def _serve(self, state: State, announce: Any) -> None:
        directory = rundir.create()
        access = Access.from_settings(self._settings)
        host = address.resolve(self._host)
        access.check(self._host, host)
        body = 2 * self._settings.max_bytes
        front = Front(host, self._ports, access, body, directory.path, Heals(CollectorRegistry()))
        try:
            front.start()
            self._route(front, State(current=state.current))
            front.open()
            if announce:
                announce(front)
            while not self._stopping.wait(LOOK_SECONDS):
                self._follow(front)
        finally:
            for name, server in self._servers.items():  # the front goes last: answers pass through it
                self._stop(name, server)
            for done in self._stopping_servers:
                done.result()
            self._servers = {}
            front.close()
            directory.remove()

    def _follow(self, front: Front) -> None:
        """Do a step from what is served to what the state says."""
        try:
            state = self._store.state()
        except ReleaseError as error:
            _log.error("state not read", reason=error.message)
            return
        for name in self._wanted(state):
            if name not in self._servers and name not in self._starting and name not in self._failed:
                self._starting[name] = self._threads.submit(self._start, name)
        for name, future in list(self._starting.items()):
            if future.done():
                del self._starting[name]
                self._started(name, future)
        self._failed = {name: why for name, why in self._failed.items() if name in self._wanted(state)}
        if state != self._routed and self._ready(state):
            self._route(front, state)
        self._tell(state)
        if time.monotonic() - self._routed_at > SETTLED_SECONDS:
            for name in set(self._servers) - self._wanted(state) - self._wanted(self._routed):
                self._stop(name, self._servers.pop(name))

    def _wanted(self, state: State) -> set[str]:
        kept = state.previous if self._keep_previous else None
        return {name for name in (state.current, state.trying, kept) if name}

    def _ready(self, state: State) -> bool:
        return all(name in self._servers for name in (state.current, state.trying) if name)

    def _start(self, name: str) -> Server:
        release, folder = self._store.verified(name), self._store.path(name)
        settings = self._settings.replace(
            profile=release.profile, model_repository=folder / REPOSITORY, calibration=folder / CALIBRATION,
            answers=folder / ANSWERS,
        )  # fmt: skip
        server = Server.from_settings(settings, access=Access())  # on loopback, for the front alone
        server.start()
        try:
            for detector in DETECTORS:
                server.require(detector)
        except VeracityError:
            server.stop()
            raise
        return server

    def _started(self, name: str, future: Future[Server]) -> None:
        try:
            self._servers[name] = future.result()
            _log.info("release serves", release=name)
        except VeracityError as error:
            self._failed[name] = error.message
            _log.error("release not served", release=name, reason=error.message)

    def _stop(self, name: str, server: Server) -> None:
        """Let a server end when it has answered what it was asked."""
        _log.info("release stops", release=name)
        server.request_stop(drain=not self._skip_drain)
        self._stopping_servers.append(self._threads.submit(server.stop))

    def _route(self, front: Front, state: State) -> None:
        front.route(state, {name: _addresses(server) for name, server in self._servers.items()})
        self._routed, self._routed_at = state, time.monotonic()
        self._stopping.wait(ROUTED_SECONDS)
        _log.info("routed", current=state.current, candidate=state.trying, mode=state.mode, share=state.share)
        self._tell(state)

    def _tell(self, state: State) -> None:
        """Say what is routed, for the commands that wait for it."""
        said = {
            "routed": _plain(self._routed),
            "wanted": _plain(state),
            "failed": self._failed,
            "runs": sorted(self._servers),
        }
        text = json.dumps(said, indent=1).encode()
        path = self._store.folder / SERVING
        if not path.is_file() or path.read_bytes() != text:
            write(path, text)

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold what says that this folder is served; raises :class:`ReleaseError` where another does already."""
        self._store.folder.mkdir(parents=True, exist_ok=True)
        with (self._store.folder / HELD).open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ReleaseError(f"{self._store.folder} is served already") from None
            yield

    def _end(self) -> None:
        for future in self._starting.values():
            with suppress(VeracityError):
                future.result().stop()
        for server in self._servers.values():
            server.stop()
        self._threads.shutdown()
        (self._store.folder / SERVING).unlink(missing_ok=True)


def serving(store: Store) -> dict[str, Any] | None:
    """Return what the process that serves the folder routes now; None where none does."""
    try:
        with (store.folder / HELD).open() as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        with suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((store.folder / SERVING).read_bytes())
            return found
        return {"routed": {}, "wanted": {}, "failed": {}, "runs": []}
    return None


def _plain(state: State) -> dict[str, Any]:
    return {"current": state.current, "candidate": state.trying, "mode": state.mode, "share": state.share}


def _addresses(server: Server) -> Mapping[str, tuple[str, int]]:
    urls = {"http": server.http_url, "grpc": server.grpc_url}
    urls |= {"metrics": _bare(server.metrics_url), "health": _bare(server.health_url)}
    return {name: (url.rpartition(":")[0], int(url.rpartition(":")[2])) for name, url in urls.items()}


def _bare(url: str) -> str:
    return url.partition("//")[2].partition("/")[0]
