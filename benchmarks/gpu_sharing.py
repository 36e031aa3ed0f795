"""Several processes on one GPU, as several servers share it: how many videos a second they analyse together.

What shares it is what the machine is set to: turns of the driver's own (time-slicing), MPS where its daemon runs, or
whatever the slice of a MIG device does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import Any

from benchmarks import gpu_device as device
from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.media import Source
from veracity.settings import Settings
from veracity_client import Options

MODES = ("time_slicing", "mps", "mig")
PROCESSES = (1, 2, 4)
START_SECONDS = 600.0  # until all processes have opened their networks and analysed a video

_start: list[Barrier] = []  # of this process


def mode() -> str:
    """Return how processes share the GPU that they see."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "").startswith("MIG-"):
        return "mig"
    return "mps" if "CUDA_MPS_PIPE_DIRECTORY" in os.environ else "time_slicing"


def context(args: argparse.Namespace, profile: str) -> AnalysisContext:
    """Return what the analyses of a profile share, with the graphs that are measured."""
    settings = Settings.from_env().replace(profile=profile, models="", model_repository=args.graphs)
    return AnalysisContext.from_settings(settings)


def measure(args: argparse.Namespace, profile: str) -> list[dict[str, Any]]:
    """Return a row for each number of processes, each of which analyses one video after another."""
    return [_row(args, profile, count) for count in (PROCESSES[:2] if args.quick else PROCESSES)]


def _row(args: argparse.Namespace, profile: str, count: int) -> dict[str, Any]:
    spawn = get_context("spawn")
    with ProcessPoolExecutor(count, spawn, initializer=_take, initargs=(spawn.Barrier(count),)) as pool:
        ended = [pool.submit(_process, args, profile) for _ in range(count)]
        spans = [one.result() for one in ended]
    seconds = max(end for _, end in spans) - min(begin for begin, _ in spans)
    videos = count * args.rounds
    return {
        "profile": profile, "mode": mode(), "processes": count, "videos": videos,
        "videos_per_second": round(videos / seconds, 3),
    }  # fmt: skip


def _take(start: Barrier) -> None:
    """Keep the barrier in a new process: a bound method would reach a copy of the list."""
    _start.append(start)


def _process(args: argparse.Namespace, profile: str) -> tuple[float, float]:
    """Analyse one video to warm up, wait for the others, and return when the rest began and ended."""
    infer = LocalInfer(args.graphs, provider=device.PROVIDERS[args.provider])
    shared, options = context(args, profile), Options(policy="exhaustive")
    asyncio.run(analyze(Source(args.clip), infer, options, shared))
    _start[0].wait(START_SECONDS)
    began = time.monotonic()  # one clock for all processes of a machine
    for _ in range(args.rounds):
        asyncio.run(analyze(Source(args.clip), infer, options, shared))
    return began, time.monotonic()
