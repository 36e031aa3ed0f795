"""A part of long sound that the first pass has touched is looked at closer, and told of."""

import asyncio
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import Observation, observe
from veracity.catalog.layers import SAMPLE_RATE, WINDOW_SAMPLES
from veracity.evidence.long_sound import first_pass
from veracity.media import Source
from veracity.settings import Settings
from veracity_client.errors import InternalError
from veracity_client.verdict import Options

SECONDS = 600
WINDOWS = SECONDS * SAMPLE_RATE // WINDOW_SAMPLES
VOICE = Options(policy="exhaustive", layers=("audio",))


class Loudness(LocalInfer):
    """Finds a window the more fake the more of it is loud: from -4 for nothing to +4 for all of it."""

    def state(self, model: str) -> Any:
        return "ready" if model == "audio_starter" else super().state(model)

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        (windows,) = inputs.values()
        return {"FAKE_LOGIT": 8 * (np.abs(windows) > 6000).mean(axis=1, dtype=np.float32) - 4}


class Failing(Loudness):
    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        raise InternalError(f"{model} failed")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Steady sound, and the number of the one window of the first pass that its loud part begins in the middle of."""
    touched = first_pass(WINDOWS, SECONDS)[5]
    pcm = np.where(np.arange(SECONDS * SAMPLE_RATE) % 2, 3000, -3000).astype(np.int16)
    middle = touched * WINDOW_SAMPLES + WINDOW_SAMPLES // 2
    pcm[middle : middle + WINDOW_SAMPLES * 3 // 2] *= 3
    path = tmp_path_factory.mktemp("long") / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(pcm.tobytes())
    return path, touched


@pytest.fixture(scope="module")
def energetic(settings: Settings) -> AnalysisContext:
    return AnalysisContext.from_settings(settings.replace(vad="energy"))


def observed(context: AnalysisContext, path: Path, infer: type[LocalInfer]) -> Observation:
    return asyncio.run(observe(Source(path), infer(context.settings.model_repository), VOICE, context))


def test_the_second_pass_finds_what_the_first_has_touched(energetic: AnalysisContext, sound: tuple[Path, int]) -> None:
    path, touched = sound
    seen = observed(energetic, path, Loudness)
    output, result = seen.outputs["audio_starter"], seen.verdict.layer_results["1_audio"]
    logits = dict(zip((round(item.start * SAMPLE_RATE / WINDOW_SAMPLES) for item in output.items), output.logits))
    assert len(output.spread.items) == len(first_pass(WINDOWS, SECONDS)) < len(output.items)
    assert max(output.spread.logits) == pytest.approx(logits[touched], abs=0.01) == pytest.approx(0, abs=0.01)
    assert logits[touched + 1] == pytest.approx(4)
    highest = max(seen.verdict.timeline["1_audio"], key=lambda span: span.score)
    assert round(highest.start * SAMPLE_RATE / WINDOW_SAMPLES) == touched + 1
    assert f"highest {highest.score:.2f} at {highest.start:.2f}" in result.reasoning
    assert "over 12 samples and 22 near the highest of them" in result.reasoning
    assert result.coverage is not None
    assert result.coverage.samples == len(output.items)


def test_what_lies_near_the_highest_does_not_count_for_the_clip(
    energetic: AnalysisContext, sound: tuple[Path, int]
) -> None:
    seen = observed(energetic, sound[0], Loudness)
    spread = seen.outputs["audio_starter"].spread
    seconds = [item.end - item.start for item in spread.items]
    scale = energetic.calibration.calibrator("audio_starter")
    expected = float(scale(np.array(np.average(spread.logits, weights=seconds))))
    assert seen.verdict.layer_results["1_audio"].fake_probability == pytest.approx(expected, abs=1e-4)


def test_a_model_that_fails_in_the_first_pass_fails_its_layer(
    energetic: AnalysisContext, sound: tuple[Path, int]
) -> None:
    result = observed(energetic, sound[0], Failing).verdict.layer_results["1_audio"]
    assert (result.status, result.code) == ("failed", "model_failed")
