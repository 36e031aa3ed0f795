"""Inputs for comparing graphs: noise, extremes, and the engine's own inputs from a real clip."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.catalog import FACE_DETECTOR, LAYERS, MODELS, SPEAKER, Model, Tensor, smoke_test
from veracity.catalog.assets import PORTRAIT_FILE
from veracity.catalog.profiles import BENCH
from veracity.evidence.requests import State
from veracity.install.graphs.publish import ExportError
from veracity.media import Source, find_ffmpeg
from veracity.sample import make_sample
from veracity.settings import Settings
from veracity_client.verdict import Options

Inputs = dict[str, NDArray[Any]]
NEED_FACES = {layer.name for layer in LAYERS if layer.needs_faces}
ITEMS = 4  # of the real clip that are compared, at most


def cases(model: Model, settings: Settings, clip: Path | None = None) -> list[Inputs]:
    """Return batches of one to four: noise, black and white, and items of ``clip`` (a sample made on the spot).

    Raises :class:`ExportError` where the clip has no input for the model, and the engine's errors.
    """
    rng = np.random.default_rng()  # unseeded: every export compares on new noise
    random = {tensor.name: _noise(tensor, rng) for tensor in model.inputs}
    extremes = {tensor.name: _extremes(tensor) for tensor in model.inputs}
    return [random, extremes, real(model, settings, clip)]


def real(model: Model, settings: Settings, clip: Path | None = None) -> Inputs:
    """Return the inputs of ``model`` for a clip, at most ITEMS."""
    recorder = Recorder(settings.model_repository)
    asking = {"profile": BENCH, "models": model.name} if model.layer else {"profile": "starter", "models": ""}
    engine = AnalysisContext.from_settings(settings.replace(**asking))
    options = Options(policy="exhaustive", explain=model is SPEAKER)
    with tempfile.TemporaryDirectory(prefix="veracity-export-") as folder:
        clip = clip or make_sample(
            Path(folder, "sample.mp4"), settings.weights / PORTRAIT_FILE, find_ffmpeg(settings.ffmpeg)
        )
        asyncio.run(analyze(Source(clip), recorder, options, engine))
    asked = recorder.asked[model.name]
    if (model is SPEAKER or model.layer in NEED_FACES) and recorder.state(FACE_DETECTOR.name) != "ready":
        raise ExportError(f"{model.name} is compared on faces, which needs the face detector: make models")
    if not asked:
        raise ExportError(f"the clip has no input for {model.name}: name another with --clip")
    return {name: np.concatenate([one[name] for one in asked])[:ITEMS] for name in asked[0]}


class Recorder:
    """An ``infer`` that detects faces, records the inputs of all other models, and returns zeros for them."""

    def __init__(self, repository: Path) -> None:
        self._local = LocalInfer(repository)
        self.asked: dict[str, list[Mapping[str, NDArray[Any]]]] = defaultdict(list)

    def state(self, model: str) -> State:
        """Every model counts as ready; the face detector only if it is installed."""
        return self._local.state(model) if model == FACE_DETECTOR.name else "ready"

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Run the face detector, and record all other inputs."""
        if model == FACE_DETECTOR.name:
            return await self._local(model, inputs)
        self.asked[model].append(inputs)
        items = len(next(iter(inputs.values())))
        return {tensor.name: np.zeros((items, *tensor.shape), np.float32) for tensor in MODELS[model].outputs}


def _noise(tensor: Tensor, rng: np.random.Generator) -> NDArray[Any]:
    if tensor.dtype == "UINT8":
        return rng.integers(0, 256, (3, *tensor.shape), np.uint8)
    levels = np.array([30.0, 1_000.0, 8_000.0]).reshape(3, *[1] * len(tensor.shape))
    noise: NDArray[np.float64] = (rng.standard_normal((3, *tensor.shape)) * levels).clip(-32_768, 32_767)
    return noise.astype(smoke_test.DTYPES[tensor.dtype])


def _extremes(tensor: Tensor) -> NDArray[Any]:
    ends = np.iinfo(tensor.dtype.lower())
    both: NDArray[np.float64] = np.stack([np.zeros(tensor.shape), np.full(tensor.shape, ends.max)])
    return both.astype(smoke_test.DTYPES[tensor.dtype])
