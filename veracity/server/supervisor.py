"""A tritonserver that is kept alive: started, loaded in order, watched, healed, and stopped without a trace."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from tritonclient.utils import InferenceServerException

from veracity import log
from veracity.layers import profile_models
from veracity.server import binaries, repository, rundir
from veracity.server.control import Control
from veracity.server.models import Models
from veracity.server.process import Launch, Ports, Process
from veracity.server.watch import ModelState, back_off
from veracity.settings import Settings
from veracity_client.errors import ModelUnavailable, ServerUnavailable, VeracityError

DETECTORS = ("deepfake_detector", "deepfake_detector_stream")
TICK_SECONDS = 0.5  # how often the processes are looked at, which costs a read of /proc
SETTLED_SECONDS = 60.0  # a server that ran so long starts with a fresh count of restarts

_log = log.get(__name__)


class Server:
    """Serve a model repository until told to stop.

        with Server(Path("model_repository")) as server:
            Detector(server.grpc_url)

    Args:
        repository: folder of model folders.
        host: address that all three doors listen on.
        http_port, grpc_port, metrics_port: 0 chooses a free one.
        models: names to load; None loads all that have weights.
        env: variables added to the model processes' environment.
        production: refuse to start when a model fails to load, or one of ``models`` is missing.
        canary_seconds: between two looks at a model that answered nothing since; a canary waits twice as long.
        hang_seconds: a model that neither answered nor progressed for so long is loaded again. More than any request
            may take, since a canary waits in the same queue.
        load_seconds: longest wait for one model to load, and for its first answer.
        exit_seconds: what requests in flight get at the stop.
        http_max_input_size: bytes; for servers that bound it (the one of the pip wheel does not).
        triton: a directory with ``bin/tritonserver`` and ``backends/``, used as it is; None searches.
    """

    def __init__(
        self,
        repository: Path,
        *,
        host: str = "127.0.0.1",
        http_port: int = 0,
        grpc_port: int = 0,
        metrics_port: int = 0,
        models: Sequence[str] | None = None,
        env: Mapping[str, str] = MappingProxyType({}),
        production: bool = False,
        canary_seconds: float = 5.0,
        hang_seconds: float = 900.0,
        load_seconds: float = 300.0,
        exit_seconds: int = 5,
        http_max_input_size: int = 256 << 20,
        triton: Path | None = None,
    ) -> None:
        ports = Ports(http_port, grpc_port, metrics_port)
        self._launch = Launch(repository.absolute(), host, ports, exit_seconds, http_max_input_size, dict(env))
        self._wanted, self._production, self._triton = models, production, triton
        self._models = Models(canary_seconds, hang_seconds, load_seconds)
        self._stopping = threading.Event()
        self._run_dir: rundir.RunDir | None = None
        self._process: Process | None = None
        self._thread: threading.Thread | None = None
        self._restarts = 0

    @classmethod
    def from_settings(cls, settings: Settings, **options: Any) -> Server:
        """Serve the models of the settings' profile; model processes see the same settings. ``options`` as above."""
        given: dict[str, Any] = {
            "models": (*profile_models(settings.profile), *DETECTORS),
            "env": settings.to_env(),
            "production": settings.env == "production",
            "http_max_input_size": 2 * settings.max_bytes,  # so that ours is the error of a video that is too large
            "triton": settings.triton,
        }
        return cls(settings.model_repository, **(given | options))

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def models(self) -> dict[str, ModelState]:
        """Name to state, of every model that was asked for."""
        return self._models.states()

    @property
    def http_url(self) -> str:
        """``host:port`` as tritonclient takes it."""
        return self._url(self._running.ports.http)

    @property
    def grpc_url(self) -> str:
        """``host:port`` as tritonclient takes it."""
        return self._url(self._running.ports.grpc)

    @property
    def metrics_url(self) -> str:
        """Where Prometheus reads."""
        return f"http://{self._url(self._running.ports.metrics)}/metrics"

    @property
    def pid(self) -> int:
        """The process id of tritonserver; changes when it is restarted."""
        return self._running.pid

    @property
    def run_dir(self) -> Path:
        """This run's directory; it has Triton's log while the server runs."""
        return self._running.log.parent

    def start(self) -> None:
        """Start, load and warm; returns when all is served that can be.

        Raises:
            ServerUnavailable: no tritonserver, a library or a port is missing, or it was told to stop meanwhile.
            ModelUnavailable: in production, a model is missing or does not load.
        """
        if self._process is not None:
            raise ServerUnavailable("this server was started before: make a new one")
        try:
            self._run_dir = rundir.create()
            found = binaries.find(self._triton, self._run_dir.path)
            self._process = Process(found, self._launch, self._run_dir.path)
            self._process.start(self._stopping.is_set)
            self._load()
            if self._production:
                self._refuse_gaps()
        except BaseException as error:
            self.stop()
            if isinstance(error, InferenceServerException):
                raise ServerUnavailable(f"tritonserver ended while starting: {error.message()}") from None
            raise
        self._thread = threading.Thread(target=self._supervise, name="triton-supervisor", daemon=True)
        self._thread.start()

    def request_stop(self) -> None:
        """Begin to stop and return at once; a signal handler may call it. :meth:`wait` and :meth:`start` come back."""
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """Drain, stop, and leave no process, no shared memory and no run directory. May be called twice."""
        self.request_stop()
        if self._thread is not None:
            self._thread.join()
        if self._process is not None:
            self._process.stop()
        if self._run_dir is not None:
            self._run_dir.remove()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until somebody stops the server, or for ``timeout`` seconds; returns whether it was stopped."""
        return self._stopping.wait(timeout)

    @property
    def _running(self) -> Process:
        if self._process is None:
            raise ServerUnavailable("the server was not started")
        return self._process

    def _url(self, port: int) -> str:
        return f"{'127.0.0.1' if self._launch.host == '0.0.0.0' else self._launch.host}:{port}"  # noqa: S104

    def _load(self) -> None:
        contents = repository.read(self._launch.repository, self._wanted)
        with Control(self.grpc_url) as control:
            self._models.load_all(control, contents, self.pid, self._stopping.is_set)
        if self._stopping.is_set():
            raise ServerUnavailable("told to stop while starting")

    def _refuse_gaps(self) -> None:
        asked = set(self._wanted or ())
        gaps = {n: s for n, s in self.models.items() if s.state == "failed" or (s.state == "missing" and n in asked)}
        if gaps:
            raise ModelUnavailable("; ".join(f"{name}: {state.reason}" for name, state in gaps.items()))

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            self._watch()
            if not self._stopping.is_set():
                self._restart(time.monotonic() - began)

    def _watch(self) -> None:
        """Look at the models until tritonserver ends or the stop begins."""
        with Control(self.grpc_url) as control:
            while not self._stopping.wait(TICK_SECONDS) and self._running.poll() is None:
                try:
                    self._models.look(control, self.pid, self._stopping.is_set)
                except Exception:  # whatever it was, supervision goes on
                    _log.exception("a look at the models failed")

    def _restart(self, lived: float) -> None:
        """Start tritonserver again, after a pause that grows with each early death."""
        self._restarts = 1 if lived > SETTLED_SECONDS else self._restarts + 1
        pause = back_off(self._restarts)
        self._models.all_lost("tritonserver ended and is being restarted")
        _log.error("tritonserver ended", status=self._running.poll(), restart=self._restarts, next_seconds=pause)
        if self._stopping.wait(pause):
            return
        try:
            self._running.start(self._stopping.is_set)
            self._load()
        except (VeracityError, InferenceServerException) as error:
            _log.error("restart failed", reason=str(error))
        else:
            _log.warning("tritonserver restarted")
