"""What each layer takes of one clip's CPU time, for each policy; the rest beside decode and networks is orchestration.

The analysis runs in this process, each graph on one thread, so that every CPU second is somebody's: what tritonserver
adds is in `latency`, and what a graph takes alone in `models`. The aim holds for orchestration.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.costs import Cost, in_rounds, measured, spread
from benchmarks.latency import POLICIES
from benchmarks.printing import show
from benchmarks.target import clip_of, installed
from evaluation import record
from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.catalog import LAYERS, MODELS
from veracity.evidence.speech import Pcm, Spans, Stopped, Vad, never
from veracity.media import Source
from veracity.settings import Settings
from veracity_client import Options
from veracity_client.verdict import Policy

DECODE, SPEECH, FACES, REST = "decode", "finding speech", "finding faces", "orchestration"
PARTS = (DECODE, SPEECH, FACES, *(layer.key for layer in LAYERS), REST)
LAYER_KEYS = {layer.name: layer.key for layer in LAYERS}
AIM_SECONDS = 0.060  # of CPU time for orchestration
DEADLINE_SECONDS = 1800.0


@dataclass
class Shares:
    """CPU seconds and samples of one analysis by part; ``total`` is the whole of it."""

    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    samples: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    total: Cost = field(default_factory=Cost)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count the CPU time of this thread in the block to ``part``."""
        began = time.thread_time()
        try:
            yield
        finally:
            with self._lock:  # two requests of one model are two threads
                self.cpu[part] += time.thread_time() - began

    def count(self, part: str, samples: int) -> None:
        """Count samples to ``part``."""
        with self._lock:
            self.samples[part] += samples


class Meter:
    """Networks, voice-activity detector and reading of decoders whose costs go to :attr:`shares`."""

    def __init__(self, settings: Settings) -> None:
        context = AnalysisContext.from_settings(settings)
        self.shares = Shares()
        self.context = replace(context, vad=self._metered(context.vad))
        self.infer = _MeteredInfer(settings.model_repository, self)

    def analyze(self, clip: Path, policy: Policy) -> Shares:
        """Analyse once and return what it took."""
        self.shares = Shares()
        options = Options(policy=policy, deadline_seconds=DEADLINE_SECONDS)
        with mock.patch("os.readv", self._readv), measured() as self.shares.total:  # all that comes from decoders
            asyncio.run(analyze(Source(clip), self.infer, options, self.context))
        cpu = self.shares.cpu
        cpu[DECODE] += self.shares.total.children_cpu
        cpu[REST] = self.shares.total.cpu - sum(cpu.values())
        return self.shares

    def _readv(self, descriptor: int, buffers: Sequence[Any], _read: Any = os.readv) -> int:
        with self.shares.of(DECODE):
            return int(_read(descriptor, buffers))

    def _metered(self, vad: Vad) -> Vad:
        def find(pcm: Pcm, /, stopped: Stopped = never) -> Spans:
            self.shares.count(SPEECH, 1)
            with self.shares.of(SPEECH):
                return vad(pcm, stopped=stopped)

        return find


class _MeteredInfer(LocalInfer):
    def __init__(self, repository: Path, meter: Meter) -> None:
        super().__init__(repository, threads=1)  # the caller's: its clock tells all of the work
        self._meter = meter

    def _opened(self, model: str) -> Any:
        return _MeteredSession(super()._opened(model), model, self._meter)


@dataclass(frozen=True)
class _MeteredSession:
    session: Any
    model: str
    meter: Meter

    def get_outputs(self) -> Any:
        return self.session.get_outputs()

    def run(self, names: Sequence[str], inputs: Mapping[str, Any]) -> Any:
        layer = MODELS[self.model].layer
        part = LAYER_KEYS[layer] if layer else FACES
        self.meter.shares.count(part, len(inputs[MODELS[self.model].input.name]))
        with self.meter.shares.of(part):
            return self.session.run(names, inputs)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--clip", type=Path, help="a video; without it a 10 s 1080p clip with speech and a face is made"
    )
    parser.add_argument("--rounds", type=int, default=5)


def run(args: argparse.Namespace) -> int:
    """Measure, print a table a policy, write ``results/layers.json``."""
    clip = clip_of(args.clip)
    policies = measure(Settings.from_env(), clip, args.rounds)
    for policy, found in policies.items():
        show(policy, [_row(part) for part in found["parts"]])
    figures = {"rounds": args.rounds, "clip_bytes": clip.stat().st_size, "aims": {REST: AIM_SECONDS}, **installed()}
    sys.stderr.write(f"written to {record.write('layers', {**figures, 'policies': policies})}\n")
    return 0


def measure(settings: Settings, clip: Path, rounds: int) -> dict[str, Any]:
    """Return the figures of each policy, after an analysis that loads the graphs."""
    meter = Meter(settings)
    meter.analyze(clip, "exhaustive")
    found: dict[Policy, list[Shares]] = {policy: [] for policy in POLICIES}
    in_rounds(POLICIES, rounds, lambda policy: found[policy].append(meter.analyze(clip, policy)))
    return {policy: _figures(shares) for policy, shares in found.items()}


def _figures(found: Sequence[Shares]) -> dict[str, Any]:
    whole = spread([shares.total.cpu for shares in found])
    parts = [_part(part, found, whole["median"]) for part in PARTS]
    return {"wall_seconds": spread([shares.total.wall for shares in found]), "cpu_seconds": whole, "parts": parts}


def _part(part: str, found: Sequence[Shares], whole: float) -> dict[str, Any]:
    seconds = spread([shares.cpu[part] for shares in found], 4)
    share = round(seconds["median"] / whole, 3)
    return {"what": part, "samples": found[-1].samples[part], "cpu_seconds": seconds, "share": share}


def _row(part: Mapping[str, Any]) -> dict[str, Any]:
    seconds = {f"cpu {name}": value for name, value in part["cpu_seconds"].items()}
    return {"": part["what"], "samples": part["samples"], **seconds, "share": part["share"]}
