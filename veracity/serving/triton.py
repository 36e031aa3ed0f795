"""Triton's side of the engine: the only file that knows ``triton_python_backend_utils``.

Tensors of both detectors, batch 1: ``VIDEO`` BYTES (the file) or ``PATH`` BYTES (a name under the media root),
``OPTIONS`` BYTES (JSON, optional); ``VERDICT`` BYTES (JSON) or, streamed, ``EVENT`` BYTES (JSON) a message.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import triton_python_backend_utils as pb
from numpy.typing import NDArray

from veracity import log
from veracity.analysis.context import AnalysisContext
from veracity.analysis.pipeline import analyze, ignore
from veracity.catalog import MODELS
from veracity.catalog.tensorrt import PLAN, taken
from veracity.evidence.requests import State
from veracity.settings import Settings
from veracity_client.errors import (
    AnalysisTimeout,
    BadOption,
    BadVideo,
    InternalError,
    ModelUnavailable,
    Overloaded,
    PathNotAllowed,
    VeracityError,
)
from veracity_client.verdict import Options, StageEvent, event_to_json

THREADS = 64  # of the event loop: an inference in flight holds one, and asyncio's own default is cores + 4
CANCEL_POLL_SECONDS = 0.25
STREAMS_AT_ONCE, STREAMS_WAITING = 4, 32  # as many as deepfake_detector has instances and places in its queue

logger = log.get(__name__)


class BlsInfer:
    """``infer`` through Triton: the scheduler merges the requests of all videos into batches."""

    def __init__(self, repository: Path, model_config: str = "") -> None:
        self._repository, self._model_config = repository, model_config

    def state(self, model: str) -> State:
        """Ask Triton whether the model is loaded, the disk whether it could be."""
        if pb.is_model_ready(model_name=model):
            return "ready"
        folder = self._repository / model / "1"
        return "down" if any((folder / name).is_file() for name in ("model.onnx", PLAN)) else "missing"

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Run one request; raises the error of ours that Triton's text stands for."""
        request = pb.InferenceRequest(
            model_name=model,
            requested_output_names=[tensor.name for tensor in MODELS[model].outputs],
            inputs=[pb.Tensor(name, array) for name, array in taken(inputs, self._model_config).items()],
        )
        response = await request.async_exec()
        if response.has_error():
            raise _child_error(model, response.error().message())
        return {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}


def _child_error(model: str, text: str) -> VeracityError:
    """Map by text: the code of a child's error is INTERNAL whatever happened (Triton 2.51)."""
    logger.warning("child failed", model=model, error=text)
    if "maximum queue size" in text or "timeout expired" in text:
        return Overloaded(f"{model} has more work than it can take; ask again later")
    if "not ready" in text or "unknown model" in text or "Stub process" in text or "not healthy" in text:
        return ModelUnavailable(f"{model} does not answer")
    return InternalError(f"{model} failed")


class Detector:
    """``deepfake_detector``: one request, one verdict."""

    output = "VERDICT"

    def initialize(self, args: Mapping[str, str]) -> None:  # noqa: ARG002  Triton's signature
        """Read the settings once; Triton reports what is wrong with them as the reason why the model did not load."""
        settings = Settings.from_env()
        log.configure(settings.log_level)
        self.context = AnalysisContext.from_settings(settings)
        self.infer = BlsInfer(settings.model_repository, settings.model_config)
        self.threads = ThreadPoolExecutor(THREADS, "infer")

    async def execute(self, requests: Sequence[Any]) -> list[Any] | None:
        """Answer every request on its own: one that fails harms no other."""
        asyncio.get_running_loop().set_default_executor(self.threads)
        return list(await asyncio.gather(*(self._respond(request) for request in requests)))

    async def _respond(self, request: Any) -> Any:
        try:
            verdict = await self._guarded(request, request.is_cancelled, ignore)
        except VeracityError as error:
            return pb.InferenceResponse([], _triton_error(error))
        return _message(self.output, verdict.to_json())

    async def _guarded(self, request: Any, cancelled: Callable[[], bool], tell: Callable[[StageEvent], None]) -> Any:
        """Analyse, with the request's id in every log line; only errors of ours come out."""
        request_id = request.request_id() or str(uuid.uuid4())
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                verdict = await self._analyze(request, cancelled, tell)
            except VeracityError as error:
                level = logger.debug if isinstance(error, BadVideo) and not _bytes(request, "VIDEO") else logger.info
                level("refused", error=type(error).__name__, message=error.message)  # an empty VIDEO is the canary's
                raise
            except Exception as error:
                logger.exception("analysis failed")
                raise InternalError(f"analysis failed; the server's log has it under request {request_id}") from error
            logger.info("verdict", video_id=verdict.video_id, label=verdict.label, timings=dict(verdict.timings))
            return verdict

    async def _analyze(self, request: Any, cancelled: Callable[[], bool], tell: Callable[[StageEvent], None]) -> Any:
        given = _options(request)
        video = _video(request, self.context.settings.media_root)
        task = asyncio.create_task(analyze(video, self.infer, given, self.context, tell))
        while not (await asyncio.wait([task], timeout=CANCEL_POLL_SECONDS))[0]:
            if cancelled():
                task.cancel()
                await asyncio.wait([task])
                raise AnalysisTimeout("the caller went away or its deadline passed")
        return task.result()

    def finalize(self) -> None:
        """Let the threads go, so that the process ends at once."""
        self.threads.shutdown(wait=False, cancel_futures=True)


