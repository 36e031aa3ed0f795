"""A server with VERACITY_MODEL_SIGNER: it serves what was signed, and nothing else, at the start and at each reload."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import signing_keys
import tritonclient.grpc as grpc
from prometheus import heals
from server_models import DECOUPLED, DETECTOR, OPEN, PYTHON_CONFIG, STREAM, ask, eventually, write_onnx, write_python

from veracity.cli import main
from veracity.install.signing import SIGNATURE, Key, sign
from veracity.server import Server, reaper
from veracity_client.errors import ServerUnavailable

MODELS = ("double", "deepfake_detector", "deepfake_detector_stream")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return signing_keys.key_pair(tmp_path_factory.mktemp("keys"), "release")


@pytest.fixture
def repository(tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    root = tmp_path / "model_repository"
    write_onnx(root / "double")
    write_python(root / "deepfake_detector", DETECTOR)
    write_python(root / "deepfake_detector_stream", STREAM, PYTHON_CONFIG + DECOUPLED)
    for name in MODELS:
        sign(root / name, Key(keys[0]))
    return root


def _append(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\n")


@pytest.mark.triton
def test_it_serves_what_was_signed_and_does_not_load_again_what_was_changed(
    repository: Path, keys: tuple[Path, Path]
) -> None:
    with Server(repository, access=OPEN, signer=keys[1], canary_seconds=0.5) as server:
        assert _states(server) == dict.fromkeys(MODELS, "ready")
        code = repository / "deepfake_detector/1/model.py"
        before = code.read_bytes()
        code.write_bytes(before + b"\n")
        _kill(reaper.child_processes(server.pid))
        words = "model.sig: 1/model.py is not the file that was signed"
        eventually(lambda: words in server.models["deepfake_detector"].reason)
        eventually(lambda: {name for name, state in _states(server).items() if state == "ready"} == {*MODELS[::2]})
        with grpc.InferenceServerClient(server.grpc_url) as client:
            assert ask(client, [[1, 2]]).tolist() == [[11, 22]]
            assert not client.is_model_ready("deepfake_detector")
        code.write_bytes(before)
        eventually(lambda: _states(server) == dict.fromkeys(MODELS, "ready"))


@pytest.mark.triton
def test_a_process_that_died_is_replaced(repository: Path, keys: tuple[Path, Path]) -> None:
    """Though the others of its model have put compiled code beside what was signed."""
    with Server(repository, access=OPEN, signer=keys[1], models=["double"], canary_seconds=0.5) as server:
        dead, _ = sorted(reaper.child_processes(server.pid))
        _added_cache(repository / "double")
        _kill({dead})
        eventually(lambda: heals(server, "process", "double") == 1)
        eventually(lambda: len(reaper.child_processes(server.pid) - {dead}) == 2)
        with grpc.InferenceServerClient(server.grpc_url) as client:
            assert ask(client, [[1, 2]]).tolist() == [[11, 22]]


def _states(server: Server) -> dict[str, str]:
    return {name: model.state for name, model in server.models.items()}


def _kill(processes: set[int]) -> None:
    for process in processes:
        os.kill(process, signal.SIGKILL)


def _added_cache(folder: Path) -> None:
    (folder / "1/__pycache__").mkdir()
    (folder / "1/__pycache__/model.cpython-311.pyc").write_bytes(b"compiled")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (
        lambda root: _append(root / "double/config.pbtxt"),
        "double: model.sig: config.pbtxt is not the file that was signed",
    ),
    "a file more": (
        lambda root: (root / "deepfake_detector/1/numpy.py").write_text(""),
        "deepfake_detector: model.sig: 1/numpy.py was not signed: take it out",
    ),
    "unsigned": (
        lambda root: (root / "double" / SIGNATURE).unlink(),
        "double: model.sig is missing: double was not signed",
    ),
    "a model more": (
        lambda root: write_onnx(root / "more"),
        "more: model.sig is missing: more was not signed",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_does_not_start_with_anything_else(repository: Path, keys: tuple[Path, Path], damage: str) -> None:
    do, words = DAMAGE[damage]
    do(repository)
    server = Server(repository, signer=keys[1])
    with pytest.raises(ServerUnavailable) as refused:
        server.start()
    assert refused.value.message == f"VERACITY_MODEL_SIGNER refuses {repository}: {words}"
    with pytest.raises(ServerUnavailable, match="not started"):
        assert server.pid, "no tritonserver was started"


def test_a_folder_that_is_not_served_needs_no_signature(repository: Path, keys: tuple[Path, Path]) -> None:
    """The start goes on to what comes next: a tritonserver, of which there is none here."""
    write_onnx(repository / "more")
    shutil.rmtree(repository / "more/1")
    with pytest.raises(ServerUnavailable, match="/nowhere"):
        Server(repository, signer=keys[1], triton=Path("/nowhere")).start()


def test_the_command_says_why_it_does_not_start(
    full_repository: Path,
    keys: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("VERACITY_MODEL_REPOSITORY", str(full_repository))
    for key, env, words in [
        (keys[1], "development", "audio_starter: model.sig is missing: audio_starter was not signed"),
        (keys[1], "production", "model audio_starter: broken: model.sig is missing: audio_starter was not signed"),
        (tmp_path / "none", "development", f"VERACITY_MODEL_SIGNER: {tmp_path / 'none'} cannot be read"),
    ]:
        monkeypatch.setenv("VERACITY_MODEL_SIGNER", str(key))
        monkeypatch.setenv("VERACITY_ENV", env)
        assert main(["serve", *(f"--{name}-port=0" for name in ("http", "grpc", "metrics", "health"))]) == 3
        assert words in capsys.readouterr().err
