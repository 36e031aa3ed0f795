"""The digest of what a server's answers depend on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from veracity.server.fingerprint import WITHOUT_EFFECT, fingerprint
from veracity.settings import Settings, key


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