class DetectorStream(Detector):
    """``deepfake_detector_stream``: a message a stage, the verdict last. Analyses overlap."""

    output = "EVENT"

    def initialize(self, args: Mapping[str, str]) -> None:
        """Bound what Triton does not: a decoupled instance is handed every request at once, its queue never fills."""
        super().initialize(args)
        self.turns = asyncio.Semaphore(STREAMS_AT_ONCE)
        self.streams = 0

    async def execute(self, requests: Sequence[Any]) -> None:
        """Stream the answers of all requests, each through its own sender."""
        asyncio.get_running_loop().set_default_executor(self.threads)
        await asyncio.gather(*(self._stream(request, request.get_response_sender()) for request in requests))

    async def _stream(self, request: Any, sender: Any) -> None:
        def tell(event: StageEvent) -> None:
            sender.send(_message(self.output, event_to_json(event)))

        self.streams += 1
        try:
            if self.streams > STREAMS_AT_ONCE + STREAMS_WAITING:
                raise Overloaded("as many streams as this server takes are waiting; ask again later")
            async with self.turns:
                verdict = await self._guarded(request, sender.is_cancelled, tell)
            last = _message(self.output, event_to_json(verdict))
        except VeracityError as error:
            last = pb.InferenceResponse([], _triton_error(error))
        finally:
            self.streams -= 1
        sender.send(last, flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def _triton_error(error: VeracityError) -> Any:
    return pb.TritonError(error.to_wire(), getattr(pb.TritonError, error.triton))


def _message(name: str, text: str) -> Any:
    return pb.InferenceResponse([pb.Tensor(name, np.array([[text.encode()]], np.object_))])


def _bytes(request: Any, name: str) -> bytes | None:
    tensor = pb.get_input_tensor_by_name(request, name)
    if tensor is None:
        return None
    values = tensor.as_numpy().reshape(-1)
    if len(values) != 1:
        raise BadOption(f"{name} holds one element, got {len(values)}")
    return bytes(values[0])


def _options(request: Any) -> Options:
    text = _bytes(request, "OPTIONS")
    return Options.from_json(text) if text else Options()


def _video(request: Any, media_root: Path | None) -> bytes | Path:
    """Return the file's bytes, or the path that PATH names under the media root."""
    video, name = _bytes(request, "VIDEO"), _bytes(request, "PATH")
    if (video is None) == (name is None):
        raise BadOption("give either VIDEO or PATH")
    return video if video is not None else allowed_path(os.fsdecode(name or b""), media_root)


def allowed_path(name: str, media_root: Path | None) -> Path:
    """Resolve ``name`` under ``media_root``, links followed. Raises :class:`PathNotAllowed` for anything outside it."""
    if media_root is None:
        raise PathNotAllowed("this server reads no files by name; send the video, or set VERACITY_MEDIA_ROOT there")
    root = media_root.resolve()
    try:
        path = (root / name).resolve()
    except (OSError, ValueError, RuntimeError):
        raise PathNotAllowed("that name is no path") from None
    if not path.is_relative_to(root):
        raise PathNotAllowed("that path lies outside the folder that this server reads from")
    if not path.is_file():
        raise PathNotAllowed("there is no such file in the folder that this server reads from")
    return path
