"""``python -m benchmarks cold``: what it reads from a real start, and that it says when there is none."""

from pathlib import Path

import pytest
from conftest import REPOSITORY

from benchmarks import cold
from veracity.catalog import SPEAKER, provenance
from veracity.catalog.profiles import children, choose
from veracity.server.repository import DETECTORS
from veracity.settings import Settings
from veracity_client.errors import VeracityError

OPTIONAL = {SPEAKER.name} if (REPOSITORY / SPEAKER.name / provenance.GRAPH).is_file() else set()
SERVED = {*children(choose("starter")), *OPTIONAL, *DETECTORS}


@pytest.mark.triton
def test_a_start_is_split_without_a_rest(
    full_repository: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERACITY_MODEL_REPOSITORY", str(full_repository))
    start = cold.start_once(settle=0.0)
    assert set(start.loads) == SERVED
    assert sum(start.stages.values()) == pytest.approx(start.ready)
    assert min(start.stages.values()) > -0.1  # the log rounds
    assert start.stages["models loaded and tested"] >= max(start.loads[name] for name in SERVED - {*DETECTORS}) - 0.1
    assert {*SERVED, "supervisor", "tritonserver", "envoy"} <= set(start.memory)
    assert min(start.memory[name] for name in SERVED) > 10
    figures = cold.summary([start, start])
    assert figures["ready_seconds"]["median"] == pytest.approx(start.ready, abs=1e-3)
    assert figures["idle_mb"]["max"] == sum(figures["processes_mb"].values())


def test_a_server_that_does_not_start_is_no_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERACITY_MODEL_REPOSITORY", str(tmp_path / "none"))
    with pytest.raises(VeracityError, match="ended with status 3 before it was ready"):
        cold.start_once(settle=0.0)


def test_a_model_that_failed_is_named() -> None:
    with pytest.raises(VeracityError, match="did not load: visual_starter"):
        cold.stages([{"event": "load failed", "model": "visual_starter"}], began=0.0, ready=1.0)
