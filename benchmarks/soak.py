"""Mixed load for a long time: memory, descriptors, processes, shared memory and files have to stay flat."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import load, usage
from benchmarks.load import Answer, Case
from benchmarks.printing import show
from benchmarks.target import installed, own_server
from benchmarks.usage import Usage
from evaluation import record
from veracity.server import Server
from veracity.settings import CHECKOUT

PLOT = CHECKOUT / "docs" / "images" / "soak.png"
SAMPLE_SECONDS = 5.0
WARM_UP = 1 / 3  # share of the time that is not looked at: arenas and caches are full after 8 minutes of 30
PARTS = 5  # of the rest: the last is held against the first
TOLERANCES: Mapping[str, tuple[float, float]] = {  # the larger of a share of the first part and a number
    "memory": (0.05, 64e6),
    "shared_memory": (0.05, 16e6),
    "processes": (0.0, 2.0),  # decoders come and go
    "descriptors": (0.02, 16.0),
    "files": (0.0, 4.0),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=4, help="at once; gRPC, HTTP and the stream in turn")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the requests")
    parser.add_argument("--plot", type=Path, default=PLOT)


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write ``results/soak.json`` and the plot; returns 1 where something is not flat."""
    with own_server() as (server, folder), tempfile.TemporaryDirectory() as made:
        cases = load.cases(Path(made))
        with usage.sampled(server, folder, SAMPLE_SECONDS) as samples:
            answers, wrong = asyncio.run(_load(server, cases, args))
    rows = [_row(name, samples) for name in TOLERANCES]
    show("soak", rows)
    figures = {
        "minutes": args.minutes, "clients": args.clients, "seed": args.seed, **installed(),
        "requests": len(answers), "answers": dict(Counter(answer.what for answer in answers)),
        "wrong_answers": wrong, "deltas": rows, "samples": [asdict(sample) for sample in samples],
    }  # fmt: skip
    written = record.write("soak", figures)  # before the plot, which changes the tree
    plot(samples, args.plot)
    sys.stderr.write(f"written to {written} and {args.plot}\n")
    return int(bool(wrong) or any(row["broken"] for row in rows))


async def _load(server: Server, cases: Sequence[Case], args: argparse.Namespace) -> tuple[list[Answer], list[str]]:
    deadline, answers = time.monotonic() + 60 * args.minutes, list[Answer]()
    async with load.callers(server, args.clients) as callers:
        references = await load.alone(callers[0], cases)
        await load.ask_all(callers, _until(deadline, cases, args.seed), answers)
    return answers, [wrong for answer in answers if (wrong := load.fault(answer, references))]


def _until(deadline: float, cases: Sequence[Case], seed: int) -> Iterator[Case]:
    for number in itertools.count(seed):
        for case in load.mixed(cases, 100, number):
            if time.monotonic() > deadline:
                return
            yield case


def _row(name: str, samples: Sequence[Usage]) -> dict[str, Any]:
    """Return the medians of the first and the last part, and whether they are as good as the same."""
    of = [getattr(sample, name) for sample in samples[int(WARM_UP * len(samples)) :]]
    length = max(1, len(of) // PARTS)
    first, last = statistics.median(of[:length]), statistics.median(of[-length:])
    share, least = TOLERANCES[name]
    allowed = max(share * first, least)
    delta = last - first
    broken = [f"{name} grew by {delta:.0f}, more than {allowed:.0f}"] * (delta > allowed)
    return {
        "what": name,
        "first": first,
        "last": last,
        "delta": delta,
        "allowed": round(allowed),
        "broken": broken,
    }


def plot(samples: Sequence[Usage], target: Path) -> None:
    """Draw each quantity over the minutes."""
    from matplotlib.figure import Figure  # takes a second to load

    figure = Figure(figsize=(8, 9), layout="constrained")
    minutes = [sample.seconds / 60 for sample in samples]
    for name, axes in zip(TOLERANCES, figure.subplots(len(TOLERANCES), sharex=True)):
        in_mb = name in ("memory", "shared_memory")
        axes.plot(minutes, [getattr(sample, name) / (1e6 if in_mb else 1) for sample in samples], linewidth=1)
        axes.set_ylabel(f"{name.replace('_', ' ')}{', MB' * in_mb}")
        axes.set_ylim(bottom=0)
    axes.set_xlabel("minutes")
    figure.savefig(target, dpi=100, metadata={"Software": None})
