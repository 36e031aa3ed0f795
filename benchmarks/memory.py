"""Memory of the whole server: idle, under concurrent 1080p videos and under large uploads, against a budget.

The budget, in docs/operate.md: what the server takes idle, so much for each video under way, and each request that is
in it, waiting or under way, as often as its bytes are held.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import load, usage
from benchmarks.load import Answer, Case
from benchmarks.printing import show
from benchmarks.target import clip_of, installed, own_server
from evaluation import record
from veracity.catalog.serving import VIDEOS_AT_ONCE
from veracity.server import Server
from veracity_client import Options

MB, GIB = 10**6, 2**30
IDLE_BYTES = 3 * GIB  # once it has worked
VIDEO_BYTES = GIB  # of each video under way, decoder included
COPIES = 3  # of a request's bytes: tritonserver's, the shared memory's, the detector's
SAMPLE_SECONDS = 0.5
SETTLE_SECONDS = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--clip", type=Path, help="a video; without it a 10 s 1080p clip with speech and a face is made"
    )
    parser.add_argument("--videos", type=int, nargs="+", default=[4, 16], help="at once, a level each")
    parser.add_argument("--uploads", type=int, nargs="+", default=[1, 4], help="large ones at once, a level each")
    parser.add_argument("--megabytes", type=int, default=200, help="size of a large upload")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write ``results/memory.json``; returns 1 where the budget was exceeded."""
    clip = clip_of(args.clip).read_bytes()
    film = Case("1080p video", "bulk", clip, Options(policy="exhaustive"))
    large = Case(
        f"{args.megabytes} MB upload", "bulk", _padded(clip, args.megabytes * MB), Options(policy="exhaustive")
    )
    levels = [(film, 0), *((film, count) for count in args.videos), *((large, count) for count in args.uploads)]
    with own_server() as (server, folder):
        asyncio.run(_ask(server, film, VIDEOS_AT_ONCE))  # what a process keeps for the next video counts as idle
        rows = [_level(server, folder, case, count) for case, count in levels]
        rows.append(_level(server, folder, film, 0, "idle after uploads"))
    show("memory", rows)
    figures = {"clip_bytes": len(clip), "megabytes": args.megabytes, **installed(), "levels": rows}
    sys.stderr.write(f"written to {record.write('memory', figures)}\n")
    return int(any(row["broken"] for row in rows))


def budget(case: Case, count: int) -> int:
    """Return the bytes that a server may take with so many requests at once."""
    return IDLE_BYTES + min(count, VIDEOS_AT_ONCE) * VIDEO_BYTES + COPIES * count * len(case.video)


def _level(server: Server, folder: Path, case: Case, count: int, name: str = "idle after videos") -> dict[str, Any]:
    with usage.sampled(server, folder, SAMPLE_SECONDS) as samples:
        answers = asyncio.run(_ask(server, case, count))
    peak, allowed = max(sample.memory for sample in samples), budget(case, count)
    what = f"{count} × {case.name}" if count else name
    wrong = [f"{what}: {answer.what}: {answer.message}" for answer in answers if answer.verdict is None]
    if peak > allowed:
        wrong.append(f"{what}: {peak / GIB:.2f} GiB of {allowed / GIB:.2f} GiB")
    return {
        "what": what,
        "peak_mb": round(peak / MB),
        "budget_mb": round(allowed / MB),
        "shared_memory_mb": round(max(sample.shared_memory for sample in samples) / MB),
        "processes": max(sample.processes for sample in samples),
        "answers": dict(Counter(answer.what for answer in answers)),
        "broken": wrong,
    }


async def _ask(server: Server, case: Case, count: int) -> Sequence[Answer]:
    """Send so many at once, over gRPC and HTTP in turn; with none, wait."""
    async with load.callers(server, 2) as callers:
        if not count:
            await asyncio.sleep(SETTLE_SECONDS)
        return await asyncio.gather(*(callers[k % 2].ask(case) for k in range(count)))


def _padded(clip: bytes, size: int) -> bytes:
    """Return the mp4 with a box of nothing behind it, so that it has ``size`` bytes and shows the same."""
    free = size - len(clip)
    return clip + free.to_bytes(4, "big") + b"free" + bytes(free - 8)
