"""What the doctor finds in development and in production: real graphs and provenance, broken one way at a time."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
from conftest import REPOSITORY
from numpy.typing import NDArray

from veracity import cli
from veracity.catalog import FACE_DETECTOR, MODELS, SPEAKER, smoke_test
from veracity.catalog.profiles import PROFILES, choose, required
from veracity.catalog.provenance import FILE, GRAPH
from veracity.install import doctor
from veracity.install.doctor.finding import Finding
from veracity.install.graphs.publish import publish
from veracity.server import Server
from veracity.settings import Settings
from veracity_client.errors import ModelUnavailable

SEMANTIC = "semantic_clip_vitl14"


def install(repository: Path, name: str, **facts: object) -> None:
    """Install a tiny graph with its provenance."""
    tiny_models.install(repository, name)
    publish((repository / name / GRAPH).read_bytes(), repository / name, facts, [])


@pytest.fixture
def whole(tmp_path: Path, settings: Settings) -> Settings:
    """A published profile that lacks nothing but the fallback."""
    repository = tmp_path / "repository"
    shutil.copytree(REPOSITORY, repository)
    finder = repository / FACE_DETECTOR.name
    publish((finder / GRAPH).read_bytes(), finder, {}, [])
    for name in required(PROFILES["published"])[1:]:
        install(repository, name)
    shutil.rmtree(repository / "lipsync_syncnet" / "1", ignore_errors=True)
    return Settings(profile="published", model_repository=repository)


def examined(settings: Settings, env: str = "development", *, graphs: bool = True) -> dict[str, Finding]:
    return {finding.what: finding for finding in doctor.examine(settings.replace(env=env), graphs=graphs)}


def of_models(found: dict[str, Finding]) -> list[Finding]:
    return [finding for what, finding in found.items() if what.startswith(("model ", "file ", "layers"))]


def test_a_whole_profile_has_no_fault_and_its_fallback_may_be_missing(whole: Settings) -> None:
    found = examined(whole, "production")
    assert {f.state for f in of_models(found)} == {"ok", "optional"}
    assert not any(finding.fatal for finding in of_models(found))
    assert found["model lipsync_syncnet"].state == "optional"
    assert found["layers"].detail == "audio, visual, lipsync, semantic can score"


def no_graph(folder: Path) -> None:
    (folder / GRAPH).unlink()


def another_graph(folder: Path) -> None:
    (folder / GRAPH).write_bytes((folder / GRAPH).read_bytes() + b"\0")


def no_graph_at_all(folder: Path) -> None:
    content = b"not a graph"
    (folder / GRAPH).write_bytes(content)
    rewrite(folder, graph_sha256=hashlib.sha256(content).hexdigest())


def another_answer(folder: Path) -> None:
    (logit,) = json.loads((folder / FILE).read_text())["known_answer"]["FAKE_LOGIT"]
    rewrite(folder, known_answer={"FAKE_LOGIT": [logit * 1.02]})


def no_answer(folder: Path) -> None:
    rewrite(folder, known_answer=None)


def untrained(folder: Path) -> None:
    rewrite(folder, untrained=True)


def no_provenance(folder: Path) -> None:
    (folder / FILE).unlink()


def torn_provenance(folder: Path) -> None:
    (folder / FILE).write_text('{"graph_sha256": ')


def rewrite(folder: Path, **facts: object) -> None:
    (folder / FILE).write_text(json.dumps(json.loads((folder / FILE).read_text()) | facts))


@pytest.mark.parametrize(
    ("damage", "state", "words", "fatal"),
    [
        (no_graph, "missing", f"veracity weights fetch {SEMANTIC} && python -m export {SEMANTIC}", False),
        (untrained, "missing", f"untrained: made to measure time; veracity weights fetch {SEMANTIC}", False),
        (no_provenance, "warning", "has no graph_sha256 and no known_answer: veracity weights fetch", False),
        (no_answer, "warning", "has no known_answer: veracity weights fetch", False),
        (torn_provenance, "broken", f"{SEMANTIC}: provenance.json cannot be read", True),
        (another_graph, "broken", ", provenance.json says ", True),
        (no_graph_at_all, "broken", "does not run: ", True),
        (another_answer, "broken", "its smoke-test output is 0.02 off, over 0.01", True),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_model_with_one_fault(
    whole: Settings, damage: Callable[[Path], None], state: str, words: str, fatal: bool
) -> None:
    damage(whole.model_repository / SEMANTIC)
    found = examined(whole)
    assert (found[f"model {SEMANTIC}"].state, found[f"model {SEMANTIC}"].fatal) == (state, fatal)
    assert words in found[f"model {SEMANTIC}"].detail
    strict = of_models(examined(whole, "production"))
    assert [finding.what for finding in strict if finding.fatal] == [f"model {SEMANTIC}"]


def test_graphs_are_left_alone_when_a_server_will_ask_them(whole: Settings) -> None:
    no_graph_at_all(whole.model_repository / SEMANTIC)
    assert examined(whole, "production", graphs=False)[f"model {SEMANTIC}"].state == "ok"


def test_a_fallback_may_be_missing_and_not_broken(whole: Settings) -> None:
    folder = whole.model_repository / "lipsync_syncnet"
    (folder / "1").mkdir()
    (folder / GRAPH).write_bytes(b"not a graph")
    (folder / FILE).write_text(json.dumps({"graph_sha256": "0" * 64}))
    assert examined(whole)["model lipsync_syncnet"].fatal
    no_graph(folder)
    no_graph(whole.model_repository / "lipsync_lipforensics")
    found = examined(whole, "production")
    assert found["model lipsync_lipforensics"].fatal
    assert not found["model lipsync_syncnet"].fatal


def test_a_profile_of_which_nothing_can_score_cannot_run(whole: Settings) -> None:
    for name in required(choose("published"))[1:]:
        no_graph(whole.model_repository / name)
    found = examined(whole)
    assert found["layers"].fatal
    assert not found["model audio_wav2vec2"].fatal
    install(whole.model_repository, "visual_sbi_b4")
    assert examined(whole)["layers"].detail == "visual can score; audio, lipsync, semantic abstain"
    no_graph(whole.model_repository / FACE_DETECTOR.name)
    assert examined(whole)["layers"].fatal


def test_the_files_that_graphs_are_made_of_are_verified(whole: Settings, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    bare = whole.replace(weights=weights)
    found = examined(bare, graphs=False)
    assert (found["file silero_vad.onnx"].state, found["file silero_vad.onnx"].fatal) == ("missing", True)
    assert found["file centerface.onnx"].state == "optional"
    assert "file silero_vad.onnx" not in examined(bare.replace(vad="energy"), graphs=False)
    (weights / "centerface.onnx").write_bytes(b"<html>")
    (weights / "sbi_ffc23.pt").write_bytes(b"by hand")
    found = examined(bare, graphs=False)
    assert (found["file centerface.onnx"].state, found["file centerface.onnx"].fatal) == ("broken", True)
    assert (found["file sbi_ffc23.pt"].state, found["file sbi_ffc23.pt"].fatal) == ("warning", False)
    assert "unrecorded" in found["file sbi_ffc23.pt"].detail


def test_fewer_bits_may_answer_further_off() -> None:
    model, paper = MODELS["audio_aasist"], {"known_answer": {"FAKE_LOGIT": [10.0]}}
    near, far = ({"FAKE_LOGIT": np.array([[value]], np.float32)} for value in (10.3, 10.6))
    assert "0.03 off, over 0.01" in smoke_test.fault(model, near, paper)
    assert smoke_test.fault(model, near, {**paper, "precision": "fp16"}) == ""
    assert smoke_test.fault(model, near, paper, coarse=True) == ""
    assert "over 0.05" in smoke_test.fault(model, far, {**paper, "precision": "int8"})


@pytest.mark.parametrize("answer", [{}, {"FAKE_LOGIT": np.zeros((1, 2))}, {"FAKE_LOGIT": np.full((1, 1), np.nan)}])
def test_an_answer_without_numbers_of_its_shape_is_a_fault(answer: dict[str, NDArray[Any]]) -> None:
    assert "FAKE_LOGIT" in smoke_test.fault(MODELS["audio_aasist"], answer, {})


def test_the_command_says_it_twice_and_ends_with_its_finding(
    whole: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in whole.to_env().items():
        monkeypatch.setenv(name, value)
    assert cli.main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"]
    assert {"what", "state", "detail", "fatal"} == set(document["findings"][0])
    torn_provenance(whole.model_repository / SEMANTIC)
    assert cli.main(["doctor"]) == 1
    assert SEMANTIC in capsys.readouterr().out


@pytest.mark.triton
def test_production_starts_with_a_whole_profile(whole: Settings) -> None:
    shutil.rmtree(whole.model_repository / SPEAKER.name)  # as in a repository made before there was one
    with Server.from_settings(whole.replace(env="production")) as server:
        states = {name: model.state for name, model in server.models.items()}
        assert states.pop("lipsync_syncnet") == "missing"
        assert set(states.values()) == {"ready"}


@pytest.mark.triton
def test_a_graph_that_answers_wrong_is_not_served(whole: Settings) -> None:
    """Which only shows when it is loaded: production leaves that to Triton, and refuses then."""
    another_answer(whole.model_repository / SEMANTIC)
    with pytest.raises(ModelUnavailable, match=f"^{SEMANTIC}: .*its smoke-test output is 0.02 off"):
        Server.from_settings(whole.replace(env="production")).start()


def run_serve(settings: Settings) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable,
        "-m",
        "veracity.cli",
        "serve",
        "--http-port=0",
        "--grpc-port=0",
        "--metrics-port=0",
        "--health-port=0",
    ]
    env = {**os.environ, **settings.to_env()}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("damage", [no_graph, untrained, another_graph])
def test_production_refuses_before_triton_starts(
    whole: Settings, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    program, started = tmp_path / "triton" / "bin" / "tritonserver", tmp_path / "started"
    program.parent.mkdir(parents=True)
    (tmp_path / "triton" / "backends").mkdir()
    program.write_text(f"#!/bin/sh\n: > {started}\nexit 1\n")
    program.chmod(0o755)
    damage(whole.model_repository / SEMANTIC)
    strict = whole.replace(triton=tmp_path / "triton", env="production")
    done = run_serve(strict)
    first, *lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (3, "")
    assert first == "veracity: ServerUnavailable: VERACITY_ENV=production refuses to start:"
    assert [line for line in lines if line.startswith(f"  model {SEMANTIC}: ")]
    assert not started.exists()
    run_serve(strict.replace(env="development"))
    assert started.exists()
