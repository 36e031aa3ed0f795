"""Fakes made of real faces: altered only where the mask says, and degraded alike."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

cv2 = pytest.importorskip("cv2")
torch = pytest.importorskip("torch")

from evaluation.manifest import Clip  # noqa: E402
from training import cache  # noqa: E402
from training.visual import autoencoder, degradations, faces, redrawing  # noqa: E402
from training.visual.degradations import degrade  # noqa: E402
from training.visual.faces import ClipFaces, Face  # noqa: E402
from training.visual.forgeries import METHODS  # noqa: E402
from training.visual.pairs import Pairs  # noqa: E402
from veracity.analysis.local_infer import LocalInfer  # noqa: E402
from veracity.calibrate.errors import ManifestError  # noqa: E402
from veracity.evidence.crops import MEAN_FACE  # noqa: E402
from veracity.evidence.faces import Detection  # noqa: E402
from veracity.evidence.requests import Infer  # noqa: E402
from veracity.media import Frame  # noqa: E402

pytestmark = pytest.mark.export


def drawn_face(seed: int, redrawn: bool = True) -> Face:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (24, 24, 3)).astype(np.uint8)
    picture = cv2.resize(coarse, (240, 260), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
    smooth = cv2.GaussianBlur(picture, (0, 0), 2) if redrawn else None
    return Face(picture, (60, 60, 180, 220), (MEAN_FACE * 0.9 + [5, 10]).astype(np.float32), smooth)


def drawn_clip(seed: int, redrawn: bool = True) -> ClipFaces:
    clip = Clip(Path(f"x__{seed}.mp4"), "video", "real", "x", "permissive", "own")
    crops = np.random.default_rng(seed).integers(0, 256, (2, 224, 224, 3)).astype(np.uint8)
    some = (drawn_face(seed, redrawn), drawn_face(seed + 100, redrawn))
    return ClipFaces(clip, crops, np.array([0.0, 1.0]), np.array([1, 1]), some)


@pytest.mark.parametrize("name", METHODS)
def test_nothing_outside_the_mask_is_touched_and_something_inside_is(name: str) -> None:
    face, other = drawn_face(0), drawn_face(1)
    for seed in range(6):
        fake, mask = METHODS[name](face, other, np.random.default_rng(seed))
        assert fake.shape == face.context.shape
        assert fake.dtype == np.uint8
        assert mask.shape == fake.shape[:2]
        assert mask.min() >= 0
        assert mask.max() <= 1
        assert (fake == face.context)[mask == 0].all()
        assert np.abs(fake.astype(int) - face.context)[mask > 0.3].mean() > 0.5


@pytest.mark.parametrize("name", METHODS)
def test_the_same_draw_gives_the_same_fake(name: str) -> None:
    first, second = (METHODS[name](drawn_face(0), drawn_face(1), np.random.default_rng(5)) for _ in range(2))
    assert (first[0] == second[0]).all()
    assert (first[1] == second[1]).all()


def test_what_is_equal_is_equal_after_degradation() -> None:
    picture = drawn_face(0).context
    for seed in range(20):
        width, rng = [120.0, 20.0][seed % 2], np.random.default_rng(seed)
        (one, two), scale = degrade([picture, picture.copy()], width, rng, as_films=seed > 5)
        assert one.shape == (*(round(side * scale) for side in picture.shape[:2]), 3)
        assert (one == two).all()


def test_some_end_as_the_last_frame_of_a_film_and_remain_the_same_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, coded = drawn_face(0).context[:-1], degradations._last_frame  # an odd number of rows
    frames: list[float] = []

    def watched(film: Sequence[NDArray[np.uint8]], rate: str) -> NDArray[np.uint8]:
        last = coded(film, rate)
        frames.append(float(np.abs(last.astype(int) - film[-1]).mean()))
        return last

    monkeypatch.setattr(degradations, "_last_frame", watched)
    for as_films, wanted in ((False, range(1)), (True, range(3, 15))):
        frames.clear()
        for seed in range(20):
            (one,), scale = degrade([picture], 120.0, np.random.default_rng(seed), as_films=as_films)
            assert one.shape[:2] == tuple(round(side * scale) for side in picture.shape[:2])
        assert len(frames) in wanted
    assert 0 < min(frames) <= max(frames) < 25  # coded, and not another frame's


def test_a_pair_is_known_by_its_number() -> None:
    shares = dict.fromkeys(METHODS, 1.0)
    whole = Pairs([drawn_clip(0), drawn_clip(1), drawn_clip(2)], 3, 0, 8, shares)
    later = Pairs([drawn_clip(0), drawn_clip(1), drawn_clip(2)], 3, 5, 3, shares)
    assert (whole[6].faces == later[1].faces).all()
    assert not (whole[6].faces == whole[7].faces).all()
    assert whole[0].faces.shape == (2, 224, 224, 3)
    assert whole[0].mask.shape == (7, 7)


def test_the_cells_of_the_mask_are_where_the_pair_differs() -> None:
    shares = {name: float(name == "mouth") for name in METHODS}
    pairs = Pairs([drawn_clip(0), drawn_clip(1)], 0, 0, 12, shares)
    drawn = [pairs[index] for index in range(12)]
    apart = np.stack([np.abs(pair.faces[1].astype(int) - pair.faces[0]).mean(2) for pair in drawn])
    cells = apart.reshape(12, 7, 32, 7, 32).mean((2, 4))
    masks = np.stack([pair.mask for pair in drawn])
    assert cells[masks > 0.9].mean() > 2 * cells[masks == 0].mean()


def test_one_person_alone_is_refused() -> None:
    with pytest.raises(ManifestError, match="at least two"):
        Pairs([drawn_clip(0)], 0, 0, 1, dict.fromkeys(METHODS, 1.0))


def test_what_no_network_redrew_is_faked_otherwise() -> None:
    shares = {name: float(name in ("redrawn", "mouth")) for name in METHODS}
    pairs = Pairs([drawn_clip(0, redrawn=False), drawn_clip(1, redrawn=False)], 0, 0, 8, shares)
    assert {list(METHODS)[pairs[index].method] for index in range(8)} == {"mouth"}
    with pytest.raises(ValueError, match="no picture from an up-scaling network"):
        METHODS["redrawn"](drawn_face(0, redrawn=False), drawn_face(1), np.random.default_rng(0))


def test_without_the_up_scalers_it_is_said_where_they_are(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=f"scripts/fetch_training_networks {tmp_path}"):
        redrawing.upscalers(tmp_path)


def test_the_autoencoder_gives_a_picture_of_the_same_size_and_names_what_lacks(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no .*taef2_encoder.pth: scripts/fetch_training_networks"):
        autoencoder.Autoencoder(tmp_path / "networks")
    torch.manual_seed(0)
    for name, net in (("taef2_encoder.pth", autoencoder.encoder()), ("taef2_decoder.pth", autoencoder.decoder())):
        torch.save(net.state_dict(), tmp_path / name)
    drawn = autoencoder.Autoencoder(tmp_path)
    picture = drawn_face(0).context
    assert drawn(picture).shape == picture.shape == (260, 240, 3)
    assert (drawn(picture) == drawn(picture)).all()


def found(box: tuple[float, float, float, float]) -> Detection:
    points = np.array([box[:2]] * 5, np.float32)
    return Detection(box, 0.9, points)


def test_of_pictures_side_by_side_only_the_generated_one_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def two(infer: Infer, frames: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        return [[found((20, 20, 60, 70)), found((120, 20, 160, 70))]]

    async def one_frame(film: Path) -> AsyncIterator[Frame]:
        yield Frame(0, 0.0, np.arange(100 * 200 * 3, dtype=np.uint32).reshape(100, 200, 3).astype(np.uint8))

    monkeypatch.setattr(faces, "detect", two)
    monkeypatch.setattr(faces, "_frames", one_frame)
    counts = []
    for name, label in (("AniPortrait__x.mp4", "fake"), ("AniPortrait__x.mp4", "real"), ("other.mp4", "fake")):
        path = tmp_path / label / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"film")
        clip = Clip(path, "video", label, "x", "permissive", "own")
        (seen,), bad = cache.collect([clip], tmp_path / "cache", faces.extractor(LocalInfer(tmp_path)))
        assert not bad
        counts.append((len(seen.crops), len(seen.faces)))
    assert counts == [(1, 0), (2, 2), (2, 0)]
