"""A calibration holds for the weights that were measured, not for whatever has their name."""

import json
from pathlib import Path

import pytest
from conftest import REPOSITORY

from veracity import log
from veracity.analysis.context import AnalysisContext
from veracity.catalog import MODELS, provenance
from veracity.catalog.profiles import PROFILES
from veracity.decision.calibration import Calibration, Calibrator
from veracity.settings import Settings


@pytest.fixture
def other(tmp_path: Path) -> Settings:
    """A repository in which another checkpoint lies under the name of visual_starter, which was measured."""
    folder = tmp_path / "visual_starter"
    folder.mkdir()
    (folder / "provenance.json").write_text(json.dumps({"checkpoint_sha256": "0" * 64, "trained_on": ["holidays"]}))
    return Settings(vad="energy", model_repository=tmp_path)


def test_of_other_weights_under_a_measured_name_nothing_is_known(
    other: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure("warning")  # another test's command may have asked for less
    measured, context = Calibration.read(), AnalysisContext.from_settings(other)
    assert "these weights were not measured" in "".join(capsys.readouterr())
    calibration = context.calibration
    assert "visual_starter" in measured.checkpoints
    assert calibration.calibrator("visual_starter") == Calibrator()
    assert not calibration.is_calibrated(["visual_starter"])
    assert calibration.is_calibrated(["audio_starter"])
    assert calibration.standalone_thresholds(["visual_starter"]) is None
    assert not calibration.fusions  # the profile's own were fitted with the weights that were measured
    assert measured.of("starter").fusions
    assert context.info("visual_starter").measured == "these weights were not measured, only other weights of that name"
    assert context.profile.statement == (
        "with other weights than were measured. "
        "visual_starter: these weights were not measured, only other weights of that name"
    )


def test_the_weights_that_were_measured_and_none_at_all_leave_it_as_it_is(other: Settings) -> None:
    page = other.model_repository / "visual_starter" / "provenance.json"
    known = Calibration.read().checkpoints["visual_starter"]
    page.write_text(json.dumps({"checkpoint_sha256": known}))
    assert AnalysisContext.from_settings(other).calibration == Calibration.read().of("starter")
    page.unlink()
    assert AnalysisContext.from_settings(other).calibration == Calibration.read().of("starter")
    (page.parent / "1").mkdir()
    (page.parent / "1" / "model.onnx").write_bytes(b"of nobody knows what")
    assert AnalysisContext.from_settings(other).calibration.unmeasured == {"visual_starter"}
    page.write_text("no provenance")
    assert AnalysisContext.from_settings(other).calibration.unmeasured == {"visual_starter"}


def test_a_name_without_a_checkpoint_is_calibrated_whatever_its_weights(other: Settings) -> None:
    folder = other.model_repository / "audio_aasist"
    folder.mkdir()
    (folder / "provenance.json").write_text(json.dumps({"checkpoints": {"aasist.pt": "1" * 64}}))
    context = AnalysisContext.from_settings(other.replace(models="audio_aasist"))
    assert "audio_aasist" not in context.calibration.checkpoints
    assert context.calibration.is_calibrated(["audio_aasist"])


def test_several_files_are_one_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text(json.dumps({"checkpoints": {"b.pt": "2", "a.pt": "1"}}))
    assert provenance.checkpoint(tmp_path) == "1 2"


def test_a_joined_models_licence_names_its_encoders_too(other: Settings) -> None:
    said = {
        name: AnalysisContext.from_settings(other).info(name).licence for name in ("audio_starter", "visual_starter")
    }
    assert said == {"audio_starter": "Apache-2.0, its encoder MIT", "visual_starter": "Apache-2.0"}


@pytest.mark.parametrize("model", [several[0][0] for several in PROFILES["starter"].values()])
def test_the_weights_that_ship_are_those_that_were_measured(model: str) -> None:
    page = REPOSITORY / model / ("head.json" if MODELS[model].joined else provenance.FILE)
    shipped = json.loads(page.read_text(encoding="utf-8"))["checkpoint_sha256"]
    assert Calibration.read().checkpoints[model] == shipped, "new weights: python -m training calibrate"
