"""``infer`` through Triton's business logic scripting (BLS): one model of the server makes requests of another."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb
from numpy.typing import NDArray

from veracity import log, residency
from veracity.analysis import deadline
from veracity.catalog import MODELS
from veracity.catalog.tensorrt import PLAN, taken
from veracity.evidence.requests import State
from veracity.reloading import reloaded_since
from veracity.serving.tracing import of_the_request
from veracity_client import telemetry, triton_errors
from veracity_client.errors import InternalError, ModelUnavailable, VeracityError

# A verdict without a model would be another one: one that died is waited for while the supervisor loads it again.
NOTICE_SECONDS = 5.0  # within which the supervisor notices a death, busy as the machine may be
POLL_SECONDS = 0.5
MARGIN_SECONDS = 0.5  # before the deadline, so that the reason is heard

logger = log.get(__name__)


class BlsInfer:
    """Triton's scheduler merges the requests of all videos into batches."""

    def __init__(self, repository: Path, model_config: str = "") -> None:
        self._repository, self._model_config = repository, model_config

    def state(self, model: str) -> State:
        """Ask Triton whether the model is loaded, the disk whether it could be; waits for one that is loaded again."""
        while True:
            reloaded = reloaded_since(model, time.time())  # asked first: once it is not any more, the model is ready
            if pb.is_model_ready(model_name=model) or residency.can_be_loaded(model):
                return "ready"
            folder = self._repository / model / "1"
            if not any((folder / name).is_file() for name in ("model.onnx", PLAN)):
                return "missing"
            if not reloaded or deadline.seconds_left() <= POLL_SECONDS:
                return "down"
            time.sleep(POLL_SECONDS)

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Run one request, again while its model is loaded again, however often that is, and the request has time.

        A model that is not in memory is loaded first, and stays there until it answered. Raises the error that Triton's
        text stands for: ModelUnavailable once nobody brings the model back; AnalysisTimeout without memory for it.
        """
        async with residency.held(model, max(MARGIN_SECONDS, deadline.seconds_left() - MARGIN_SECONDS)):
            return await self._run_until_answered(model, inputs)

    async def _run_until_answered(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        since, give_up = time.time(), math.inf
        while True:
            try:
                with telemetry.span(f"infer {model}"):
                    return await self._run(model, inputs)
            except ModelUnavailable:
                now = time.time()
                if reloaded_since(model, since):
                    since, give_up = now, math.inf
                else:
                    give_up = min(give_up, now + NOTICE_SECONDS)
                if now >= give_up or deadline.seconds_left() <= POLL_SECONDS:
                    raise
            await asyncio.sleep(POLL_SECONDS)

    async def _run(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        known = MODELS[model]
        config = self._model_config if known.layer else ""  # what gives no score stays with ONNX Runtime
        request = pb.InferenceRequest(
            model_name=model,
            requested_output_names=[tensor.name for tensor in known.outputs],
            inputs=[pb.Tensor(name, array) for name, array in taken(inputs, config).items()],
            **of_the_request(),
        )
        response = await request.async_exec()
        if response.has_error():
            raise _error(model, response.error().message())
        return {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}


def _error(model: str, text: str) -> VeracityError:
    """Return the error of ours that names the model; the text, which may name paths, goes to the log alone."""
    logger.warning("model failed", model=model, error=text)
    known = triton_errors.meaning(text)
    if known is not None and known.error is ModelUnavailable:
        return ModelUnavailable(f"{model} does not answer")
    return InternalError(f"{model} failed")
