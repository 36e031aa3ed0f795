"""The two detectors as Triton's Python backend calls them.

Tensors of both detectors, batch 1: ``VIDEO`` BYTES (the file) or ``PATH`` BYTES (a name under the media root),
``OPTIONS`` BYTES (JSON, optional); ``VERDICT`` BYTES (JSON) or, streamed, ``EVENT`` BYTES (JSON) a message.
"""

from __future__ import annotations

import asyncio
import ctypes
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import structlog
import triton_python_backend_utils as pb
from prometheus_client import CollectorRegistry

from veracity import answers, in_flight, log
from veracity.analysis.context import AnalysisContext
from veracity.analysis.pipeline import analyze, ignore
from veracity.catalog.serving import BULK_WAITING, SERVICE, VIDEOS_AT_ONCE, VIDEOS_WAITING
from veracity.serving.bls import BlsInfer
from veracity.serving.request import is_empty, parse, priority, seconds_waited
from veracity.serving.tracing import traced
from veracity.settings import Settings
from veracity.turns import Turns
from veracity_client import telemetry
from veracity_client._meters import Analyses
from veracity_client._wire import ALIVE, ALIVE_SECONDS, PRIORITIES
from veracity_client.errors import AnalysisTimeout, InternalError, Overloaded, VeracityError
from veracity_client.metrics import of_error, of_verdict
from veracity_client.verdict import StageEvent, Verdict, event_to_json

THREADS = 64  # of the event loop: an inference in flight holds one, and asyncio's own default is cores + 4
CANCEL_POLL_SECONDS = 0.25
WAITING = {PRIORITIES["interactive"]: VIDEOS_WAITING, PRIORITIES["bulk"]: BULK_WAITING}
ABANDONED = "the caller went away or its deadline passed"

logger = log.get(__name__)


class Detector:
    """``deepfake_detector``: one request, one verdict."""

    output, decoupled = "VERDICT", False

    def initialize(self, args: Mapping[str, str]) -> None:  # noqa: ARG002  Triton's signature
        """Read the settings once; Triton reports what is wrong with them as the reason why the model did not load."""
        settings = Settings.from_env()
        log.configure(settings.log_level)
        telemetry.start(SERVICE)
        self.meters = Analyses("detector", CollectorRegistry())  # zeros at first; the supervisor shows them
        self.context = AnalysisContext.from_settings(settings)
        self.infer = BlsInfer(settings.model_repository, settings.model_config_name)
        self.threads = ThreadPoolExecutor(THREADS, "infer")

    async def execute(self, requests: Sequence[Any]) -> list[Any] | None:
        """Answer every request on its own: one that fails harms no other."""
        asyncio.get_running_loop().set_default_executor(self.threads)
        with in_flight.counted():
            responses = list(await asyncio.gather(*(self._respond(request) for request in requests)))
        await asyncio.to_thread(_give_memory_back)
        return responses

    async def _respond(self, request: Any) -> Any:
        try:
            verdict = await self._guarded(request, request.is_cancelled, ignore)
        except VeracityError as error:
            return pb.InferenceResponse([], _triton_error(error))
        return _message(self.output, await asyncio.to_thread(verdict.to_json))

    async def _guarded(
        self, request: Any, cancelled: Callable[[], bool], tell: Callable[[StageEvent], None]
    ) -> Verdict:
        """Analyse and count, with the request's id in every log line; only errors of ours come out."""
        request_id, probe = request.request_id() or str(uuid.uuid4()), is_empty(request)
        arrived = time.monotonic() - seconds_waited(request, time.time())
        with structlog.contextvars.bound_contextvars(request_id=request_id), traced(request, decoupled=self.decoupled):
            try:
                verdict = await self._analyze(request, arrived, cancelled, tell)
            except VeracityError as error:
                level = logger.debug if probe else logger.info
                level("refused", error=type(error).__name__, message=error.message)
                if not probe:
                    self.meters.take(of_error(type(error).__name__, time.monotonic() - arrived))
                raise
            except Exception as error:
                logger.exception("analysis failed")
                self.meters.take(of_error(InternalError.__name__, time.monotonic() - arrived))
                raise InternalError(f"analysis failed; the server's log has it under request {request_id}") from error
            if self.context.settings.answers is not None:
                await asyncio.to_thread(answers.record, self.context.settings.answers, verdict)
            logger.info("verdict", video_id=verdict.video_id, label=verdict.label, timings=dict(verdict.timings))
            self.meters.take(of_verdict(verdict, time.monotonic() - arrived))
            return verdict

    async def _analyze(
        self, request: Any, arrived: float, cancelled: Callable[[], bool], tell: Callable[[StageEvent], None]
    ) -> Verdict:
        """Work on a request until the caller goes away; it ``arrived`` then, on the monotonic clock."""
        if cancelled():
            raise AnalysisTimeout(ABANDONED)
        task = asyncio.create_task(self._work(request, arrived, tell))
        while not (await asyncio.wait([task], timeout=CANCEL_POLL_SECONDS))[0]:
            if cancelled():
                task.cancel()
                await asyncio.wait([task])
                raise AnalysisTimeout(ABANDONED)
        return task.result()

    async def _work(self, request: Any, arrived: float, tell: Callable[[StageEvent], None]) -> Verdict:
        """Read the request and analyse; the deadline counts from ``arrived``."""
        source, options = await asyncio.to_thread(parse, request, self.context.settings.media_root)
        waited = time.monotonic() - arrived
        return await analyze(source, self.infer, options, self.context, tell, waited=waited)

    def finalize(self) -> None:
        """Let the threads go, so that the process ends at once."""
        self.threads.shutdown(wait=False, cancel_futures=True)


