"""How much memory each model takes: measured on the CPU, else an estimate that says so. Sizes are bytes.

``memory.json`` beside this file is what ``python -m benchmarks models`` measured, brought here by
``python -m benchmarks figures``: megabytes of a model's own process, once loaded, the most that it took from then on,
with the graph's largest batch, and the most that it ever took. No GPU has been measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from veracity.catalog.tensorrt import PLAN, TENSORRT

FILE = Path(__file__).with_name("memory.json")
FIELDS = ("megabytes", "loaded_mb", "running_mb", "peak_mb")  # of the graph's file; of the process, as said above
MB = 10**6
ROUNDED = MB // 10
SAME = 0.1  # a graph whose file differs by less is the one that was measured, with other weights


@dataclass(frozen=True)
class Need:
    """What a model takes at most; ``basis`` says where the number is from."""

    bytes: int
    basis: str


@dataclass(frozen=True)
class _Measured:
    graph: int
    loaded: int
    running: int
    peak: int

    @property
    def arena(self) -> int:
        """What its largest run takes beyond the loaded model."""
        return self.running - self.loaded


def needs(repository: Path, names: Iterable[str], *, gpu: bool, model_config: str = "") -> dict[str, Need]:
    """Return what each model that is installed takes, on a GPU or in a process of its own on the CPU."""
    graphs = {name: _graph_bytes(repository / name, model_config) for name in names}
    return {name: _need(name, graph, gpu) for name, graph in graphs.items() if graph}


def _need(name: str, graph: int, gpu: bool) -> Need:
    found = _measured().get(name)
    if found is not None and abs(graph - found.graph) > SAME * found.graph + ROUNDED:
        found = None  # another graph of that name
    if gpu:
        if found is not None:
            return Need(max(graph, found.peak - _process()), "estimate: no GPU was measured; what it takes on the CPU")
        return Need(graph + _largest_arena(), "estimate: not measured; its file and the largest arena of the others")
    if found is not None:
        return Need(found.peak, "measured on the CPU")
    estimate = _process() + graph + _largest_arena()
    return Need(estimate, "estimate: not measured; a process, its file and the largest arena of the others")


def _graph_bytes(folder: Path, model_config: str) -> int:
    """Return the size of the files that are read: the engine's, or the graph's with its weights beside it."""
    files = [path for path in folder.glob("[0-9]*/*") if path.is_file() and path.suffix != ".py"]
    engines = [path for path in files if path.name == PLAN]
    chosen = engines if model_config == TENSORRT and engines else [path for path in files if path not in engines]
    return sum(path.stat().st_size for path in chosen)


@cache
def _measured() -> Mapping[str, _Measured]:
    rows = json.loads(FILE.read_text("utf-8"))["models"]
    return {name: _Measured(*(round(MB * row[key]) for key in FIELDS)) for name, row in rows.items()}


def _process() -> int:
    """Return what a process takes that holds next to no graph."""
    return min(model.loaded - model.graph for model in _measured().values())


def _largest_arena() -> int:
    return max(model.arena for model in _measured().values())
