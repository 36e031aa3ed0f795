"""Speak with a running tritonserver: load, unload, statistics, and a probe that is a real inference."""

from __future__ import annotations

import queue
import time
from enum import Enum
from types import TracebackType
from typing import Any

import numpy as np
import tritonclient.grpc as grpc
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from veracity.catalog import Model, smoke_test
from veracity_client.triton_errors import process_died

DYNAMIC = 32  # what a probe has for a dimension of -1 unless model_warmup says: the deepest stride of our networks
TIMED_OUT = "StatusCode.DEADLINE_EXCEEDED"
NO_ANSWER = (TIMED_OUT, "StatusCode.UNAVAILABLE", "StatusCode.CANCELLED")  # a full queue is neither life nor death
UNLOAD_SECONDS = 10.0
INDEX_SECONDS = 5.0


class ProbeResult(Enum):
    """What a probe found."""

    ALIVE = "answered"
    REFUSED = "answered with an error"
    SILENT = "no answer in time"
    DEAD = "process died"


class LoadFailed(Exception):
    """Triton did not load a model; the message is its reason, in one line."""


class Control:
    """A gRPC connection for one supervisor. Times are seconds."""

    def __init__(self, url: str) -> None:
        self._client = grpc.InferenceServerClient(url)
        self._url = url

    def __enter__(self) -> Control:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def load(self, model: str, timeout: float) -> None:
        """Load, or load again; raises :class:`LoadFailed`."""
        try:
            self._client.load_model(model, client_timeout=timeout)
        except InferenceServerException as error:
            raise LoadFailed(reason(error)) from None

    def unload(self, model: str) -> None:
        """Unload: from then on requests are refused, those in it go on; a model not loaded is left so."""
        try:
            self._client.unload_model(model, client_timeout=UNLOAD_SECONDS)
            deadline = time.monotonic() + UNLOAD_SECONDS
            while time.monotonic() < deadline and self._is_ready(model):
                time.sleep(0.05)
        except InferenceServerException:
            return  # load, which follows, says what is wrong

    def log_verbosely(self) -> None:
        """Have Triton log what it does; for the few seconds of a stop."""
        self._client.update_log_settings({"log_verbose_level": 1}, client_timeout=INDEX_SECONDS)

    def unloading(self) -> set[str]:
        """Return the models that were told to go and still have requests, or processes, in them."""
        return {name for name, (state, _) in self.index(INDEX_SECONDS).items() if state == "UNLOADING"}

    def successes(self) -> dict[str, int]:
        """Return how many requests each loaded model has answered well since it was loaded."""
        stats = self._client.get_inference_statistics(client_timeout=INDEX_SECONDS)
        return {model.name: model.inference_stats.success.count for model in stats.model_stats}

    def probe(self, model: str, timeout: float) -> tuple[ProbeResult, str]:
        """Send zeros of the model's shape, an empty string for BYTES; returns what came of it and Triton's words."""
        try:
            config = self._client.get_model_config(model, client_timeout=timeout).config
            inputs = _zeros(config)
            if config.model_transaction_policy.decoupled:
                self._stream(model, inputs, timeout)
            else:
                self._client.infer(model, inputs, client_timeout=timeout)
        except InferenceServerException as error:
            return _judge(model, error), reason(error)
        return ProbeResult.ALIVE, ""

    def ask(self, model: Model, timeout: float) -> tuple[dict[str, NDArray[Any]], bool]:
        """Return a model's answer to its known question, and whether TensorRT gave it; raises InferenceServerException.

        TensorRT computes in fewer bits than the graph has, and may take an input in another type: see its config.
        """
        config = self._client.get_model_config(model.name, client_timeout=timeout).config
        question = smoke_test.question(model)
        if strange := [tensor.name for tensor in config.input if tensor.name not in question]:
            raise InferenceServerException(f"takes {', '.join(strange)}, which no model of that name here does")
        inputs = [_given(tensor, question[tensor.name]) for tensor in config.input]
        result = self._client.infer(model.name, inputs, client_timeout=timeout)
        runners = (
            config.backend,
            *(a.name for a in config.optimization.execution_accelerators.gpu_execution_accelerator),
        )
        return {tensor.name: result.as_numpy(tensor.name) for tensor in model.outputs}, "tensorrt" in runners

    def _stream(self, model: str, inputs: list[Any], timeout: float) -> None:
        """Wait for a decoupled model's first answer. Its own connection: one has room for one stream."""
        answers: queue.Queue[InferenceServerException | None] = queue.Queue()
        with grpc.InferenceServerClient(self._url) as client:
            client.start_stream(lambda result, error: answers.put(error))  # noqa: ARG005, tritonclient's signature
            client.async_stream_infer(model, inputs, enable_empty_final_response=True)
            try:
                error = answers.get(timeout=timeout)
            except queue.Empty:
                error = InferenceServerException("deadline exceeded", status=TIMED_OUT)
            client.stop_stream(cancel_requests=error is not None and error.status() == TIMED_OUT)
        if error is not None:
            raise error

    def server_is_ready(self, timeout: float) -> bool:
        """Return whether Triton says of itself that every model it was told to load is."""
        return bool(self._client.is_server_ready(client_timeout=timeout))

    def index(self, timeout: float) -> dict[str, tuple[str, str]]:
        """Return of each model of the repository its state, empty where nobody asked for it, and Triton's reason."""
        index = self._client.get_model_repository_index(client_timeout=timeout)
        return {model.name: (model.state, model.reason) for model in index.models}

    def _is_ready(self, model: str) -> bool:
        return bool(self._client.is_model_ready(model, client_timeout=INDEX_SECONDS))


def reason(error: InferenceServerException) -> str:
    """Return Triton's message in one line, without the traceback that the Python backend appends."""
    text = str(error.message()).partition("\n\nAt:")[0]
    return " ".join(text.split())


def _judge(model: str, error: InferenceServerException) -> ProbeResult:
    if process_died(model, error.message()):
        return ProbeResult.DEAD
    return ProbeResult.SILENT if error.status() in NO_ANSWER else ProbeResult.REFUSED


def _zeros(config: Any) -> list[Any]:
    warm = {name: list(t.dims) for sample in config.model_warmup for name, t in sample.inputs.items()}
    needed = [t for t in config.input if not t.optional] or list(config.input)[
        :1
    ]  # Triton refuses a request of nothing
    return [_zero(t, warm.get(t.name, []), config.max_batch_size > 0) for t in needed]


def _zero(tensor: Any, warm: list[int], batched: bool) -> Any:
    dynamic = 1 if _datatype(tensor) == "BYTES" else DYNAMIC
    shape = [1] * batched + (warm or [dynamic if d < 0 else d for d in tensor.dims])
    return _given(tensor, np.full(shape, b"", np.object_) if dynamic == 1 else np.zeros(shape))


def _given(tensor: Any, array: NDArray[Any]) -> Any:
    """Make the request's tensor of one of the config's, in its type."""
    datatype = _datatype(tensor)
    made = grpc.InferInput(tensor.name, list(array.shape), datatype)
    made.set_data_from_numpy(array.astype(triton_to_np_dtype(datatype), copy=False))
    return made


def _datatype(tensor: Any) -> str:
    """Return the type of a config's tensor as the protocol names it."""
    name: str = grpc.model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else name
