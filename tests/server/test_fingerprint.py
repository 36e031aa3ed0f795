"""The digest of what a server's answers depend on."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import veracity
from veracity.server.fingerprint import WITHOUT_EFFECT, code_sha256, fingerprint
from veracity.settings import Settings, key
from veracity_client import __version__
from veracity_client.info import version_of


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for model in ("recorded", "bare", "other"):
        (tmp_path / model / "1").mkdir(parents=True)
        (tmp_path / model / "1" / "model.onnx").write_bytes(b"graph")
    (tmp_path / "recorded" / "provenance.json").write_text("{}")
    return tmp_path


def digest(repository: Path, models: tuple[str, ...] = ("recorded", "bare"), **env: object) -> str:
    settings = Settings(calibration=repository / "calibration.toml").to_env()
    return fingerprint(repository, models, settings | {f"VERACITY_{name}": str(value) for name, value in env.items()})


CHANGES: dict[str, Callable[[Path], object]] = {
    "a graph": lambda repository: (repository / "bare/1/model.onnx").write_bytes(b"another"),
    "a provenance": lambda repository: (repository / "recorded/provenance.json").write_text('{"graph_sha256": "0"}'),
    "a calibration": lambda repository: (repository / "calibration.toml").write_text("# measured anew"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_changes_with_what_changes_answers(repository: Path, change: str) -> None:
    before = digest(repository)
    assert digest(repository) == before
    CHANGES[change](repository)
    assert digest(repository) != before


def test_settings_count_but_for_those_that_change_no_answer(repository: Path) -> None:
    before = digest(repository)
    assert digest(repository, PROFILE="bench") != before
    assert digest(repository, MAX_FACES=1) != before
    assert digest(repository, LOG_LEVEL="debug", API_KEYS_FILE="/keys", CONFIG="/veracity.toml") == before
    assert digest(repository, ("recorded",)) != before
    (repository / "other/1/model.onnx").write_bytes(b"not asked by this profile")
    assert digest(repository) == before


def test_settings_without_effect_exist() -> None:
    assert set(map(key, Settings.model_fields)) >= WITHOUT_EFFECT


def test_it_names_the_version_and_changes_with_the_code(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(repository)
    assert version_of(before) == __version__
    code = shutil.copytree(veracity.__path__[0], repository / "code")
    monkeypatch.setattr(veracity, "__path__", [str(code)])
    code_sha256.cache_clear()
    assert digest(repository) == before
    (code / "cli.py").write_text("# another")
    code_sha256.cache_clear()
    assert digest(repository) != before
    code_sha256.cache_clear()
