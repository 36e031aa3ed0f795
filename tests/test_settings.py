import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from veracity.settings import CONFIG_FILE, Settings, variable
from veracity.settings_sources import load
from veracity_client.errors import BadOption


def test_defaults_without_environment() -> None:
    assert Settings.from_env({}) == Settings()


def test_values_are_read_by_their_type() -> None:
    given = {"VERACITY_MAX_BYTES": "5", "VERACITY_MAX_SECONDS": "2.5", "VERACITY_MEDIA_ROOT": "/media"}
    settings = Settings.from_env(given)
    assert (settings.max_bytes, settings.max_seconds, settings.media_root) == (5, 2.5, Path("/media"))


def test_arguments_alone_are_heard_by_the_constructor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERACITY_PROFILE", "published")
    assert Settings().profile == "starter"
    assert Settings.from_env().profile == "published"


def test_settings_survive_the_way_through_an_environment(tmp_path: Path) -> None:
    file = tmp_path / "veracity.toml"
    file.write_text("media_root = '/other'\nmax_faces = 3\n")
    inherited = {CONFIG_FILE: str(file)}  # what a model's process has of the server's own environment
    for settings in (Settings(media_root=Path("/media"), max_seconds=2.5, vad="energy"), Settings()):
        assert Settings.from_env(inherited | settings.to_env()) == settings


def test_settings_are_frozen_and_hashable() -> None:
    settings = Settings()
    assert len({settings, Settings(), Settings(vad="energy")}) == 2
    with pytest.raises(ValueError, match="frozen"):
        settings.vad = "energy"  # type: ignore[misc]  # as a caller without a type checker would


def test_a_copy_is_checked() -> None:
    settings = Settings(model_config="tensorrt")
    assert settings.replace(vad="energy").to_env() == {**settings.to_env(), "VERACITY_VAD": "energy"}
    with pytest.raises(BadOption, match="VERACITY_VAD must be one of 'silero' or 'energy', got 'ears'"):
        settings.replace(vad="ears")
    with pytest.raises(BadOption, match="VERACITY_VOICE"):
        settings.replace(voice="silero")


WRONG = [
    ("max_bytes", "many", "must be a whole number, got 'many'"),
    ("max_bytes", "-1", "must be a number over 0, got -1"),
    ("max_seconds", "0", "must be a number over 0, got 0"),
    ("max_seconds", "nan", "must be a number over 0, got nan"),
    ("max_seconds", "soon", "must be a number, got 'soon'"),
    ("env", "staging", "must be one of 'development' or 'production', got 'staging'"),
    ("vad", "ears", "must be one of"),
    ("profile", "best", "must be one of starter, published"),
    ("models", "audio_best", "no layer has a model 'audio_best'"),
    ("log_level", "loud", "must be one of"),
    ("semantic_crops", "3", "must be one of 1 or 5, got"),
    ("semantic_crops", "5", "must be 1 here: it says nothing to semantic_starter, semantic_texture_starter"),
    ("model_config", "onnx", "must be one of 'tensorrt' or 'trt_ep', got 'onnx'"),
]


