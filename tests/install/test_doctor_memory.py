"""Whether a profile fits into a memory, told beforehand: real graphs, the sizes that were measured of them."""

import json
from pathlib import Path

import pytest
import tiny_models
from conftest import REPOSITORY

from evaluation.results import RESULTS
from veracity import cli
from veracity.catalog import memory
from veracity.catalog.profiles import choose, required, served
from veracity.catalog.provenance import GRAPH
from veracity.install.doctor import memory as doctor
from veracity.install.doctor.finding import Finding
from veracity.settings import Settings, read_size

MEASURED = {row["model"]: row["peak_mb"] for row in json.loads((RESULTS / "models.json").read_text())["models"]}
PEAKS = {name: peak for name, peak in MEASURED.items() if (REPOSITORY / name / GRAPH).is_file()}
SERVER = "2,148 MB are for the server's processes and four videos"


def told(settings: Settings, gpu: str = "", cpu: str = "") -> dict[str, Finding]:
    sizes = ([read_size(text) for text in given.split()] for given in (gpu, cpu))
    return {finding.what: finding for finding in doctor.examine(settings, *sizes)}


def test_what_was_measured_is_what_the_engine_knows(settings: Settings) -> None:
    assert {*required(choose("starter"))} <= PEAKS.keys()
    needed = memory.needs(REPOSITORY, PEAKS, gpu=False)
    assert {name: need.bytes / 1e6 for name, need in needed.items()} == pytest.approx(PEAKS)
    assert {need.basis for need in needed.values()} == {"measured on the CPU"}


def test_the_sizes_decide_whether_the_models_fit(settings: Settings) -> None:
    needed = memory.needs(REPOSITORY, served("starter"), gpu=False)  # with what is optional and installed
    everything = sum(need.bytes for need in needed.values()) / 1e6
    name, need = max(needed.items(), key=lambda item: item[1].bytes)
    pictures, largest = everything - PEAKS["audio_starter"], need.bytes / 1e6
    for kept, budget, state, fatal in (
        ("resident", everything + 1, "ok", False),
        ("resident", everything - 1, "warning", True),
        ("lazy", pictures + 1, "ok", False),
        ("lazy", pictures - 1, "ok", False),
        ("lazy", largest - 1, "broken", True),
    ):
        found = told(settings.replace(memory=kept, memory_budget=round(budget * 1e6)))
        answer = found["budget, VERACITY_MEMORY_BUDGET"]
        assert (answer.state, answer.fatal) == (state, fatal), answer
    assert f"too small for {name}" in answer.detail


def test_a_machine_needs_more_than_its_models(settings: Settings) -> None:
    found = told(settings, cpu="8G 3500M")
    assert "measured on the CPU" in found["memory of audio_starter"].detail
    assert (found["memory, 8,000 MB"].state, found["memory, 3,500 MB"].state) == ("ok", "warning")
    assert SERVER in found["memory, 3,500 MB"].detail
    assert "VERACITY_MEMORY=lazy would do" in found["memory, 3,500 MB"].detail


def test_of_a_gpu_there_are_estimates_that_say_so(settings: Settings) -> None:
    found = told(settings, gpu="24G 20G 8G")
    assert [found[f"GPU memory, {size} MB"].state for size in ("24,000", "20,000", "8,000")] == ["ok"] * 3
    assert all("estimate: no GPU was measured" in found[f"GPU memory of {name}"].detail for name in PEAKS)
    assert "which nobody measured" in found["GPU memory, 8,000 MB"].detail


def test_a_graph_that_nobody_measured_is_estimated_and_one_that_is_absent_is_not(tmp_path: Path) -> None:
    tiny_models.install(tmp_path, "audio_wav2vec2")
    settings = Settings(profile="published", model_repository=tmp_path)
    found = told(settings, cpu="24G")
    assert "estimate: not measured" in found["memory of audio_wav2vec2"].detail
    assert found["memory, 24,000 MB"].fatal
    assert found["memory, 24,000 MB"].detail.startswith("what face_detector, visual_sbi_b4, ")


def test_a_size_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--gpu-memory", "24G", "plenty"]) == 3
    assert "a size must be such as 8G, 512MiB or a number of bytes, got 'plenty'" in capsys.readouterr().err
