"""``python -m benchmarks layers``: every CPU second of an analysis is somebody's, and nobody's twice."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import layers
from benchmarks.latency import POLICIES
from veracity.catalog.layers import FACE_FRAMES, SEMANTIC_FRAMES
from veracity.settings import Settings


@pytest.fixture(scope="module")
def policies(full_repository: Path, talking: Path, settings: Settings) -> dict[str, Any]:
    return layers.measure(Settings(model_repository=full_repository), talking, rounds=1)


def test_the_parts_add_up_to_the_whole(policies: dict[str, Any]) -> None:
    assert list(policies) == list(POLICIES)
    for found in policies.values():
        parts = {part["what"]: part["cpu_seconds"]["median"] for part in found["parts"]}
        assert tuple(parts) == layers.PARTS
        assert min(parts.values()) >= 0
        assert sum(parts.values()) == pytest.approx(found["cpu_seconds"]["median"], abs=2e-3)
        assert parts["decode"] > 0


def test_an_exhaustive_analysis_asks_every_layer(policies: dict[str, Any]) -> None:
    samples = {part["what"]: part["samples"] for part in policies["exhaustive"]["parts"]}
    assert samples["1_audio"] > 0
    assert samples["2_visual"] > 0
    assert samples["3_lipsync"] > 0
    assert samples["4_semantic"] == SEMANTIC_FRAMES
    assert samples["finding faces"] > FACE_FRAMES  # and the frames of the mouths
    assert samples["decode"] == samples["orchestration"] == 0


def test_orchestration_is_without_networks_and_reading(
    full_repository: Path, talking: Path, settings: Settings
) -> None:
    meter = layers.Meter(Settings(model_repository=full_repository))
    shares = meter.analyze(talking, "exhaustive")
    assert shares.cpu["decode"] > shares.total.children_cpu  # what this process reads belongs to it
    assert 0 < shares.cpu["orchestration"] < shares.total.own_cpu
