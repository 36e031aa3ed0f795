"""`python -m export configs`: the written files are the catalog's, and the check says where they are not."""

import shutil
from pathlib import Path

import pytest

from export.__main__ import main
from veracity.catalog.serving import VIDEOS_AT_ONCE, VIDEOS_WAITING
from veracity.settings import CHECKOUT


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    configs = shutil.ignore_patterns("*.onnx", "*.json", "*.plan")
    return Path(shutil.copytree(CHECKOUT / "model_repository", tmp_path / "model_repository", ignore=configs))


def check(repository: Path) -> int:
    return main(["configs", "--check", "--repository", str(repository)])


def test_the_written_configurations_are_the_catalogs(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(repository) == 0
    assert capsys.readouterr().out == ""


def test_a_changed_and_a_missing_file_are_shown_and_written_anew(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed, missing = repository / "visual_starter" / "config.pbtxt", repository / "face_detector" / "config.pbtxt"
    changed.write_text(changed.read_text().replace("max_batch_size: 32", "max_batch_size: 33"))
    missing.unlink()
    assert check(repository) == 1
    shown = capsys.readouterr().out.splitlines()
    assert "-max_batch_size: 33" in shown
    assert "+max_batch_size: 32" in shown
    assert '+name: "face_detector"' in shown
    assert main(["configs", "--repository", str(repository)]) == 0
    assert check(repository) == 0


def test_the_configuration_of_no_model_is_deleted(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stale = repository / "visual_starter" / "configs" / "openvino.pbtxt"
    stale.write_text('name: "visual_starter"\n')
    assert check(repository) == 1
    assert '-name: "visual_starter"' in capsys.readouterr().out
    assert main(["configs", "--repository", str(repository)]) == 0
    assert not stale.exists()


def test_both_endpoints_take_as_many_videos(repository: Path) -> None:
    """The stream's turns are counted in Python by the numbers that are the other's instances and queue."""
    text = (repository / "deepfake_detector" / "config.pbtxt").read_text()
    assert f"count: {VIDEOS_AT_ONCE} " in text
    assert f"max_queue_size: {VIDEOS_WAITING}\n" in text
