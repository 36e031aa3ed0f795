"""Plain PyTorch, as detectors are published: one frame and one layer after the other, a model loaded at first need."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.arrays import Arrays, items, joined
from benchmarks.peers.networks import installed, load
from benchmarks.peers.service import Analyze, analyzed
from veracity.analysis.context import AnalysisContext
from veracity.evidence.requests import State
from veracity.settings import Settings
from veracity_client import Verdict


class Plain:
    """Runs the networks in this process, and nothing else of the analysis meanwhile."""

    def __init__(self, settings: Settings) -> None:
        self._installed = installed(settings)
        self._net = functools.cache(lambda model: load(model, settings))

    def state(self, model: str) -> State:
        """Return whether the model is installed."""
        return "ready" if model in self._installed else "missing"

    async def __call__(self, model: str, inputs: Arrays) -> Arrays:
        """Block the whole analysis, as a plain loop does."""
        net = self._net(model)
        return joined([net(item) for item in items(inputs)])


@contextmanager
def started(settings: Settings, context: AnalysisContext) -> Iterator[Analyze]:
    """Yield what analyses a clip; of several it takes one after the other."""
    infer, turn = Plain(settings), threading.Lock()

    def analysis(clip: Path) -> Verdict:
        with turn:
            return analyzed(clip, infer, context)

    yield analysis