@pytest.mark.parametrize(("name", "value", "text"), WRONG)
def test_a_wrong_value_names_its_variable_or_its_key(name: str, value: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "veracity.toml"
    file.write_text(f"{name} = {json.dumps(value)}\n")
    for given, called in (({variable(name): value}, variable(name)), ({CONFIG_FILE: str(file)}, f"{name} in {file}")):
        with pytest.raises(BadOption) as caught:
            load(given)
        assert caught.value.message.startswith(f"{called} {text}")
        assert "\n" not in caught.value.message


def test_crops_that_some_model_sees_are_taken() -> None:
    five = {"VERACITY_SEMANTIC_CROPS": "5"}
    for sees in ({"VERACITY_PROFILE": "published"}, {"VERACITY_MODELS": "semantic_starter,semantic_clip_vitl14"}):
        assert Settings.from_env(five | sees).semantic_crops == 5


def test_an_unknown_variable_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(BadOption, match=r"^unknown variable VERACITY_PROFIL; did you mean VERACITY_PROFILE\?$"):
        load({"VERACITY_PROFIL": "published"})
    with pytest.raises(BadOption, match="unknown variable VERACITY_PROFIL"):
        load({"VERACITY_PROFIL": ""})
    with pytest.raises(BadOption, match="unknown variable VERACITY_XYZZY; veracity config lists"):
        load({"VERACITY_XYZZY": "1"})


def test_variables_of_others_are_no_error() -> None:
    """The last ones Kubernetes puts beside a service named veracity-triton."""
    service = {
        "VERACITY_TRITON_SERVICE_HOST": "10.0.0.1",
        "VERACITY_TRITON_SERVICE_PORT_GRPC": "8001",
        "VERACITY_TRITON_PORT": "tcp://10.0.0.1:8001",
        "VERACITY_TRITON_PORT_8001_TCP_ADDR": "10.0.0.1",
    }
    assert load({"VERACITY_API_KEY": "k", "VERACITY_CONFIG": "", "HOME": "/", **service}).settings == Settings()


def test_the_environment_goes_before_the_file_and_the_file_before_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "veracity.toml"
    file.write_text('profile = "published"\nmax_bytes = 7\nmodel_config = "tensorrt"\n')
    loaded = load({CONFIG_FILE: str(file), "VERACITY_MAX_BYTES": "9", "VERACITY_VAD": ""})
    settings = loaded.settings
    assert (settings.profile, settings.max_bytes, settings.model_config_name) == ("published", 9, "tensorrt")
    told = {name: source for name, source in loaded.sources.items() if source != "default"}
    assert told == {"profile": "file", "max_bytes": "environment", "model_config_name": "file"}


def test_paths_of_the_file_begin_in_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "veracity.toml"
    file.write_text('weights = "weights"\ncalibration = "/etc/calibration.toml"\n')
    settings = load({CONFIG_FILE: str(file)}).settings
    assert (settings.weights, settings.calibration) == (tmp_path / "weights", Path("/etc/calibration.toml"))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'profil = "published"', "unknown key profil in {file}; did you mean profile?"),
        (b"profile = published", "VERACITY_CONFIG: {file} is not TOML: Invalid value (at line 1, column 11)"),
        (b"\xff", "VERACITY_CONFIG: {file} is not TOML: "),
        (b"[veracity]\nprofile = 'starter'", "unknown key veracity in {file}; veracity config lists"),
        (b"max_bytes = 2.5", "max_bytes in {file} must be a whole number, got 2.5"),
        (b"media_root = 3", "media_root in {file} must be a path, got 3"),
        (None, "VERACITY_CONFIG: {file} cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_says_something_else_is_an_error(content: bytes | None, text: str, tmp_path: Path) -> None:
    file = tmp_path / "veracity.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadOption) as caught:
        load({CONFIG_FILE: str(file)})
    assert caught.value.message.startswith(text.format(file=file))


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "veracity.cli", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_config_shows_each_setting_with_its_source(tmp_path: Path) -> None:
    file = tmp_path / "veracity.toml"
    file.write_text("max_faces = 3\n")
    given = {CONFIG_FILE: str(file), "VERACITY_VAD": "energy"}
    document = json.loads(run("config", "--json", **given).stdout)
    assert document["file"] == str(file)
    assert document["settings"]["max_faces"] == {"value": 3, "source": "file"}
    assert document["settings"]["vad"] == {"value": "energy", "source": "environment"}
    assert document["settings"]["model_config"] == {"value": "", "source": "default"}
    rows = [line.split() for line in run("config", **given).stdout.splitlines()]
    assert ["VERACITY_MAX_FACES", "3", "file"] in rows
    assert ["VERACITY_MEDIA_ROOT", "–", "default"] in rows
    assert rows[-1] == ["file:", str(file)]


def test_a_misspelt_variable_stops_every_command() -> None:
    for command in ("config", "serve"):
        done = run(command, VERACITY_PROFIL="published")
        assert done.returncode == 3
        assert done.stderr == (
            "veracity: BadOption: unknown variable VERACITY_PROFIL; did you mean VERACITY_PROFILE?\n"
        )


def test_the_help_of_serve_lists_every_setting() -> None:
    told = run("serve", "--help").stdout
    for name, field in Settings.model_fields.items():
        assert f"  {variable(name)} (default: " in told
        assert field.description
        assert field.description in told
