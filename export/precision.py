"""Smaller numbers where they cost nothing that matters: fp16 for GPUs, int8 for CPUs, measured before they are kept."""

from __future__ import annotations

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from export import fp16
from veracity.catalog import Model
from veracity.catalog.model import FAKE_LOGIT
from veracity.install.graphs.publish import ExportError, session

Inputs = Mapping[str, NDArray[Any]]  # by name, each [batch, …]
FP16_DRIFT = 0.05  # of a logit: a score of 0.50 becomes 0.51 at most
INT8_DRIFT = 0.1
INT8_GAIN = 0.9  # of fp32's time at most: two runs of one graph differ by some percent
LOAD = "import sys, onnxruntime as o; o.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])"
RUNS = 5  # of each graph, in turn, so that a busy machine slows both


def convert(graph: bytes, precision: str, model: Model, cases: Sequence[Inputs]) -> tuple[bytes, dict[str, Any]]:
    """Return the graph in ``precision`` and what that cost; raises ExportError where it costs too much.

    The last of the ``cases`` holds the real items, and only they count for the drift: the largest change of a logit,
    or of any output relative to its largest value where a model answers no logit.
    """
    if precision == "fp32":
        return graph, {"precision": "fp32"}
    return (_fp16 if precision == "fp16" else _int8)(graph, model, cases)


def _fp16(graph: bytes, model: Model, cases: Sequence[Inputs]) -> tuple[bytes, dict[str, Any]]:
    source, real = fp16.named(graph), cases[-1]
    keep = fp16.kept(source, cases)
    made = fp16.to_fp16(source, keep)
    wanted = answers(graph, model, [real])
    refuse_unloadable(made.SerializeToString(), f"{model.name} in fp16")
    tried = (made.SerializeToString(), fp16.rounded(source, keep).SerializeToString())
    found = float(np.max([drift(answers(one, model, [real]), wanted) for one in tried]))  # NaN stays NaN
    if not found <= FP16_DRIFT:
        raise ExportError(f"{model.name}: fp16 moves real items by {found:.3g} logit; {FP16_DRIFT:g} is allowed")
    share = len(keep) / len(source.graph.node)
    return tried[0], {"precision": "fp16", "largest_drift": found, "share_of_nodes_in_fp32": round(share, 3)}


def refuse_unloadable(graph: bytes, what: str) -> None:
    """Raise ExportError for a graph that ONNX Runtime cannot load. It may crash over one, so another process tries."""
    with tempfile.TemporaryDirectory(prefix="veracity-load-") as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(graph)
        run = subprocess.run([sys.executable, "-c", LOAD, str(path)], capture_output=True, text=True, check=False)
    if run.returncode:
        words = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
        why = f"it ends in {signal.Signals(-run.returncode).name}" if run.returncode < 0 else words
        raise ExportError(f"{what}: ONNX Runtime {onnxruntime.__version__} cannot load the graph: {why}")


def _int8(graph: bytes, model: Model, cases: Sequence[Inputs]) -> tuple[bytes, dict[str, Any]]:
    made, real = _quantized(graph), cases[-1]
    found = drift(answers(made, model, [real]), answers(graph, model, [real]))
    before, after = seconds([graph, made], real)
    ratio = after / before
    if not (found <= INT8_DRIFT and ratio <= INT8_GAIN):
        raise ExportError(
            f"{model.name}: int8 is not worth having: {ratio:.2f} of fp32's time ({INT8_GAIN:g} is asked for), "
            f"real items move by {found:.3g} logit ({INT8_DRIFT:g} is allowed)"
        )
    took = {"fp32": round(before, 5), "int8": round(after, 5)}
    return made, {"precision": "int8", "largest_drift": found, "seconds_an_item": took}


def _quantized(graph: bytes) -> bytes:
    """Weights of matrix products as int8, a scale for each column; activations are scaled at run time.

    Convolutions stay: ONNX Runtime's integer ones are slower than its float ones.
    """
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic

    model = onnx.load_from_string(graph)
    del model.graph.value_info[:]  # the exporter's shapes, which the quantiser holds against its own
    with tempfile.TemporaryDirectory(prefix="veracity-int8-") as folder:
        given, prepared, path = (Path(folder, name) for name in ("given.onnx", "prepared.onnx", "model.onnx"))
        onnx.save(model, given)
        quant_pre_process(given, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantize_dynamic(
            prepared,
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        return path.read_bytes()


def counted(model: Model) -> list[str]:
    """The outputs that a drift is measured on: the logit, or all outputs of a model without one."""
    return [FAKE_LOGIT.name] if FAKE_LOGIT in model.outputs else [tensor.name for tensor in model.outputs]


def answers(graph: bytes, model: Model, cases: Sequence[Inputs]) -> list[NDArray[Any]]:
    """The measured outputs of a graph, case by case."""
    loaded = session(graph)
    return [answer for case in cases for answer in loaded.run(counted(model), dict(case))]


def drift(found: Sequence[NDArray[Any]], wanted: Sequence[NDArray[Any]]) -> float:
    """The largest difference: of logits as they are, of wider outputs relative to the larger of 1 and their largest."""

    def one(a: NDArray[Any], b: NDArray[Any]) -> float:
        scale = 1.0 if b.shape[1:] == FAKE_LOGIT.shape else max(1.0, float(np.max(np.abs(b))))
        return float(np.max(np.abs(a.astype(np.float64) - b))) / scale

    return float(np.max([one(a, b) for a, b in zip(found, wanted, strict=True)]))


def seconds(graphs: Sequence[bytes], case: Inputs) -> list[float]:
    """Seconds an item for each graph: the median of some runs, taken in turn after one that does not count."""
    sessions = [session(graph) for graph in graphs]
    count = len(next(iter(case.values())))
    taken: list[list[float]] = [[] for _ in graphs]
    for run in range(RUNS + 1):
        for k, loaded in enumerate(sessions):
            began = time.perf_counter()
            loaded.run(None, dict(case))
            if run:
                taken[k].append((time.perf_counter() - began) / count)
    return [statistics.median(times) for times in taken]
