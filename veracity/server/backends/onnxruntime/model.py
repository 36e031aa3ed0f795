"""Serve ``model.onnx`` by ONNX Runtime on the CPU, for models whose config says ``backend: "onnxruntime"``.

Takes the place of NVIDIA's C++ backend of the same name, which the pip wheel lacks. The requests of one ``execute`` are
concatenated per shape and run a few items at once; a request that the graph refuses fails alone.
"""

from __future__ import annotations

import ctypes
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

Arrays = dict[str, np.ndarray[Any, Any]]

# On two cores more items a run take no less time each, and ONNX Runtime keeps the memory of its largest run. A config's
# parameter `items_at_once` says otherwise, for a machine whose many cores want more.
ITEMS_AT_ONCE = 2
SPINNING = "session.intra_op.allow_spinning"  # ONNX Runtime's key
ELEMENTS = {  # ONNX Runtime's names of the types of a config
    "TYPE_BOOL": "bool", "TYPE_STRING": "string",
    "TYPE_UINT8": "uint8", "TYPE_UINT16": "uint16", "TYPE_UINT32": "uint32", "TYPE_UINT64": "uint64",
    "TYPE_INT8": "int8", "TYPE_INT16": "int16", "TYPE_INT32": "int32", "TYPE_INT64": "int64",
    "TYPE_FP16": "float16", "TYPE_FP32": "float", "TYPE_FP64": "double",
}  # fmt: skip


class TritonPythonModel:
    """One model instance: an ONNX Runtime session."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph; raises TritonModelException when it is missing, broken or not what the config says."""
        config = json.loads(args["model_config"])
        self.batched = int(config.get("max_batch_size", 0)) > 0
        file = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"], args["model_version"], file)
        parameters = config.get("parameters", {})
        self.session = _session(path, parameters)
        self.at_once = _number(parameters, "items_at_once", ITEMS_AT_ONCE)
        if self.at_once < 1:
            raise pb_utils.TritonModelException(f"items_at_once of the config is 1 or more, not {self.at_once}")
        _check("input", config["input"], self.session.get_inputs(), self.batched)
        _check("output", config["output"], self.session.get_outputs(), self.batched)
        ctypes.CDLL(None).malloc_trim(0)  # what building the session freed: of CLIP 550 MB, which glibc would keep

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Return a response for each request, in order."""
        responses: list[Any] = [None] * len(requests)
        for indices in self._groups(requests):
            for index, response in zip(indices, self._respond([requests[i] for i in indices])):
                responses[index] = response
        return responses

    def finalize(self) -> None:
        """Free the graph's memory."""
        del self.session

    def _groups(self, requests: Sequence[Any]) -> list[list[int]]:
        """Return which requests can be run together: the same inputs, of the same shape but for the batch."""
        groups: dict[Any, list[int]] = defaultdict(list)
        for index, request in enumerate(requests):
            shapes = sorted((tensor.name(), tuple(tensor.shape()[1:])) for tensor in request.inputs())
            groups[tuple(shapes) if self.batched else index].append(index)
        return list(groups.values())

    def _respond(self, requests: list[Any]) -> list[Any]:
        try:
            parts = [{t.name(): t.as_numpy() for t in request.inputs()} for request in requests]
            return self._split(requests, parts, self._run(requests, parts))
        except Exception as error:  # ONNX Runtime's errors have no common base
            if len(requests) > 1:
                return [response for request in requests for response in self._respond([request])]
            return [pb_utils.InferenceResponse(error=pb_utils.TritonError(_one_line(error)))]

    def _run(self, requests: list[Any], parts: list[Arrays]) -> Arrays:
        """Run the graph over all items and fetch the outputs that any request wants."""
        wanted = sorted({name for request in requests for name in request.requested_output_names()})
        feeds = parts[0] if len(parts) == 1 else {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
        if not self.batched:
            return dict(zip(wanted, self.session.run(wanted, feeds)))
        items = _items(feeds)
        starts = range(0, max(items, 1), self.at_once)
        runs = [self._run_few(wanted, {k: v[at : at + self.at_once] for k, v in feeds.items()}) for at in starts]
        if len(runs) == 1:
            return dict(zip(wanted, runs[0]))
        return {name: np.concatenate(arrays) for name, arrays in zip(wanted, zip(*runs))}

    def _run_few(self, wanted: list[str], feeds: Arrays) -> list[np.ndarray[Any, Any]]:
        outputs: list[np.ndarray[Any, Any]] = self.session.run(wanted, feeds)
        for name, array in zip(wanted, outputs):
            if array.ndim == 0 or len(array) != _items(feeds):
                raise ValueError(f"output {name} has shape {array.shape} for a run of {_items(feeds)} items")
        return outputs

    def _split(self, requests: list[Any], parts: list[Arrays], outputs: Arrays) -> list[Any]:
        if not self.batched:
            return [_response(requests[0], outputs)]
        sizes = [_items(part) for part in parts]
        ends = np.cumsum(sizes)
        return [
            _response(request, {name: array[end - size : end] for name, array in outputs.items()})
            for request, size, end in zip(requests, sizes, ends)
        ]


def _items(arrays: Arrays) -> int:
    return len(next(iter(arrays.values())))


def _session(path: Path, parameters: dict[str, Any]) -> ort.InferenceSession:
    if not path.is_file():
        raise pb_utils.TritonModelException(f"{'/'.join(path.parts[-3:])} is missing: veracity weights fetch")
    options = ort.SessionOptions()
    options.log_severity_level = 4  # fatal; what is less comes as an exception, which we answer
    options.intra_op_num_threads = _number(parameters, "intra_op_thread_count")
    options.inter_op_num_threads = _number(parameters, "inter_op_thread_count")
    # Threads that wait in a loop take the cores from the other models' and ffmpeg's: `python -m benchmarks sweep`.
    options.add_session_config_entry(SPINNING, parameters.get(SPINNING, {}).get("string_value", "0"))
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise pb_utils.TritonModelException(f"{'/'.join(path.parts[-3:])}: {_one_line(error)}") from None


def _number(parameters: dict[str, Any], key: str, usual: int = 0) -> int:
    """Return a parameter; those of threads have the keys of NVIDIA's backend, and 0 lets ONNX Runtime choose."""
    return int(parameters.get(key, {}).get("string_value", usual))


def _check(kind: str, declared: list[dict[str, Any]], tensors: Sequence[Any], batched: bool) -> None:
    """Compare the config with the graph: name, type and dimensions; -1 or a named dimension fits any."""
    graph = {tensor.name: tensor for tensor in tensors}
    for tensor in declared:
        name, dims = tensor["name"], [int(d) for d in tensor["dims"]]
        if name not in graph:
            raise pb_utils.TritonModelException(
                f"{kind} {name} of the config is not in the graph, which has {list(graph)}"
            )
        wanted, found = f"tensor({ELEMENTS.get(tensor['data_type'])})", graph[name]
        if found.type != wanted:
            raise pb_utils.TritonModelException(f"{kind} {name} is {wanted} in the config, {found.type} in the graph")
        if not _fits([-1] * batched + dims, found.shape):
            raise pb_utils.TritonModelException(f"{kind} {name} is {dims} in the config, {found.shape} in the graph")


def _fits(dims: list[int], shape: Sequence[Any]) -> bool:
    pairs = zip(dims, shape)
    return len(dims) == len(shape) and all(d == -1 or not isinstance(s, int) or d == s for d, s in pairs)


def _response(request: Any, outputs: Arrays) -> Any:
    names = request.requested_output_names()
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, np.ascontiguousarray(outputs[name])) for name in names])


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
