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

from veracity import log
from veracity.analysis import deadline
from veracity.catalog import MODELS
from veracity.catalog.tensorrt import PLAN, taken
from veracity.evidence.requests import State
from veracity_client import triton_errors
from veracity_client.errors import InternalError, ModelUnavailable, Overloaded, VeracityError

# A model that stopped to answer is waited for so long, by all requests together: the supervisor loads it again within
# seconds, and a verdict without it would be another one.
HEAL_SECONDS = 30.0
POLL_SECONDS = 0.5

logger = log.get(__name__)


class BlsInfer:
    """Triton's scheduler merges the requests of all videos into batches."""

    def __init__(self, repository: Path, model_config: str = "") -> None:
        self._repository, self._model_config = repository, model_config
        self._down_since: dict[str, float] = {}  # of time.monotonic

    def state(self, model: str) -> State:
        """Ask Triton whether the model is loaded, the disk whether it could be; waits for one that is loaded again."""
        while not pb.is_model_ready(model_name=model):
            folder = self._repository / model / "1"
            if not any((folder / name).is_file() for name in ("model.onnx", PLAN)):
                return "missing"
            if not self._comes_back(model):
                return "down"
            time.sleep(POLL_SECONDS)
        self._down_since.pop(model, None)
        return "ready"

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Run one request, again while its model is loaded again; raises the error that Triton's text stands for."""
        while True:
            try:
                outputs = await self._run(model, inputs)
            except (ModelUnavailable, Overloaded):
                if not self._comes_back(model):
                    raise
                await asyncio.sleep(POLL_SECONDS)
            else:
                self._down_since.pop(model, None)
                return outputs

    def _comes_back(self, model: str) -> bool:
        """Say whether to wait and ask again: not too long, and only while the request has time."""
        now = time.monotonic()
        down = now - self._down_since.setdefault(model, now)
        return down < HEAL_SECONDS and deadline.seconds_left() > POLL_SECONDS

    async def _run(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        request = pb.InferenceRequest(
            model_name=model,
            requested_output_names=[tensor.name for tensor in MODELS[model].outputs],
            inputs=[pb.Tensor(name, array) for name, array in taken(inputs, self._model_config).items()],
            timeout=_microseconds_left(),
        )
        response = await request.async_exec()
        if response.has_error():
            raise _error(model, response.error().message())
        return {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}


def _microseconds_left() -> int:
    """Return how long a request may wait in a model's queue; 0 leaves it to the queue's own limit."""
    left = deadline.seconds_left()
    return 0 if math.isinf(left) else max(1, int(1e6 * left))


def _error(model: str, text: str) -> VeracityError:
    """Return the error of ours that names the model; the text, which may name paths, goes to the log alone."""
    logger.warning("model failed", model=model, error=text)
    known = triton_errors.meaning(text)
    if known is not None and known.error is Overloaded:
        return Overloaded(f"{model} has more work than it can take; ask again later")
    if known is not None and known.error is ModelUnavailable:
        return ModelUnavailable(f"{model} does not answer")
    return InternalError(f"{model} failed")
