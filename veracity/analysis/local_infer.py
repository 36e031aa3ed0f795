"""``infer`` without Triton: ONNX Runtime in this process, for tests, training and measuring."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from veracity.evidence.requests import State
from veracity_client.errors import ModelUnavailable

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
# TF32 rounds the numbers of fp32 products to 10 bits, and is on unless told otherwise
OPTIONS: Mapping[str, Mapping[str, str]] = {CUDA: {"use_tf32": "0"}, CPU: {}}


def open_session(graph: Path, provider: str = CPU, options: onnxruntime.SessionOptions | None = None) -> Any:
    """Return a session on ``provider``.

    Raises :class:`ModelUnavailable` where ONNX Runtime would warn and take the CPU instead.
    """
    if provider == CUDA:
        onnxruntime.preload_dlls()  # CUDA and cuDNN out of pip's packages, which no loader's path names
    if provider not in onnxruntime.get_available_providers():
        raise ModelUnavailable(f"this onnxruntime has no {provider}: requirements/gpu.txt names the package that has")
    session = onnxruntime.InferenceSession(graph, options, providers=[(provider, dict(OPTIONS[provider]))])
    if session.get_providers()[0] != provider:
        raise ModelUnavailable(f"ONNX Runtime does not run {graph.parent.parent.name} on {provider}: see its warnings")
    return session


class LocalInfer:
    """Serves the ``1/model.onnx`` of a model repository, each loaded on first use."""

    def __init__(self, repository: Path, threads: int = 0, provider: str = CPU) -> None:
        """``threads`` a model; 0 leaves the number to ONNX Runtime."""
        self._repository, self._provider = repository, provider
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._session = functools.cache(self._opened)  # of this object: with it the sessions go

    def state(self, model: str) -> State:
        """Return ``ready`` where the graph's file stands, else ``missing``."""
        return "ready" if self._file(model).is_file() else "missing"

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Run a batch. Raises :class:`ModelUnavailable` for a model without weights."""
        session = self._session(model)
        names = [output.name for output in session.get_outputs()]
        values = await asyncio.to_thread(session.run, names, dict(inputs))
        return {name: np.asarray(value) for name, value in zip(names, values)}

    def _opened(self, model: str) -> Any:
        if not self._file(model).is_file():
            raise ModelUnavailable(f"{model} has no weights at {self._file(model)}")
        return open_session(self._file(model), self._provider, self._options)

    def _file(self, model: str) -> Path:
        return self._repository / model / "1" / "model.onnx"
