"""The documents' tables of where time goes: start, reading, layers, many files, and settings of the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.markdown import NOTHING, origin, table
from evaluation.results import load
from evaluation.tables import block

Spread = Mapping[str, float]


@block
def cold() -> str:
    """A start by stages, and the memory of a server that rests."""
    document = load("cold")
    aims, ready, idle = document["aims"], document["ready_seconds"], document["idle_mb"]
    rows = [(f"**ready** (aim: {aims['ready_seconds']:g} s)", *_seconds(ready, "**"))]
    rows += [(name, *_seconds(found)) for name, found in document["stages"].items()]
    rows += [(f"of it `{name}`", *_seconds(found)) for name, found in document["loads"].items()]
    starts = table(("", "median of starts", "range"), rows)
    sizes = [(f"**all** (aim: {aims['idle_mb']} MB)", f"**{idle['median']:.0f} MB**")]
    sizes += [(f"`{name}`", f"{size:.0f} MB") for name, size in document["processes_mb"].items()]
    memory = table(("idle", "memory (PSS)"), sizes)
    return f"{starts}\n\n{memory}\n\n{origin(document)}"


@block
def decode() -> str:
    """What reading takes of each clip."""
    document = load("decode", of_server=True)  # no network is asked
    rows = []
    for name, clip in document["clips"].items():
        for step in clip["steps"]:
            seconds = (f"{step[f'{kind}_seconds']['median']:.2f} s" for kind in ("wall", "cpu"))
            frames = str(step["count"]) if "frames" in step["what"] else NOTHING
            rows.append((name, step["what"], frames, *seconds))
    return f"{table(('clip', 'step', 'frames', 'time', 'CPU time'), rows)}\n\n{origin(document)}"


@block
def layers() -> str:
    """The CPU time of each part of an analysis, by policy."""
    document = load("layers")
    policies = document["policies"]
    names = [part["what"] for part in next(iter(policies.values()))["parts"]]
    rows = [(name, *(_part(found["parts"][place]) for found in policies.values())) for place, name in enumerate(names)]
    rows.append(("**all**", *(f"**{found['cpu_seconds']['median']:.2f} s**" for found in policies.values())))
    return f"{table(('', *(f'`{policy}`' for policy in policies)), rows)}\n\n{origin(document)}"


def _part(part: Mapping[str, object]) -> str:
    seconds: Spread = part["cpu_seconds"]  # type: ignore[assignment]
    if not seconds["median"]:
        return NOTHING
    samples = f", {part['samples']} samples" if part["samples"] else ""
    return f"{seconds['median']:.3f} s, {part['share']:.0%}{samples}".replace("%", " %")


@block
def throughput() -> str:
    """Files per second by protocol and load, and what the models behind the detector did at the highest concurrency."""
    document = load("throughput")
    names = ("p50_ms", "p90_ms", "p95_ms", "p99_ms")
    rows = [
        (protocol, load_of(row), f"{row['videos_per_second']:.2f}", *(f"{row[name] / 1000:.1f} s" for name in names))
        for protocol, sweep in document["sweeps"].items()
        for row in sweep
    ]
    levels = table(("protocol", "sent", "files per second", "p50", "p90", "p95", "p99"), rows)
    most = document["sweeps"]["grpc"][-1]
    asked = [
        (f"`{model['model']}`", str(model["requests"]), f"{model['items_a_run']:.1f}", f"{model['queue_ms']:.0f} ms",
         f"{model['compute_ms']:.0f} ms")
        for model in most["models"]
    ]  # fmt: skip
    head = (f"{load_of(most)} over gRPC", "requests", "items a batch", "waits in its queue", "computes")
    mix = ", ".join(f"{count} × {kind}" for kind, count in document["mix"].items())
    sent = f"{document['requests']} files a line, in turn out of {mix}."
    return f"{levels}\n\n{table(head, asked)}\n\n{sent} {origin(document)}"


def load_of(row: Mapping[str, Any]) -> str:
    """What a level of throughput sent, in words."""
    return f"{row['concurrency']} at a time" if "concurrency" in row else f"{row['sent_per_second']:.2f} a second"


@block
def sweep() -> str:
    """Each setting's throughput and latency, beside the committed ones."""
    document = load("sweep")
    rows = []
    for point in document["points"]:
        mark = "**" if point["name"] == document["best"] else ""
        rate, seconds = point["files_per_second"], point["seconds"]
        spread = f"{rate['min']:.2f} – {rate['max']:.2f}"
        rows.append(
            (f"{mark}{point['name']}{mark}", f"{mark}{rate['median']:.2f}{mark}", spread, f"{seconds['median']:.2f} s")
        )
    head = ("setting", f"files per second, {document['clients']} clients", "range", "one client's video")
    best = ", ".join(f"`{name}` {_setting(found)}" for name, found in document["best_settings"].items())
    left = f" Not measured for want of time: {', '.join(document['left_out'])}." if document["left_out"] else ""
    return f"{table(head, rows)}\n\nBest: {document['best']}; that is {best}.{left}\n\n{origin(document)}"


def _setting(found: Mapping[str, int]) -> str:
    threads = f"threads {found['threads'] or 'as ONNX Runtime chooses'}"
    return f"({found['instances']} × {threads}, batch {found['max_batch']}, {found['delay_us'] / 1000:g} ms)"


def _seconds(found: Spread, mark: str = "") -> tuple[str, str]:
    return f"{mark}{found['median']:.2f} s{mark}", f"{found['min']:.2f} – {found['max']:.2f}"
