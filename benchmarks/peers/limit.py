"""What no server is faster than: ffmpeg's decode of the clip, and its networks' arithmetic at the speed of a GEMM."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnxruntime
import torch

from benchmarks.peers.arrays import Arrays, items
from benchmarks.peers.service import analyzed
from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.catalog import provenance
from veracity.settings import Settings

SIDE = 2048  # of the matrices
Shape = Sequence[int]

# Multiplications of a node by the shapes of its inputs and of its output. What multiplies no matrices is not counted.
MULTIPLICATIONS: Mapping[str, Callable[[Sequence[Shape], Shape], int]] = {
    "Conv": lambda given, made: prod(made) * prod(given[1][1:]),
    "ConvTranspose": lambda given, _: prod(given[0]) * prod(given[1][1:]),
    "MatMul": lambda given, made: prod(made) * given[0][-1],
    "Gemm": lambda given, made: prod(made) * prod(given[0]) // made[0],
}


class Counting(LocalInfer):
    """ONNX Runtime in this process, which keeps one item of each model and shape, and counts them."""

    def __init__(self, repository: Path) -> None:
        super().__init__(repository)
        self.items: dict[tuple[Any, ...], Arrays] = {}
        self.counts: Counter[tuple[Any, ...]] = Counter()

    async def __call__(self, model: str, inputs: Arrays) -> Arrays:
        """Run the batch."""
        for item in items(inputs):
            key = (model, *(array.shape for array in item.values()))
            self.items.setdefault(key, item)
            self.counts[key] += 1
        return await super().__call__(model, inputs)


def arithmetic(clip: Path, settings: Settings, context: AnalysisContext) -> dict[str, dict[str, float]]:
    """Return of each model how many items of the clip it is asked about, and the GFLOP of all of them."""
    counting = Counting(settings.model_repository)
    analyzed(clip, counting, context)
    found: dict[str, dict[str, float]] = {}
    for key, item in counting.items.items():
        row, count = found.setdefault(key[0], {"items": 0, "gflop": 0.0}), counting.counts[key]
        row["items"] += count
        row["gflop"] += count * flop(settings.model_repository / key[0] / provenance.GRAPH, item) / 1e9
    return {model: {"items": row["items"], "gflop": round(row["gflop"], 3)} for model, row in found.items()}


def flop(graph: Path, item: Arrays) -> int:
    """Return the floating-point operations of a graph on one item, by the shapes that ONNX Runtime sees on the way."""
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # the nodes as they stand
    options.add_session_config_entry("session.disable_prepacking", "1")  # which hides the weights' shapes
    with TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder, "profile"))
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        session.run(None, dict(item))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes = (e["args"] for e in events if e.get("cat") == "Node" and e["name"].endswith("_kernel_time"))
    return sum(
        2 * MULTIPLICATIONS[node["op_name"]](_shapes(node["input_type_shape"]), _shapes(node["output_type_shape"])[0])
        for node in nodes
        if node["op_name"] in MULTIPLICATIONS
    )


def _shapes(tensors: Sequence[Mapping[str, Shape]]) -> list[Shape]:
    return [shape for tensor in tensors for shape in tensor.values()]


def gemm_gflops(threads: int) -> float:
    """Return the GFLOP a second of a large product of float32 matrices, the best of five."""
    torch.set_num_threads(threads)
    a, b = torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return max(2e-9 * SIDE**3 / _seconds(lambda: a @ b) for _ in range(5))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
