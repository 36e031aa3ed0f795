"""Every installed graph on its own in a real tritonserver: size, load time, time per item, memory."""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from tritonclient import grpc
from tritonclient.utils import np_to_triton_dtype

from evaluation import record
from veracity.analysis.installed import model_info
from veracity.catalog import MODELS, Model, provenance, smoke_test
from veracity.catalog.profiles import BENCH
from veracity.server import Server, instances
from veracity.settings import Settings
from veracity_client.errors import VeracityError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("models", nargs="*", metavar="MODEL", help="which of them; all with a graph without")
    parser.add_argument(
        "--repository", type=Path, default=Settings.from_env().model_repository, help="model folders with graphs"
    )
    parser.add_argument("--rounds", type=int, default=3, help="inferences a batch size, of which the median counts")


def run(args: argparse.Namespace) -> int:
    """Load, ask and unload each graph, print a table, write ``results/models.json``."""
    installed = [name for name in MODELS if (args.repository / name / provenance.GRAPH).is_file()]
    names = args.models or installed
    absent = [name for name in names if name not in installed]
    if absent or not names:
        which = ", ".join(absent) or "any model"
        raise VeracityError(f"no graph of {which} in {args.repository}: python -m export MODEL --untrained")
    rows = []
    settings = Settings(profile=BENCH)
    with Server(args.repository, models=(), env=settings.to_env()) as server:
        client = server.sockets.connect()
        for name in names:
            rows.append(row := measure(client, server.pid, args.repository, MODELS[name], args.rounds))
            sys.stderr.write(f"{name}: loaded in {row['load_seconds']} s\n")
    print_table(rows)
    sys.stderr.write(f"written to {record.write('models', {'rounds': args.rounds, 'models': rows})}\n")
    return 0 if all(row["known_answer"] for row in rows) else 1


def measure(client: Any, server: int, repository: Path, model: Model, rounds: int) -> dict[str, Any]:
    """Return the figures of one model, warm-up included in its load; ``server`` is tritonserver's process id.

    Memory is that of the model's own processes, shared memory included: once loaded, the most that they took from then
    on, a request of the graph's largest batch included, and the most that they ever took. On a GPU a model has none of
    its own.
    """
    size = (repository / model.name / provenance.GRAPH).stat().st_size
    paper = provenance.read(repository / model.name)
    folder = repository.absolute() / model.name
    ending = instances.processes(server, folder).keys()  # of an earlier load
    began = time.monotonic()
    client.load_model(model.name, client_timeout=600)
    loaded = time.monotonic() - began
    try:
        one = smoke_test.inputs(model)
        fault = smoke_test.fault(model, _ask(client, model, one), paper)
        processes = instances.processes(server, folder).keys() - ending
        resident, loading = (_memory(processes, line) for line in ("VmRSS", "VmHWM"))
        _forget_peak(processes)
        alone, together = (_median(client, model, _items(one, n), rounds) for n in (1, model.request_items))
        _ask(client, model, _items(one, model.max_batch))
        running = _memory(processes, "VmHWM")
    finally:
        client.unload_model(model.name)
    return {
        "model": model.name,
        "sha256": model_info(repository, model.name).sha256,
        "untrained": bool(paper.get("untrained")),
        "megabytes": round(size / 1e6, 1),
        "load_seconds": round(loaded, 2),
        "one_item_ms": round(1000 * alone, 1),
        "request_items": model.request_items,
        "item_in_request_ms": round(1000 * together / model.request_items, 1),
        "loaded_mb": resident,
        "running_mb": running,
        "peak_mb": max(loading, running),
        "known_answer": bool(paper.get("known_answer")) and not fault,
    }


def _items(one: dict[str, Any], count: int) -> dict[str, Any]:
    return {name: np.repeat(value, count, axis=0) for name, value in one.items()}


def _memory(processes: Iterable[int], line: str) -> float:
    """Return the megabytes that a line of the processes' status says, added up."""
    told = "".join(Path(f"/proc/{pid}/status").read_text() for pid in processes)
    return round(1.024e-3 * sum(map(int, re.findall(rf"^{line}:\s+(\d+) kB", told, re.MULTILINE))), 1)


def _forget_peak(processes: Iterable[int]) -> None:
    """Have VmHWM count from now on: proc(5)."""
    for pid in processes:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _ask(client: Any, model: Model, values: dict[str, Any]) -> dict[str, Any]:
    given = []
    for name, value in values.items():
        given.append(tensor := grpc.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype)))
        tensor.set_data_from_numpy(value)
    answer = client.infer(model.name, given, client_timeout=600)
    return {tensor.name: answer.as_numpy(tensor.name) for tensor in model.outputs}


def _median(client: Any, model: Model, values: dict[str, Any], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        began = time.monotonic()
        _ask(client, model, values)
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the figures for a person."""
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    heads = ("model", "graph", "MB", "load s", "one item ms", "a request", "ms an item", "loaded MB", "peak MB")
    for head in (*heads, "as exported"):
        table.add_column(head, no_wrap=head in ("model", "graph"), min_width=max(map(len, head.split())))
    for row in rows:
        names = ("megabytes", "load_seconds", "one_item_ms", "request_items", "item_in_request_ms", "loaded_mb",
                 "peak_mb", "known_answer")  # fmt: skip
        graph = "made up" if row["untrained"] else row["sha256"][:8]
        table.add_row(row["model"], graph, *(str(row[name]) for name in names))
    Console().print(table)
