"""Networks on a device: ONNX Runtime's graphs and TensorRT's engines, timed and held against the CPU's answers."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import gpu_device as device
from veracity.analysis.local_infer import open_session
from veracity.catalog import MODELS, provenance, tensorrt
from veracity.catalog.model import FAKE_LOGIT

Arrays = Mapping[str, NDArray[Any]]
Answered = dict[str, tuple[Arrays, Arrays]]  # by model: a request, and the CPU's answer
Ask = Callable[[Arrays], Arrays]

BATCHES = (1, 4, 16, 32)
WARM_RUNS = 3
LOGIT_ERROR = {"fp32": 0.01, "fp16": 0.05}  # from the CPU's; the export refuses an fp16 engine that is farther off
AIM_MB = {"fp32": 20_000, "fp16": 8_000}  # of all networks of a profile together
LOG = "engine.log"  # what the export said when it built no engine


@dataclass(frozen=True)
class Way:
    """A way to run networks: the graphs of a repository, or the engines beside them."""

    runtime: str
    precision: str
    repository: Path
    provider: str

    def path(self, model: str) -> Path:
        """Return the file that is run."""
        graph = self.repository / model / provenance.GRAPH
        return graph if self.runtime == "onnx" else graph.with_name(tensorrt.PLAN)

    def missing(self, model: str) -> str:
        """Return why the network cannot be run this way; empty where it can."""
        engine = provenance.read(self.repository / model).get("engine") or {}
        if self.path(model).is_file() and (self.runtime == "onnx" or engine.get("precision") == self.precision):
            return ""
        log = self.repository / model / LOG
        said = log.read_text("utf-8").strip().splitlines() if log.is_file() else []
        return said[-1] if said else f"no {self.path(model).name} of {model} in {self.precision}"

    def row(self) -> dict[str, str]:
        """Return what names the way in a result."""
        return {"runtime": self.runtime, "precision": self.precision}


def ways(args: argparse.Namespace) -> list[Way]:
    """Return the ways that are measured; engines run on a GPU only."""
    graphs = Way("onnx", "fp32", args.graphs, args.provider)
    if args.provider == "cpu":
        return [graphs]
    engines = [Way("tensorrt", "fp32", args.graphs, "cuda")]
    return [graphs, *engines, *([Way("tensorrt", "fp16", args.fp16, "cuda")] if args.fp16 else [])]


@contextmanager
def opened(way: Way, model: str) -> Iterator[Ask]:
    """Yield what answers a request, from arrays and to arrays in the host's memory."""
    path = way.path(model)
    if way.runtime == "onnx":
        session = open_session(path, device.PROVIDERS[way.provider])
        names = [output.name for output in session.get_outputs()]
        yield lambda inputs: dict(zip(names, session.run(names, dict(inputs))))
        return
    from polygraphy.backend.trt import EngineFromBytes, TrtRunner  # on machines with a GPU only

    with TrtRunner(EngineFromBytes(path.read_bytes())) as runner:
        yield lambda inputs: runner.infer(dict(tensorrt.taken(inputs, tensorrt.TENSORRT)), check_inputs=False)


def measure(way: Way, asked: Answered, *, rounds: int, quick: bool) -> dict[str, Any]:
    """Return the figures of one network."""
    ((model, (request, answer)),) = asked.items()
    before = device.used_mb(way.provider)
    with opened(way, model) as ask:
        found = np.array(ask(request)[FAKE_LOGIT.name], np.float64)
        batches = [_timed(ask, request, size, rounds) for size in _sizes(model, quick)]
        used = device.used_mb(way.provider) - before
    error = float(np.max(np.abs(found - answer[FAKE_LOGIT.name])))
    broken = [] if error <= LOGIT_ERROR[way.precision] else [f"{model}: {error:.3g} from the CPU's log odds"]
    return {"logit_error": _number(error), "memory_mb": round(used), "batches": batches, "broken": broken}


def reside(way: Way, asked: Answered, *, quick: bool) -> dict[str, Any]:
    """Return the memory of all networks at once, after the largest batch of each."""
    before = device.used_mb(way.provider)
    with ExitStack() as stack:
        for model, (request, _) in asked.items():
            ask = stack.enter_context(opened(way, model))
            ask(_batch(request, _sizes(model, quick)[-1]))
        used, aim = device.used_mb(way.provider) - before, AIM_MB[way.precision]
    broken = [] if used <= aim else [f"{used:.0f} MB resident in {way.precision}, {aim} are the aim"]
    return {"models": list(asked), "memory_mb": round(used), "aim_mb": aim, "broken": broken}


def _sizes(model: str, quick: bool) -> list[int]:
    """Return the batches up to the largest that the server would run; an engine takes no more."""
    return [size for size in BATCHES[: 2 if quick else None] if size <= MODELS[model].max_batch]


def _timed(ask: Ask, request: Arrays, size: int, rounds: int) -> dict[str, Any]:
    batch = _batch(request, size)
    for _ in range(WARM_RUNS):
        ask(batch)
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        ask(batch)
        seconds.append(time.perf_counter() - began)
    median = statistics.median(seconds)
    return {"batch": size, "median_ms": round(1000 * median, 3), "items_per_second": round(size / median, 1)}


def _batch(request: Arrays, size: int) -> Arrays:
    """Return the items of a request, again and again, to that many."""
    return {name: np.resize(array, (size, *array.shape[1:])) for name, array in request.items()}


def _number(error: float) -> float | None:
    """JSON has no NaN: an answer that is no number has no distance."""
    return error if np.isfinite(error) else None
