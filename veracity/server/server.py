"""A tritonserver under supervision: start, load, check, reload, drain, stop."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from prometheus_client import CollectorRegistry
from tritonclient.utils import InferenceServerException

from veracity.catalog import SPEAKER, provenance
from veracity.catalog.profiles import BENCH, choose, required, served
from veracity.decision.calibration import FILE as CALIBRATION
from veracity.install.signing import SETTING, Signer
from veracity.media import isolation, trial
from veracity.server import accelerators, address, binaries, repository, rundir
from veracity.server.counted import Counted
from veracity.server.heals import Heals
from veracity.server.health import ModelState
from veracity.server.launch import Launch
from veracity.server.lazy import LazyModels
from veracity.server.lease_server import LeaseServer
from veracity.server.measured import Measured
from veracity.server.memory import Memory
from veracity.server.models import Models, Timeouts
from veracity.server.ports import Ports, check
from veracity.server.process import TritonProcess
from veracity.server.proxy.access import Access
from veracity.server.proxy.limits import Limits
from veracity.server.proxy.process import Proxy
from veracity.server.sockets import Sockets
from veracity.server.status import Phase, Status, StatusPages
from veracity.server.status_server import StatusServer
from veracity.server.supervisor import Supervisor
from veracity.server.tritonlog import Sink
from veracity.settings import Settings
from veracity_client import telemetry
from veracity_client.errors import ModelUnavailable, ServerUnavailable

EXIT_SECONDS = 5  # of a tritonserver that is told to end, which a dead model process keeps from it


class Server:
    """Serve a model repository until told to stop.

        with Server(Path("model_repository")) as server:
            Detector(server.grpc_url)

    Args:
        repository: folder of model folders.
        host: name or address that all ports listen on.
        access: who may call; anything but loopback wants keys, or ``insecure``.
        http_port, grpc_port, metrics_port, health_port: 0 picks a free one.
        models: names to load; None loads all that have weights.
        env: variables added to the model processes' environment.
        production: refuse to start when a model fails to load, or one of ``required`` is missing.
        required: of ``models``, those that production cannot do without; None means all.
        untrained: serve graphs with made-up weights too, to measure time.
        canary_seconds: between two checks of a model that answered no request since; a canary may take twice as long.
        hang_seconds: a detector that answers nothing for so long is loaded again, and its requests are lost. Has to be
            longer than any request, since canaries wait in the same queue.
        child_hang_seconds: the same for the models that detectors call.
        load_seconds: longest wait for one model to load, and for its smoke test.
        drain_seconds: what requests in flight get at the stop; new ones are refused by then.
        max_request_bytes: the largest request; one that is larger is refused before it is read.
        log_sink: is called with the bytes that Triton and the models log.
        triton: a directory with ``bin/tritonserver`` and ``backends/``, used as it is; None searches.
        model_config: name of the ``configs/<name>.pbtxt`` that each model uses which has it.
        calibration: the file that the detectors use, for what the health port tells of it.
        signer: PEM file of who has to have signed each model that is loaded.
        memory: whether models are loaded only while they are needed, and what they may take.
    """

    def __init__(
        self,
        repository: Path,
        *,
        host: str = "127.0.0.1",
        access: Access = Access(),  # noqa: B008, frozen
        http_port: int = 0,
        grpc_port: int = 0,
        metrics_port: int = 0,
        health_port: int = 0,
        models: Sequence[str] | None = None,
        env: Mapping[str, str] = MappingProxyType({}),
        production: bool = False,
        required: Sequence[str] | None = None,
        untrained: bool = False,
        canary_seconds: float = 5.0,
        hang_seconds: float = 900.0,
        child_hang_seconds: float = 120.0,
        load_seconds: float = 300.0,
        drain_seconds: float = 30.0,
        max_request_bytes: int = 256 << 20,
        log_sink: Sink | None = None,
        triton: Path | None = None,
        model_config: str = "",
        calibration: Path = CALIBRATION,
        signer: Path | None = None,
        memory: Memory = Memory(),  # noqa: B008, frozen
    ) -> None:
        self._ports = Ports(http_port, grpc_port, metrics_port, health_port)
        self._host, self._access = address.resolve(host), access
        check(self._ports)
        access.check(host, self._host)
        self._signer = None if signer is None else Signer(signer)
        self._launch = Launch(
            repository.absolute(), EXIT_SECONDS, max_request_bytes, dict(env), model_config, memory.lazy
        )
        self._model_names, self._production, self._triton, self._sink = models, production, triton, log_sink
        self._required, self._untrained = set((models if required is None else required) or ()), untrained
        self._drain_seconds = drain_seconds
        self._stopping, self._skip_drain = threading.Event(), threading.Event()
        timeouts = Timeouts(canary_seconds, hang_seconds, child_hang_seconds, load_seconds)
        registry = CollectorRegistry()
        self._heals = Heals(registry)
        self._memory = memory
        launch, stopping = self._launch, self._stopping.is_set
        parts = (launch.repository, timeouts, stopping, self._heals, model_config, launch.env, self._signer)
        self._models: Models = Models(*parts)
        self._leases: LeaseServer | None = None
        if memory.lazy:
            self._models = LazyModels(memory, self._sizes, lambda: self._running, *parts, test_all=production)
        registry.register(Measured(self._launch.repository, calibration, self._served))
        registry.register(Counted(lambda: self._process.counts if self._process else None))
        self._pages = StatusPages(self.status, self._digests, registry)
        self.stop_requested = False  # by request_stop; a start that fails stops too
        self._run_dir: rundir.RunDir | None = None
        self._process: TritonProcess | None = None
        self._proxy: Proxy | None = None
        self._status_server: StatusServer | None = None
        self._supervisor: Supervisor | None = None
        self._thread: threading.Thread | None = None

    @classmethod
    def from_settings(cls, settings: Settings, **options: Any) -> Server:
        """Serve the models of the settings' profile; model processes see the same settings. ``options`` as above.

        Raises :class:`ServerUnavailable` for the faults that ``veracity doctor`` finds, in production, and
        :class:`VeracityError` where decoders cannot be isolated, or spans not be sent, as they are required to be, and
        where the chosen decoder decodes nothing.
        """
        isolation.check(settings.decoder_isolation)
        telemetry.check()
        production, choice = settings.env == "production", choose(settings.profile, settings.models)
        if production:
            _refuse_faults(settings)
        trial.check(settings)
        defaults: dict[str, Any] = {
            "models": (*_models(settings), *repository.DETECTORS),
            "required": (*required(choice), *repository.DETECTORS),
            "untrained": settings.profile == BENCH,
            "env": settings.to_env(),
            "production": production,
            "drain_seconds": settings.drain_seconds,
            "access": options.get("access") or Access.from_settings(settings),
            "max_request_bytes": 2 * settings.max_bytes,  # so that the error for a video that is too large is ours
            "triton": settings.triton,
            "model_config": settings.model_config_name,
            "calibration": settings.calibration or CALIBRATION,
            "signer": settings.model_signer,
            "memory": Memory.from_settings(settings),
        }
        return cls(settings.model_repository, **(defaults | options))

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def models(self) -> dict[str, ModelState]:
        """Name to state, of every model that was to be loaded."""
        return self._models.states()

    @property
    def http_url(self) -> str:
        """``host:port`` as tritonclient takes it."""
        return self._opened.url(self._opened.ports.http)

    @property
    def grpc_url(self) -> str:
        """``host:port`` as tritonclient takes it."""
        return self._opened.url(self._opened.ports.grpc)

    @property
    def metrics_url(self) -> str:
        """Where Prometheus reads."""
        return f"{self._scheme}://{self._opened.url(self._opened.ports.metrics)}/metrics"

    @property
    def health_url(self) -> str:
        """Where ``/live``, ``/ready`` and the whole are; ``/version`` and our ``/metrics`` are beside it."""
        return f"{self._scheme}://{self._opened.url(self._opened.ports.health)}/health"

    @property
    def sockets(self) -> Sockets:
        """Where tritonserver itself listens, for this machine's owner of the run alone."""
        return self._running.sockets

    @property
    def proxy_pid(self) -> int:
        """The process id of the proxy that has the ports; changes when it is restarted."""
        return self._opened.pid

    @property
    def pid(self) -> int:
        """The process id of tritonserver; changes when it is restarted."""
        return self._running.pid

    @property
    def run_dir(self) -> Path:
        """This run's directory; it has Triton's log while the server runs."""
        return self._running.log.path.parent

    def start(self) -> None:
        """Start, load and test; returns when all is served that can be.

        Raises:
            ServerUnavailable: no tritonserver, no model repository, a library or a port is missing, a model is not
                what was signed, or the stop began meanwhile.
            ModelUnavailable: in production, a model is missing or does not load.
        """
        if self._process is not None:
            raise ServerUnavailable("a server can be started only once: make a new one")
        try:
            supervisor = self._launch_and_load()
        except BaseException as error:
            self.stop()
            if isinstance(error, InferenceServerException):
                raise ServerUnavailable(f"tritonserver ended while starting: {error.message()}") from None
            raise
        self._running.log.follow()
        self._thread = threading.Thread(target=supervisor.run, name="triton-supervisor", daemon=True)
        self._thread.start()

    def request_stop(self, *, drain: bool = True) -> None:
        """Begin to stop and return at once: :meth:`wait` and :meth:`start` come back. Not for a signal handler.

        Without ``drain``, also after a call with it, :meth:`stop` does not wait for the requests in flight.
        """
        if not drain:
            self._skip_drain.set()
        self.stop_requested = True
        self._stopping.set()
        if self._process is not None and self._thread is None:  # starting: there is nothing to drain
            self._process.terminate()

    def stop(self) -> None:
        """Drain, stop, and leave no process, no shared memory and no run directory. May be called twice."""
        self._stopping.set()
        if self._supervisor is not None and self._thread is not None:
            self._supervisor.drain(self._drain_seconds, self._skip_drain.is_set)
        if self._process is not None:
            self._process.stop()
        if self._thread is not None:
            self._thread.join()
        if self._process is not None:
            self._process.kill()
        if self._proxy is not None:  # the last answers went through it
            self._proxy.close()
        if self._status_server is not None:
            self._status_server.stop()
        if self._leases is not None:
            self._leases.stop()
        if self._process is not None:
            self._process.log.close()
        if self._run_dir is not None:
            self._run_dir.remove()

    def require(self, name: str) -> None:
        """Raise :class:`ModelUnavailable`, with the reason, unless the model of that name is served."""
        model = self.models.get(name, ModelState("missing", "this server was not told to load it"))
        if not model.serves:
            raise ModelUnavailable(f"{name}: {model.reason}")

    def status(self) -> Status:
        """Return how it is doing now."""
        in_flight = 0
        with suppress(OSError, ValueError):  # tritonserver is not there
            in_flight = self._running.requests_in_flight() if self._phase != "starting" else 0
        return Status(self._phase, self.models, in_flight)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the stop begins, or for ``timeout`` seconds; returns whether it has begun."""
        return self._stopping.wait(timeout)

    def _digests(self) -> dict[str, str]:
        """Return the sha256 of each served graph that has a provenance, by model."""
        pages = {name: provenance.read(self._launch.repository / name) for name in self._served()}
        return {name: page["graph_sha256"] for name, page in pages.items() if "graph_sha256" in page}

    def _served(self) -> list[str]:
        return [name for name, model in self.models.items() if model.serves]

    @property
    def _phase(self) -> Phase:
        if self._stopping.is_set():
            return "stopping"
        if self._thread is None:
            return "starting"
        return "serving" if self._thread.is_alive() else "broken"

    @property
    def _scheme(self) -> str:
        return "https" if self._access.tls else "http"

    @property
    def _running(self) -> TritonProcess:
        if self._process is None:
            raise ServerUnavailable("the server was not started")
        return self._process

    @property
    def _opened(self) -> Proxy:
        if self._proxy is None:
            raise ServerUnavailable("the server was not started")
        return self._proxy

    def _launch_and_load(self) -> Supervisor:
        repository.check(self._launch.repository)
        self._refuse_unsigned()
        self._sizes(self._read().children)
        self._run_dir = rundir.create()
        found = binaries.find(self._triton, self._run_dir.path)
        accelerators.check(self._launch.model_config, found.backends)
        sockets = Sockets(self._run_dir.path)
        self._process = TritonProcess(found, self._launch, sockets, self._sink)
        limits, log_file = Limits(self._launch.max_request_bytes), self._process.log.path
        self._status_server = StatusServer(sockets.health, self._pages.get)
        self._status_server.start()
        if isinstance(self._models, LazyModels):
            self._leases = LeaseServer(sockets.residency, self._models)
            self._leases.start()
        self._proxy = Proxy(self._host, self._ports, self._access, limits, sockets, log_file, self._heals)
        self._proxy.start()
        self._process.start(self._stopping.is_set)
        self._proxy.open()
        (self._run_dir.path / rundir.ADDRESS).write_text(self.grpc_url)
        self._supervisor = Supervisor(self._process, self._models, self._read, self._stopping, self._heals)
        self._supervisor.load()
        if self._production:
            self._refuse_gaps()
        return self._supervisor

    def _read(self) -> repository.Contents:
        return repository.read(self._launch.repository, self._model_names, untrained=self._untrained)

    def _refuse_unsigned(self) -> None:
        """Raise for models that are not what was signed, before anything is started; each load asks again."""
        if self._signer is None:
            return
        contents = self._read()
        faults = {name: self._signer.error(self._launch.repository / name) for name in contents.installed}
        if lines := [f"{name}: {why}" for name, why in faults.items() if why]:
            raise ServerUnavailable(f"{SETTING} refuses {self._launch.repository}: {'; '.join(lines)}")

    def _sizes(self, models: Iterable[str]) -> dict[str, int]:
        return self._memory.sizes(self._launch.repository, models, self._launch.model_config)

    def _refuse_gaps(self) -> None:
        """Raise for models that failed to load, and for required ones that are missing; a fallback may be missing.

        What explanations alone ask may be either: no verdict rests on it.
        """
        states = [(name, state) for name, state in self.models.items() if name != SPEAKER.name]
        gaps = {n: s for n, s in states if s.state == "failed" or (s.state == "missing" and n in self._required)}
        if gaps:
            raise ModelUnavailable("; ".join(f"{name}: {state.reason}" for name, state in gaps.items()))


def _models(settings: Settings) -> list[str]:
    """Return what is to be served; a repository of one's own may lack the folder of what explanations alone ask."""
    names = served(settings.profile, settings.models)
    return [name for name in names if name != SPEAKER.name or (settings.model_repository / name).is_dir()]


def _refuse_faults(settings: Settings) -> None:
    """Raise for what the doctor finds; the graphs are not loaded for that, since Triton loads and tests each."""
    from veracity.install import doctor

    repository.check(settings.model_repository)
    if faults := [finding for finding in doctor.examine(settings, graphs=False) if finding.fatal]:
        lines = [f"  {finding.what}: {finding.state}: {finding.detail}" for finding in faults]
        raise ServerUnavailable("\n".join(("VERACITY_ENV=production refuses to start:", *lines)))