class DetectorStream(Detector):
    """``deepfake_detector_stream``: a message a stage, the verdict last. Analyses overlap."""

    output, decoupled = "EVENT", True

    def initialize(self, args: Mapping[str, str]) -> None:
        """Bound what Triton does not: a decoupled instance is handed every request at once, its queue never fills."""
        super().initialize(args)
        self.turns = Turns(VIDEOS_AT_ONCE)
        self.streams: Counter[int] = Counter()  # by priority

    async def execute(self, requests: Sequence[Any]) -> None:
        """Stream the answers of all requests, each through its own sender."""
        asyncio.get_running_loop().set_default_executor(self.threads)
        with in_flight.counted():
            await asyncio.gather(*(self._stream(request, request.get_response_sender()) for request in requests))
        await asyncio.to_thread(_give_memory_back)

    async def _stream(self, request: Any, sender: Any) -> None:
        def tell(event: StageEvent) -> None:
            sender.send(_message(self.output, event_to_json(event)))

        try:
            alive = asyncio.create_task(self._say_alive(sender, probe=is_empty(request)))
            try:
                verdict = await self._guarded(request, sender.is_cancelled, tell)
            finally:
                alive.cancel()
            last = _message(self.output, await asyncio.to_thread(event_to_json, verdict))
        except VeracityError as error:
            last = pb.InferenceResponse([], _triton_error(error))
        sender.send(last, flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    async def _say_alive(self, sender: Any, *, probe: bool) -> None:
        """Send a message now and again, since Triton does not end the streams of a process that died.

        A probe looks at the first message and wants the refusal.
        """
        while not probe:
            sender.send(_message(self.output, ALIVE))
            await asyncio.sleep(ALIVE_SECONDS)

    async def _analyze(
        self, request: Any, arrived: float, cancelled: Callable[[], bool], tell: Callable[[StageEvent], None]
    ) -> Verdict:
        level = priority(request)
        self.streams[level] += 1
        try:
            if self.streams[level] > VIDEOS_AT_ONCE + WAITING[level]:
                raise Overloaded("as many streams as this server takes are waiting; ask again later")
            return await super()._analyze(request, arrived, cancelled, tell)
        finally:
            self.streams[level] -= 1

    async def _work(self, request: Any, arrived: float, tell: Callable[[StageEvent], None]) -> Verdict:
        async with self.turns.turn(priority(request)):
            return await super()._work(request, arrived, tell)


def _give_memory_back() -> None:
    """Return to the system what was freed, in about 5 ms: of a 1080p clip glibc would keep some 170 MB.

    Called where the analysis, failed or not, has ended with all that it held.
    """
    ctypes.CDLL(None).malloc_trim(0)


def _triton_error(error: VeracityError) -> Any:
    return pb.TritonError(error.to_wire(), getattr(pb.TritonError, error.triton))


def _message(name: str, text: str) -> Any:
    return pb.InferenceResponse([pb.Tensor(name, np.array([[text.encode()]], np.object_))])
