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


class LocalInfer:
    """Serves the ``1/model.onnx`` of a model repository, each loaded on first use."""

    def __init__(self, repository: Path, threads: int = 0) -> None:
        """``threads`` a model; 0 leaves the number to ONNX Runtime."""
        self._repository = repository
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
        return onnxruntime.InferenceSession(self._file(model), self._options, providers=["CPUExecutionProvider"])

    def _file(self, model: str) -> Path:
        return self._repository / model / "1" / "model.onnx"
