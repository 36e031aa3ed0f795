"""``veracity install``: files and graphs, what cannot be had, and what a first run does."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from veracity import cli
from veracity.catalog import MODELS
from veracity.install import install_command, locations
from veracity.install.installer import install, is_complete, models_of_profile, to_fetch
from veracity.settings import CHECKOUT, Settings


@pytest.fixture
def place(tmp_path: Path) -> Settings:
    """An installation with nothing built: the model folders of this version, and no fetched file."""
    target = tmp_path / "model_repository"
    shutil.copytree(
        CHECKOUT / "model_repository", target, ignore=lambda at, names: [n for n in names if n == "provenance.json"]
    )
    for name in ("face_detector", "audio_starter", "semantic_starter"):
        shutil.rmtree(target / name / "1", ignore_errors=True)
    return Settings(model_repository=target, weights=tmp_path / "weights")


@pytest.fixture
def fetched(settings: Settings) -> Path:
    """The folder of files that the checkout has already."""
    return settings.weights


def test_what_is_missing_is_installed_and_nothing_twice(place: Settings, fetched: Path) -> None:
    steps: list[str] = []
    assert not is_complete(["face_detector"], place)
    assert install(["face_detector"], place, from_dir=fetched, say=steps.append) == {}
    assert [step.split(" (")[0] for step in steps] == [
        "fetching silero_vad.onnx",
        "fetching centerface.onnx",
        "fetching astronaut.png",
        "building face_detector",
    ]
    assert is_complete(["face_detector"], place)
    assert install(["face_detector"], place, from_dir=fetched, say=steps.append) == {}
    assert len(steps) == 4


def test_one_file_that_cannot_be_had_does_not_stop_the_others(place: Settings, fetched: Path, tmp_path: Path) -> None:
    partial = tmp_path / "partial"
    partial.mkdir()
    for name in ("silero_vad.onnx", "centerface.onnx", "astronaut.png"):
        shutil.copy(fetched / name, partial)
    failed = install(["audio_starter", "face_detector"], place, from_dir=partial)
    assert set(failed) == {"audio_starter", "whisper_base.bin"}
    assert failed["audio_starter"] == "it is made of whisper_base.bin"
    assert "is not in the folder given with --from" in failed["whisper_base.bin"]
    assert is_complete(["face_detector"], place)


def test_a_published_model_is_said_to_need_an_export(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locations, "checkout", lambda: None)
    assert [source.name for source in to_fetch(["visual_sbi_b4"], place)] == ["silero_vad.onnx"]
    (place.weights).mkdir()
    shutil.copy(Settings().weights / "silero_vad.onnx", place.weights)
    failed = install(["visual_sbi_b4", "audio_melspec"], place)
    assert failed == {
        "visual_sbi_b4": "weights not installed: in a checkout of Veracity: "
        "veracity weights fetch visual_sbi_b4 && python -m export visual_sbi_b4",
        "audio_melspec": "weights not installed: none of audio_melspec were released yet",
    }


def test_the_starter_needs_no_torch() -> None:
    starter = models_of_profile("starter")
    ours = {"visual_starter", "lipsync_starter", "semantic_texture_starter"}
    assert set(starter) == {"face_detector", "audio_starter", "semantic_starter", *ours}
    assert {name for name in starter if MODELS[name].files} == {"face_detector", "audio_starter", "semantic_starter"}


@pytest.mark.parametrize("asked", [["install", "nonsense"], ["install", "face_detector", "--profile", "starter"]])
def test_a_wrong_command_line_is_refused(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(asked) == 3
    assert "BadOption" in capsys.readouterr().err


def test_a_person_at_a_terminal_may_decline(
    place: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    said = Terminal()
    monkeypatch.setattr(locations, "MODEL_REPOSITORY", place.model_repository)
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    monkeypatch.setattr("sys.stderr", said)
    install_command.before_serving(place)
    assert "Install them now? [Y/n]" in said.getvalue()
    assert "`veracity install` does it later" in said.getvalue()
    assert not place.weights.exists()


def test_a_repository_of_ones_own_is_served_as_it_is(place: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    install_command.before_serving(place)
    assert capsys.readouterr().err == ""
    assert not place.weights.exists()
