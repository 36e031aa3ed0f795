"""Twenty varied clips whose verdicts were recorded: whatever is restructured, they stay what they were.

Record them anew, and say why in the commit, with `python tests/analysis/test_recorded_verdicts.py`.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.media import Source
from veracity.settings import CHECKOUT, Settings
from veracity_client.verdict import Options

RECORD = CHECKOUT / "tests" / "data" / "recorded_verdicts.json"
SHARED = CHECKOUT.parent / "shared"
SAME_PROCESSOR, OTHER_PROCESSOR = 1e-6, 2e-3  # other processors sum in another order: measured logits differ by 1e-4

recorded = json.loads(RECORD.read_text())


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def verdict_of(clip: str, context: AnalysisContext, infer: LocalInfer) -> dict[str, Any]:
    verdict = asyncio.run(analyze(Source(SHARED / clip), infer, Options(policy="exhaustive"), context))
    layers = {key: result.fake_probability for key, result in verdict.layer_results.items()}
    return {"label": verdict.label, "fake_probability": verdict.fake_probability, "layers": layers}


@pytest.fixture(scope="module")
def infer(settings: Settings) -> LocalInfer:
    for name in ("audio_starter", "semantic_starter"):
        if not (settings.model_repository / name / "1" / "model.onnx").is_file():
            pytest.skip(f"{name} is not installed: its encoder could not be fetched")
    return LocalInfer(settings.model_repository)


@pytest.mark.slow
@pytest.mark.parametrize("clip", recorded["clips"])
def test_the_verdict_is_the_recorded_one(clip: str, context: AnalysisContext, infer: LocalInfer) -> None:
    if not (SHARED / clip).is_file():
        pytest.skip("../shared is absent")
    before, now = recorded["clips"][clip], verdict_of(clip, context, infer)
    tolerance = SAME_PROCESSOR if processor() == recorded["processor"] else OTHER_PROCESSOR
    assert now["layers"] == {key: pytest.approx(p, abs=tolerance) for key, p in before["layers"].items()}
    assert now["fake_probability"] == pytest.approx(before["fake_probability"], abs=tolerance)
    assert now["label"] == before["label"]


if __name__ == "__main__":
    settings = Settings.from_env()
    parts = AnalysisContext.from_settings(settings), LocalInfer(settings.model_repository)
    found = {clip: verdict_of(clip, *parts) for clip in recorded["clips"]}
    RECORD.write_text(json.dumps({"processor": processor(), "clips": found}, indent=1) + "\n")
    sys.stdout.write(f"{len(found)} verdicts recorded\n")
