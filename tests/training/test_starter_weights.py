"""The steps of `make starter-weights`: complete steps are not repeated, a failing one ends the script.

The steps are recorded, not run; each leaves the files of the real one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON = """#!/usr/bin/env bash
echo "$*" >>calls
case "$*" in *"${FAIL:-nothing}"*) exit 1 ;; esac
line="$* "
out=${line##*--out } repository=${line##*--repository }
out=${out%% *} repository=${repository%% *}
case "$*" in
  *--train-on* | *"training texture"*) mkdir -p "$out" ;;
  *"training compose"*) mkdir -p "$out" && touch "$out/manifest.csv" ;;
  *"training speak"*) mkdir -p "$out" && touch "$out/manifest.csv" ;;
  *"data copies"*) mkdir -p "${!#}" && touch "${!#}/manifest.csv" ;;
  *"training evaluate"*) mkdir -p "$out" && touch "$out"/{evaluate.json,scores.jsonl} ;;
  *"-m export"*) mkdir -p "$repository/$3/1" && touch "$repository/$3/1/model.onnx" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A minimal checkout for the script."""
    for folder in (".venv-export/bin", "scripts", "training", "veracity/analysis", "data"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "starter_weights", tmp_path / "scripts")
    shutil.copytree(ROOT / "training" / "plans", tmp_path / "training" / "plans")
    (tmp_path / "veracity" / "analysis" / "code.py").touch()
    for media in (tmp_path / "data", tmp_path):  # of the first batch, and of both
        (media / "manifest.csv").write_text("path\n")
    for name, text in ((".venv-export/bin/python", PYTHON), ("scripts/fetch_training_networks", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def steps(checkout: Path, **environment: str) -> tuple[int, Counter[str]]:
    """The script's exit status, and how often it asked for each command."""
    calls = checkout / "calls"
    calls.write_text("")
    command: list[str | Path] = [checkout / "scripts" / "starter_weights", "data"]
    merged = {**os.environ, **environment}
    done = subprocess.run(command, env=merged, capture_output=True, check=False)
    return done.returncode, Counter(" ".join(line.split()[1:3]) for line in calls.read_text().splitlines())


ALWAYS = {"export audio_starter": 1, "export visual_starter": 1, "export lipsync_starter": 1,
          "export semantic_starter": 1, "export semantic_texture_starter": 1,
          "training gate": 1, "veracity.cli calibrate": 2, "training evaluate": 1}  # fmt: skip


def test_what_is_complete_is_not_done_again(checkout: Path) -> None:
    status, asked = steps(checkout)
    assert status == 0
    tasks = {"visual": 1, "texture": 5, "lipsync": 1, "semantic": 1, "audio": 6}
    assert {name: asked[f"training {name}"] for name in tasks} == tasks
    assert asked["training compose"] == asked["training speak"] == asked["training data"] == 1
    assert asked["training evaluate"] == 2 * 5 + 3 + 3 + 2 * 5 + 1
    assert steps(checkout) == (0, ALWAYS)
    time.sleep(0.01)
    (checkout / "veracity" / "analysis" / "code.py").touch()  # outputs may differ, networks do not
    assert steps(checkout) == (0, ALWAYS | {"training evaluate": asked["training evaluate"]})


def test_a_step_whose_input_is_gone_is_done_again(checkout: Path) -> None:
    steps(checkout)
    shutil.rmtree(checkout / "runs" / "starter" / "fold0" / "model_repository")
    status, asked = steps(checkout)
    assert (status, asked["training evaluate"]) == (0, 1 + 2)


def test_a_step_that_fails_ends_it_and_it_goes_on_there(checkout: Path) -> None:
    status, asked = steps(checkout, FAIL="training compose")
    assert status != 0
    assert asked["training compose"] == 1
    assert asked["veracity.cli calibrate"] == asked["training evaluate"] == 0  # and nothing is installed
    assert not (checkout / "model_repository").exists()
    status, again = steps(checkout)
    assert status == 0
    for layer in ("visual", "lipsync", "semantic"):  # each task once
        assert asked[f"training {layer}"] + again[f"training {layer}"] == 1


def test_scores_that_follow_quality_are_not_installed_unless_that_is_asked_for(checkout: Path) -> None:
    status, asked = steps(checkout, FAIL="training gate")
    assert (status, asked["training gate"], asked["veracity.cli calibrate"]) == (1, 1, 0)
    assert not (checkout / "model_repository").exists()
    status, asked = steps(checkout, FAIL="training gate data", ANYWAY="yes")
    assert (status, asked["training gate"], asked["veracity.cli calibrate"]) == (0, 1, 2)
    assert (checkout / "model_repository" / "semantic_texture_starter").is_dir()


def test_a_folder_of_other_data_is_refused(checkout: Path) -> None:
    steps(checkout, FAIL="training")
    (checkout / "data" / "manifest.csv").write_text("path,label\n")
    assert steps(checkout) == (1, Counter())
