"""Speak with a running tritonserver: load, unload, statistics, and a probe that is a real inference."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from enum import Enum
from types import TracebackType
from typing import Any

import numpy as np
import tritonclient.grpc as grpc
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from veracity.catalog import Model, smoke_test
from veracity_client.triton_errors import process_died

FREE_SIDE = 32  # a dimension of -1 in a probe, unless model_warmup gives one: the deepest stride of our networks
DEADLINE = "StatusCode.DEADLINE_EXCEEDED"
NO_ANSWER = (DEADLINE, "StatusCode.UNAVAILABLE", "StatusCode.CANCELLED")  # a full queue shows neither life nor death
UNLOAD_SECONDS = 10.0
INDEX_SECONDS = 5.0


class ProbeResult(Enum):
    """What a probe found."""

    ALIVE = "answered"
    REFUSED = "answered with an error"
    TIMED_OUT = "no answer in time"
    DEAD = "process died"


class LoadFailed(Exception):
    """Triton did not load a model; the message is its reason, in one line."""


class LoadTimedOut(LoadFailed):
    """Triton did not say in time whether it loaded a model, and may still do so."""


class Control:
    """A gRPC connection of those that ``connect`` makes. Times are seconds."""

    def __init__(self, connect: Callable[[], grpc.InferenceServerClient]) -> None:
        self._connect, self._client = connect, connect()

    def __enter__(self) -> Control:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def load(self, model: str, timeout: float, config: str | None = None) -> None:
        """Load, or load again, with ``config`` (JSON) in place of the model's file; raises :class:`LoadFailed`."""
        try:
            self._client.load_model(model, config=config, client_timeout=timeout)
        except InferenceServerException as error:
            kind = LoadTimedOut if error.status() == DEADLINE else LoadFailed
            raise kind(one_line(error)) from None

    def unload(self, model: str, *, completely: bool = False) -> None:
        """Unload: new requests are refused from then on, those in flight go on. Nothing happens if it is not loaded.

        Waits until that is so, or, if ``completely``, until Triton has let go of the model and its memory.
        """
        is_there = self._is_there if completely else self._is_ready
        try:
            self._client.unload_model(model, client_timeout=UNLOAD_SECONDS)
            deadline = time.monotonic() + UNLOAD_SECONDS
            while time.monotonic() < deadline and is_there(model):
                time.sleep(0.05)
        except InferenceServerException:
            return  # the load that follows reports what is wrong

    def success_counts(self) -> dict[str, int]:
        """Return how many requests each loaded model has answered without error since it was loaded."""
        stats = self._client.get_inference_statistics(client_timeout=INDEX_SECONDS)
        return {model.name: model.inference_stats.success.count for model in stats.model_stats}

    def probe(self, model: str, timeout: float) -> tuple[ProbeResult, str]:
        """Send zeros of the model's shape, an empty string for BYTES; returns the result and Triton's error text."""
        try:
            config = self._client.get_model_config(model, client_timeout=timeout).config
            inputs = _zeros(config)
            if config.model_transaction_policy.decoupled:
                self._stream(model, inputs, timeout)
            else:
                self._client.infer(model, inputs, client_timeout=timeout)
        except InferenceServerException as error:
            return _result_of(model, error), one_line(error)
        return ProbeResult.ALIVE, ""

    def run_smoke_test(self, model: Model, timeout: float) -> tuple[dict[str, NDArray[Any]], bool]:
        """Return a model's outputs for its smoke test, and whether TensorRT computed them.

        TensorRT computes in fewer bits than the graph has, and may take an input in another type: its config says so.
        Raises InferenceServerException.
        """
        config = self._client.get_model_config(model.name, client_timeout=timeout).config
        arrays = smoke_test.inputs(model)
        if unknown := [tensor.name for tensor in config.input if tensor.name not in arrays]:
            raise InferenceServerException(f"takes {', '.join(unknown)}, which no model of that name here does")
        inputs = [_input(tensor, arrays[tensor.name]) for tensor in config.input]
        result = self._client.infer(model.name, inputs, client_timeout=timeout)
        runners = (
            config.backend,
            *(a.name for a in config.optimization.execution_accelerators.gpu_execution_accelerator),
        )
        return {tensor.name: result.as_numpy(tensor.name) for tensor in model.outputs}, "tensorrt" in runners

    def _stream(self, model: str, inputs: list[Any], timeout: float) -> None:
        """Wait for a decoupled model's first response, on a connection of its own: each holds only one stream."""
        answers: queue.Queue[InferenceServerException | None] = queue.Queue()
        with self._connect() as client:
            headers = dict(client.plugin().headers)
            client.start_stream(lambda result, error: answers.put(error), headers=headers)  # noqa: ARG005, its signature
            try:
                client.async_stream_infer(model, inputs, enable_empty_final_response=True)
            except InferenceServerException as broken:  # the cause reached the callback before
                answers.put(broken)
            try:
                error = answers.get(timeout=timeout)
            except queue.Empty:
                error = InferenceServerException("deadline exceeded", status=DEADLINE)
            client.stop_stream(cancel_requests=error is not None and error.status() == DEADLINE)
        if error is not None:
            raise error

    def server_is_live(self, timeout: float) -> bool:
        """Return whether Triton says that it runs; raises InferenceServerException where it says nothing."""
        return bool(self._client.is_server_live(client_timeout=timeout))

    def server_is_ready(self, timeout: float) -> bool:
        """Return whether Triton reports that every model it was told to load is ready."""
        return bool(self._client.is_server_ready(client_timeout=timeout))

    def index(self, timeout: float) -> dict[str, tuple[str, str]]:
        """Return each model's state, empty where it was never loaded, and Triton's reason for it."""
        index = self._client.get_model_repository_index(client_timeout=timeout)
        return {model.name: (model.state, model.reason) for model in index.models}

    def _is_there(self, model: str) -> bool:
        return self.index(INDEX_SECONDS).get(model, ("", ""))[0] in ("READY", "UNLOADING")

    def _is_ready(self, model: str) -> bool:
        return bool(self._client.is_model_ready(model, client_timeout=INDEX_SECONDS))


