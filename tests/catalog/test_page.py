"""docs/adding-a-detector.md, followed to the letter in a copy of the checkout."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import media_samples
import pytest

from veracity.settings import CHECKOUT, Settings

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)
ROOMS = ("client", "export", "networks", "veracity", "pyproject.toml")
NAME = "semantic_brightness"
ANALYZE = """
import asyncio
from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.media import Source
from veracity.settings import Settings
from veracity_client import Options
from pathlib import Path

settings = Settings.from_env()
options = Options(layers=("semantic",))
context, infer = AnalysisContext.from_settings(settings), LocalInfer(settings.model_repository)
print(asyncio.run(analyze(Source(Path("clip.mp4")), infer, options, context)).to_json())
"""
SAMPLES = """
import numpy as np
from veracity.evidence.detector import detector, samples
from veracity.evidence.excerpts import WholeFrame

frame = WholeFrame(0.0, 1.0, np.zeros((90, 160, 3), np.uint8))
print([list(sample.tensor.shape) for sample in samples(detector("semantic_brightness"), frame)])
"""


def page() -> list[tuple[str, str, str]]:
    """Return the page's code in order: language, file, text."""
    return BLOCK.findall((CHECKOUT / "docs" / "adding-a-detector.md").read_text("utf-8"))


def follow(root: Path, language: str, file: str, text: str) -> None:
    """Write a file, or change it as a diff says."""
    if language == "python":
        (root / file).write_text(text, "utf-8")
        return
    lines = text.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    content = (root / file).read_text("utf-8")
    assert content.count(before) == 1
    (root / file).write_text(content.replace(before, after), "utf-8")


def run(root: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    folders = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    given = {key: value for key, value in os.environ.items() if not key.startswith("VERACITY_")}
    env = given | {"PATH": folders, "PYTHONPATH": os.pathsep.join((str(root), str(root / "client")))} | more
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> Path:
    """A copy of the checkout, without the graphs of other models, in which sections 1 to 3 were followed."""
    root = tmp_path_factory.mktemp("checkout")
    for room in ROOMS:
        source = CHECKOUT / room
        if source.is_dir():
            shutil.copytree(source, root / room, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root / room)
    repository = root / "model_repository"
    shutil.copytree(CHECKOUT / "model_repository", repository, ignore=shutil.ignore_patterns("*_starter"))
    (root / "weights").symlink_to(settings.weights)
    shutil.copy(media_samples.talking(tmp_path_factory.mktemp("media")), root / "clip.mp4")
    blocks = page()
    done = next(k for k, (language, _, _) in enumerate(blocks) if language == "console")
    for block in blocks[:done]:
        follow(root, *block)
    for command in commands(blocks[done][2]):
        result = run(root, "bash", "-c", command)
        assert result.returncode == 0, f"{command}: {result.stderr}"
    return root


def commands(text: str) -> list[str]:
    return [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]


def semantic(verdict: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = verdict["layer_results"]["4_semantic"]
    return result


def test_the_configurations_are_generated_and_the_graph_has_its_provenance(checkout: Path) -> None:
    folder = checkout / "model_repository" / NAME
    assert sorted(path.name for path in folder.rglob("*.pbtxt")) == ["config.pbtxt", "tensorrt.pbtxt", "trt_ep.pbtxt"]
    assert f'name: "{NAME}"\n' in (folder / "config.pbtxt").read_text()
    assert json.loads((folder / "provenance.json").read_text())["trained_on"] == ["no data: a rule"]
    assert (folder / "1" / "model.onnx").is_file()


def test_it_scores_in_a_verdict(checkout: Path) -> None:
    done = run(checkout, sys.executable, "-c", ANALYZE, VERACITY_MODELS=NAME)
    assert done.returncode == 0, done.stderr
    result = semantic(json.loads(done.stdout))
    assert result["status"] == "scored"
    assert [model["name"] for model in result["models"]] == [NAME]
    assert 0 < result["fake_probability"] < 1


@pytest.mark.triton
@pytest.mark.slow
def test_it_scores_on_a_real_server_by_the_pages_own_command(checkout: Path) -> None:
    (command,) = commands(page()[-3][2])
    assert command.startswith(f"VERACITY_MODELS={NAME} veracity analyze")
    done = run(checkout, "bash", "-c", command)
    assert done.returncode in (0, 1, 2), done.stderr
    result = semantic(json.loads(done.stdout))
    assert result["status"] == "scored"
    assert [model["name"] for model in result["models"]] == [NAME]


def test_a_kind_of_its_own_is_one_class_and_the_line_that_names_it(checkout: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(checkout, tmp_path / "checkout", symlinks=True))
    before = run(root, sys.executable, "-c", SAMPLES)
    assert before.stdout == "[[224, 224, 3]]\n", before.stderr
    for block in page()[-2:]:
        follow(root, *block)
    assert run(root, sys.executable, "-c", SAMPLES).stdout == "[[224, 224, 3], [224, 224, 3]]\n"
    done = run(root, sys.executable, "-c", ANALYZE, VERACITY_MODELS=NAME)
    assert semantic(json.loads(done.stdout))["status"] == "scored", done.stderr
