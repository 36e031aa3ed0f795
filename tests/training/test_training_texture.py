"""The texture head learns from pairs that differ in how they were drawn, and from nothing else."""

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch: requirements/torch.txt")

from conftest import REPOSITORY
from sklearn.linear_model import LogisticRegression

from evaluation.manifest import Clip
from export.semantic_texture_starter import Head, features
from training.texture.squares import SIDE, extractor
from training.texture.task import TexturePlan, evened, fitted, train
from training.visual.faces import Image
from veracity.calibrate.errors import ManifestError
from veracity.install.graphs.publish import session

pytestmark = pytest.mark.export

HEAD = "path,kind,label,how,source,licence,use,split\n"


def softened(picture: Image) -> Image:
    """Stands in for a network that draws a picture anew: it is given, and not what is tested."""
    return np.asarray(cv2.medianBlur(picture, 5), np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(6):
        grain = rng.normal(0, 25, (300, 400, 3)) + 40 * number
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.clip(grain, 0, 255).astype(np.uint8))
        rows.append(
            f"{number}.png,images,{'fake' if number == 5 else 'real'},,source {number % 2},CC0,permissive,train\n"
        )
    (tmp_path / "manifest.csv").write_text(HEAD + "".join(rows))
    return tmp_path


def test_squares_are_the_pictures_own_pixels_beside_the_same_drawn_anew(data: Path) -> None:
    clip = Clip(data / "0.png", "images", "real", "a source", "permissive", "CC0")
    how = extractor([softened, softened])
    one = how.read(clip, how.extract(clip))
    assert one.real.shape == one.drawn.shape == (1, SIDE, SIDE, 3)
    again = how.read(clip, how.extract(clip))
    assert (one.real == again.real).all()  # a clip gives the same squares in every run
    assert (one.drawn != one.real).any()


def test_a_head_learns_from_the_real_pictures_alone(data: Path, tmp_path: Path) -> None:
    plan = TexturePlan(copies=1)
    path = train(data, tmp_path / "out", extractor([softened, softened]), tmp_path / "cache", REPOSITORY, plan)
    with np.load(path) as head:
        weight, bias = head["weight"], head["bias"]
        assert b'"0.png"' in head["about"].tobytes()
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 5  # not the fake
    grain = np.clip(np.random.default_rng(9).normal(100, 25, (224, 224, 3)), 0, 255).astype(np.uint8)
    seen = session(features(REPOSITORY)).run(None, {"FRAME": np.stack([grain, softened(grain)])})[0]
    real, drawn = seen @ weight + bias
    assert drawn > real + 1
    left = TexturePlan(copies=0, without=".png")
    with pytest.raises(ManifestError, match="no real picture"):
        train(data, tmp_path / "none", extractor([softened, softened]), tmp_path / "cache", REPOSITORY, left)


def test_the_fit_is_logistic_regression_where_pairs_say_nothing_more() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([1.0, -2.0, 0.0])
    pairs = rng.normal(0, 3, (4000, 2, 3)) + np.array([0.0, 1.0])[None, :, None] * truth
    weight, bias = fitted(pairs, 1e-6)
    reference = LogisticRegression(C=1e6).fit(pairs.reshape(-1, 3), np.tile([0, 1], 4000))
    assert weight / np.linalg.norm(weight) == pytest.approx(
        reference.coef_[0] / np.linalg.norm(reference.coef_), abs=0.05
    )
    assert bias < 0 < (pairs[:, 1] @ weight + bias).mean()


def test_what_fineness_explains_of_real_pictures_is_taken_off_and_sources_stay_apart() -> None:
    rng = np.random.default_rng(0)
    fine, coarser = rng.normal(2, 0.4, 300), np.arange(300) % 2
    shown = 1.5 * fine + 2 * coarser + rng.normal(0, 0.05, 300)
    seen = np.stack([shown, fine], 1)
    head = Head(np.array([1.0, 0.0]), -1.0)
    even = evened(head, [(f"source {number % 2}", row) for number, row in enumerate(seen)])
    before, after = head(seen)[:, 0], even(seen)[:, 0]
    for source in (0, 1):
        own = coarser == source
        assert abs(np.corrcoef(before[own], fine[own])[0, 1]) > 0.8
        assert abs(np.corrcoef(after[own], fine[own])[0, 1]) < 0.2
    assert after.mean() == pytest.approx(before.mean())
    assert after[coarser == 1].mean() - after[coarser == 0].mean() == pytest.approx(2, abs=0.1)
    with pytest.raises(ManifestError, match="no real still picture"):
        evened(head, [])
