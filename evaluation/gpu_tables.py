"""The documents' tables of ``python -m benchmarks gpu``, which only a run on a GPU fills."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.markdown import NOTHING, origin, table
from evaluation.results import RefusedResult, load
from evaluation.tables import block

BATCHES = (1, 4, 16, 32)
SHARING = ("sharing_time_slicing", "sharing_mps", "sharing_mig")


def _stage(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the result and the rows of a stage; raises :class:`RefusedResult` for one that no GPU gave."""
    document = load("gpu")
    if not document["machine"].get("gpu"):
        raise RefusedResult("`gpu.json` was not measured on a GPU")
    if not document.get(name):
        raise RefusedResult(f"`gpu.json` has no stage `{name}`")
    return document, document[name]


@block
def networks() -> str:
    """Each network by runtime and precision: milliseconds a batch, items a second, distance from the CPU, memory."""
    document, rows = _stage("models_alone")
    head = ("network", "runs as", *(f"batch of {size}" for size in BATCHES), "log odds from the CPU's", "memory")
    return f"{table(head, map(_network, rows))}\n\n{_origin(document)}"


def _network(row: Mapping[str, Any]) -> tuple[str, ...]:
    name = (f"`{row['model']}`", f"{row['runtime']} {row['precision']}")
    if "missing" in row:
        return (*name, *[NOTHING] * len(BATCHES), row["missing"].replace("|", "/"), NOTHING)
    error = NOTHING if row["logit_error"] is None else f"{row['logit_error']:.1e}"
    times = {one["batch"]: f"{one['median_ms']:.1f} ms, {one['items_per_second']:.0f}/s" for one in row["batches"]}
    cells = (NOTHING if row["broken"] else times.get(size, NOTHING) for size in BATCHES)
    return (*name, *cells, f"wrong: {error}" if row["broken"] else error, f"{row['memory_mb']} MB")


@block
def resident() -> str:
    """Memory of all networks of a profile at once."""
    document, rows = _stage("memory")
    cells = [
        (f"`{row['profile']}`", f"{row['runtime']} {row['precision']}",
         row.get("missing", "").replace("|", "/") or f"{row['memory_mb'] / 1000:.1f} GB of {row['aim_mb'] / 1000:.0f}")
        for row in rows
    ]  # fmt: skip
    return f"{table(('profile', 'runs as', 'memory'), cells)}\n\n{_origin(document)}"


@block
def videos() -> str:
    """Videos a second, and the time of decoding one."""
    document, rows = _stage("pipeline")
    decode = document["decode"]
    cells = [
        (f"`{row['profile']}`", str(row["at_once"]), f"{row['videos_per_second']:.2f}",
         f"{decode['cpu_seconds'] / row['seconds_a_round']:.2f}" if row["at_once"] == 1 else NOTHING)
        for row in rows
    ]  # fmt: skip
    nvdec = f"{decode['nvdec_seconds']:.2f} s" if "nvdec_seconds" in decode else f"not measured ({decode['nvdec']})"
    told = f"ffmpeg decodes the clip in {decode['cpu_seconds']:.2f} s on the CPU; on NVDEC: {nvdec}."
    head = ("profile", "videos at a time", "videos per second", "ffmpeg's decode / one video")
    return f"{table(head, cells)}\n\n{told}\n\n{_origin(document)}"


@block
def shared() -> str:
    """Videos a second of several processes on one GPU, by what shares it."""
    measured = [name for name in SHARING if load("gpu").get(name)]
    document, _ = _stage(measured[0] if measured else SHARING[0])
    rows = [row for name in measured for row in document[name]]
    cells = [
        (f"`{row['profile']}`", row["mode"].replace("_", "-"), str(row["processes"]), f"{row['videos_per_second']:.2f}")
        for row in rows
    ]
    return f"{table(('profile', 'shared by', 'processes', 'videos per second'), cells)}\n\n{_origin(document)}"


def _origin(document: Mapping[str, Any]) -> str:
    machine, packages = document["machine"], document["packages"]
    with_what = ", ".join(f"{name} {version}" for name, version in packages.items())
    gpu = f"{machine['gpu']}, driver {machine['driver']}, CUDA {machine['cuda']}"
    return f"{origin(document, 'benchmarks/gpu.sh')} GPU: {gpu}; {with_what}."
