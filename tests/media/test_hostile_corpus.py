"""Every file of the hostile corpus gets a verdict or an error of ours, within its limits, and leaves nothing behind."""

import asyncio
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hostile_corpus
import media_samples
import numpy as np
import pytest
from numpy.typing import NDArray

from veracity import log
from veracity.analysis.context import AnalysisContext
from veracity.analysis.pipeline import analyze
from veracity.catalog import FACE_DETECTOR, MODELS
from veracity.evidence.requests import State
from veracity.media import Source
from veracity.settings import Settings
from veracity_client.errors import InternalError, VeracityError
from veracity_client.verdict import Options

LIMITS = {"max_seconds": 120, "ffmpeg_wall_seconds": 20, "ffmpeg_cpu_seconds": 20, "ffmpeg_memory_bytes": 2 << 30}
RUNS = 8  # of a decoder that one analysis may take: facts, conversion, sound, levels, three channels, frames
MEMORY = 300 << 20  # bytes that any file may add to the process that analyses it
LEAKS = ("/proc", "/tmp", "/work", "/etc", "Traceback", "memfd")


class Faces:
    """In the place of networks: a face in the middle of every picture, the same logit for everything."""

    def state(self, _model: str) -> State:
        return "ready"

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        count = len(next(iter(inputs.values())))
        outputs = MODELS[model].outputs if model != FACE_DETECTOR.name else FACE_DETECTOR.outputs
        found = {one.name: np.zeros((count, *one.shape), np.float32) for one in outputs}
        if model == FACE_DETECTOR.name:
            height, width = inputs[FACE_DETECTOR.input.name].shape[1:3]
            corners = np.array([0.2, 0.1, 0.8, 0.9]) * [width, height, width, height]
            points = np.array([[0.4, 0.3], [0.6, 0.3], [0.5, 0.5], [0.4, 0.7], [0.6, 0.7]]) * [width, height]
            found["BOXES"][:, 0], found["SCORES"][:, 0], found["LANDMARKS"][:, 0] = corners, 0.9, points
        return found


@dataclass(frozen=True)
class Outcome:
    """``kind`` is ``verdict`` or the error's class; seconds, bytes added to the peak, and what is left behind."""

    name: str
    kind: str
    text: str
    seconds: float
    grown: int
    left: tuple[str, ...]


context: AnalysisContext  # of a process of the pool: made by begin


def begin(repository: Path, folder: Path, ordinary: bytes) -> None:
    """Set up a process of the pool, which has seen one video when its memory is measured first."""
    global context
    log.configure("error")
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    settings = Settings(model_repository=repository, vad="energy", **LIMITS)
    context = AnalysisContext.from_settings(settings)
    ask(("ordinary.mp4", ordinary))


def ask(file: tuple[str, bytes]) -> Outcome:
    name, content = file
    handles, before, begun = _handles(), _peak(), time.monotonic()
    try:
        kind, text = "verdict", asyncio.run(_analyze(content))
    except VeracityError as error:
        kind, text = type(error).__name__, error.message
    except Exception as error:
        kind, text = f"bare {type(error).__name__}", str(error)
    temporary = {file.name for file in Path(tempfile.gettempdir()).iterdir()}
    left = (*media_samples.children("").values(), *temporary, *(_handles() - handles))
    return Outcome(name, kind, text, time.monotonic() - begun, _peak() - before, left)


async def _analyze(content: bytes) -> str:
    return (await analyze(Source(content), Faces(), Options(policy="exhaustive"), context)).to_json()


def _handles() -> set[str]:
    return {handle.name for handle in Path("/proc/self/fd").iterdir()}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_second_file_of_the_corpus(full_repository: Path, tmp_path: Path) -> None:
    """All of them take ten minutes: `python tests/media/test_hostile_corpus.py`."""
    found = outcomes(full_repository, tmp_path, 2)
    assert len({outcome.name for outcome in found}) == len(found) >= 500
    assert faults(found) == []
    assert Counter(outcome.kind for outcome in found)["verdict"] > 100


def outcomes(repository: Path, folder: Path, step: int) -> list[Outcome]:
    """Ask about every ``step``-th file, in two processes."""
    (folder / "left").mkdir(parents=True)
    files = list(hostile_corpus.corpus(folder / "made"))[::step]
    ordinary = media_samples.talking(folder, 2).read_bytes()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, spawn, begin, (repository, folder / "left", ordinary)) as pool:
        return list(pool.map(ask, files))


def faults(found: list[Outcome]) -> list[tuple[str, ...]]:
    return [(wrong, one.name, one.kind, one.text[:200]) for one in found if (wrong := fault(one))]


def fault(outcome: Outcome) -> str:
    """Return what is wrong with an outcome; empty where nothing is."""
    if outcome.kind.startswith("bare") or outcome.kind in (InternalError.__name__, "ModelUnavailable"):
        return "no error of ours"
    if any(leak in outcome.text for leak in LEAKS):
        return "a leak"
    if outcome.kind != "verdict" and not 10 < len(outcome.text) < 200:
        return "no short message"
    if outcome.seconds > RUNS * LIMITS["ffmpeg_wall_seconds"]:
        return f"{outcome.seconds:.0f} s"
    if outcome.grown > MEMORY:
        return f"{outcome.grown >> 20} MiB"
    return f"left {outcome.left}" if outcome.left else ""


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        found = outcomes(Settings().model_repository, Path(temporary), 1)
    kinds = dict(Counter(outcome.kind for outcome in found).most_common())
    sys.stdout.write(f"{len(found)} files: {kinds}\n" + "".join(f"{line}\n" for line in faults(found)))