def one_line(error: InferenceServerException) -> str:
    """Return Triton's message in one line, without the traceback that the Python backend appends."""
    text = str(error.message()).partition("\n\nAt:")[0]
    return " ".join(text.split())


def _result_of(model: str, error: InferenceServerException) -> ProbeResult:
    if process_died(model, error.message()):
        return ProbeResult.DEAD
    return ProbeResult.TIMED_OUT if error.status() in NO_ANSWER else ProbeResult.REFUSED


def _zeros(config: Any) -> list[Any]:
    warmup = {name: list(t.dims) for sample in config.model_warmup for name, t in sample.inputs.items()}
    needed = [t for t in config.input if not t.optional] or list(config.input)[:1]  # Triton refuses an empty request
    return [_zero(t, warmup.get(t.name, []), config.max_batch_size > 0) for t in needed]


def _zero(tensor: Any, dims: list[int], batched: bool) -> Any:
    free_side = 1 if _datatype(tensor) == "BYTES" else FREE_SIDE
    shape = [1] * batched + (dims or [free_side if d < 0 else d for d in tensor.dims])
    return _input(tensor, np.full(shape, b"", np.object_) if free_side == 1 else np.zeros(shape))


def _input(tensor: Any, array: NDArray[Any]) -> Any:
    """Make the request's tensor for one of the config's, in its type."""
    datatype = _datatype(tensor)
    tensor_input = grpc.InferInput(tensor.name, list(array.shape), datatype)
    tensor_input.set_data_from_numpy(array.astype(triton_to_np_dtype(datatype), copy=False))
    return tensor_input


def _datatype(tensor: Any) -> str:
    """Return the type of a config's tensor as the protocol names it."""
    name: str = grpc.model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else name
