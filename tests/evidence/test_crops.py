import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from veracity.catalog import MODELS
from veracity.catalog.model import DFDC_CROP
from veracity.evidence.crops import (
    MEAN_FACE,
    at_least,
    face_box,
    face_crop,
    interpolate,
    mouth_crop,
    mouth_crops,
    picture_crops,
    similarity,
    smooth,
    whole_picture,
)
from veracity.evidence.excerpts import WholeFrame
from veracity.evidence.kinds import NativeSquares

DATA = Path(__file__).parent.parent / "data"
SBI = json.loads((DATA / "sbi_face_crop.json").read_text())["cases"]
STABLE = [33, 36, 39, 42, 45]  # of 68 landmarks: the points that LipForensics aligns by
MOUTH = slice(48, 68)


@pytest.fixture(scope="module")
def lips() -> dict[str, NDArray[Any]]:
    """Four cases of LipForensics' own preparation; the pictures are black but for the mouth's surroundings."""
    return dict(np.load(DATA / "lipforensics_mouth_crop.npz"))


@pytest.mark.parametrize("case", SBI, ids=range(len(SBI)))
def test_face_box_is_selfblendedimages(case: dict[str, Any]) -> None:
    width, height = case["frame"]
    assert list(face_box((height, width, 3), case["bbox"])) == case["crop"]


def test_forty_cases() -> None:
    assert len(SBI) == 40


def test_face_crop_stretches_the_box() -> None:
    image = np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)
    crop = face_crop(image, (50.0, 20.0, 90.0, 100.0), 64)
    assert (crop.shape, crop.dtype) == ((64, 64, 3), np.dtype(np.uint8))
    assert (crop == cv2.resize(image[10:111, 45:96], (64, 64))).all()


@pytest.mark.parametrize("box", [(-90, 0, -50, 40), (300, 0, 340, 40), (10, 400, 40, 440), (0, 0, np.nan, 5)])
def test_a_box_outside_the_picture_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="box"):
        face_crop(np.zeros((100, 200, 3), np.uint8), box, 64)


def scaled_first(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Bring all of a picture to ``size``, then cut its middle: what a long line takes gigabytes for."""
    scale = size / min(image.shape[:2])
    sides = [max(size, round(side * scale)) for side in (image.shape[1], image.shape[0])]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return picture_crops(np.asarray(cv2.resize(image, sides, interpolation=way), np.uint8), size)[0]


@pytest.mark.parametrize(
    ("height", "width"),
    [(360, 640), (641, 361), (1080, 1920), (225, 223), (96, 96), (17, 250), (100, 1600), (1, 16), (3, 47), (480, 3000)],
)
def test_the_middle_of_a_picture_is_what_it_was_to_the_bit(height: int, width: int) -> None:
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    assert (whole_picture(image, 224) == scaled_first(image, 224)).all()
    turned = np.ascontiguousarray(image.transpose(1, 0, 2))
    assert (whole_picture(turned, 224) == scaled_first(turned, 224)).all()


@pytest.mark.parametrize(("height", "width"), [(1, 5000), (2, 4999), (40, 801), (41, 900), (300, 5000)])
def test_the_middle_of_a_long_picture_is_at_its_place_within_half_a_pixel(height: int, width: int) -> None:
    """A ramp shows where: whatever its length, a pixel of the square is ``height / 224`` of the picture's."""
    ramp = np.zeros((height, width, 3), np.uint8)
    middle = np.arange(width) - (width - 1) / 2
    ramp[:] = np.clip(128 + middle * 120 / (2 * height), 0, 255)[None, :, None]
    seen, expected = whole_picture(ramp, 224).astype(float), scaled_first(ramp, 224).astype(float)
    assert np.abs(seen - expected).max() <= 1 + 60 / min(height, 224)


def test_face_box_is_the_dfdc_winners() -> None:
    """30 to 60 and 40 to 101: 30 by 61 whole pixels, whose whole thirds are 10 and 20; no pixel more at the end."""
    assert face_box((300, 200, 3), (30.7, 40.2, 60.9, 101.6), DFDC_CROP) == (20, 20, 70, 121)
    assert face_box((110, 65, 3), (3.9, 5.1, 60.9, 101.6), DFDC_CROP) == (0, 0, 65, 110)


def test_a_small_face_is_kept_in_shape_and_enlarged_by_cubic_curves() -> None:
    """50 by 101 pixels become int(50 · 380 / 101) = 188 by 380; (380 - 188) // 2 = 96 columns are black before them."""
    image = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
    crop = face_crop(image, (30.7, 40.2, 60.9, 101.6), 380, DFDC_CROP)
    assert (crop.shape, crop.dtype) == ((380, 380, 3), np.dtype(np.uint8))
    assert not crop[:, :96].any()
    assert not crop[:, 284:].any()
    assert (crop[:, 96:284] == cv2.resize(image[20:121, 20:70], (188, 380), interpolation=cv2.INTER_CUBIC)).all()


def test_a_large_face_is_kept_in_shape_and_reduced_by_area() -> None:
    """600 by 300 pixels with a third a side are 1000 by 500, which become 380 by 190; 95 rows are black above them."""
    image = np.random.default_rng(0).integers(1, 256, (700, 1200, 3), np.uint8)
    crop = face_crop(image, (300, 200, 900, 500), 380, DFDC_CROP)
    assert not crop[:95].any()
    assert not crop[285:].any()
    assert (crop[95:285] == cv2.resize(image[100:600, 100:1100], (380, 190), interpolation=cv2.INTER_AREA)).all()


def test_a_face_of_the_right_size_is_left_as_it_is() -> None:
    image = np.random.default_rng(0).integers(1, 256, (500, 500, 3), np.uint8)
    crop = face_crop(image, (100, 100, 328, 220), 380, DFDC_CROP)  # 228 + 2 · 76 = 380 by 120 + 2 · 40 = 200
    assert (crop[90:290] == image[60:260, 24:404]).all()


def places(crops: list[NDArray[np.uint8]]) -> list[list[int]]:
    return [crop[0, 0, :2].tolist() for crop in crops]


@pytest.fixture
def numbered() -> NDArray[np.uint8]:
    """A picture of 250 by 240 whose pixels say where they are."""
    y, x = np.mgrid[:250, :240].astype(np.uint8)
    return np.stack([y, x, np.full_like(x, 255)], axis=-1)


def test_a_picture_is_seen_in_its_middle(numbered: NDArray[np.uint8]) -> None:
    (crop,) = picture_crops(numbered, 224)
    assert crop.shape == (224, 224, 3)
    assert (crop == numbered[13:237, 8:232]).all()


def test_five_crops_are_the_middle_and_the_corners(numbered: NDArray[np.uint8]) -> None:
    crops = picture_crops(numbered, 224, 5)
    assert places(crops) == [[13, 8], [0, 0], [0, 16], [26, 0], [26, 16]]
    assert crops[4][-1, -1, :2].tolist() == [249, 239]  # the picture's last pixel
    assert {crop.shape for crop in crops} == {(224, 224, 3)}


def test_a_small_picture_is_padded_and_seen_once(numbered: NDArray[np.uint8]) -> None:
    (crop,) = picture_crops(numbered[:100, :151], 224, 5)
    assert (crop[62:162, 36:187] == numbered[:100, :151]).all()
    assert np.count_nonzero(crop[..., 2]) == 100 * 151


def test_a_wide_picture_is_seen_in_three_places(numbered: NDArray[np.uint8]) -> None:
    crops = picture_crops(numbered[:100], 224, 5)
    assert [crop[62, 0, 1] for crop in crops] == [8, 0, 16]
    assert not any(crop[:62].any() or crop[162:].any() for crop in crops)


def test_a_picture_that_is_large_enough_stays_and_a_smaller_one_is_enlarged(numbered: NDArray[np.uint8]) -> None:
    assert at_least(numbered, 224) is numbered
    small = at_least(numbered[:100, :150], 224)
    assert small.shape == (224, 336, 3)
    again = cv2.resize(small, (150, 100), interpolation=cv2.INTER_AREA)
    assert np.abs(again.astype(int) - numbered[:100, :150]).mean() < 2
    assert at_least(np.zeros((1, 60_000, 3), np.uint8), 224).shape == (224, 224 * 16, 3)  # not 13 million pixels wide


def test_squares_of_a_picture_are_its_own_pixels(numbered: NDArray[np.uint8]) -> None:
    model = MODELS["semantic_texture_starter"]
    squares = NativeSquares(model).cut(WholeFrame(0.0, 0.04, numbered, 1))
    assert len(squares) == 5
    assert (squares[1] == numbered[:224, :224]).all()
    assert (squares[4] == numbered[-224:, -224:]).all()
    assert NativeSquares(model).cut(WholeFrame(0.0, 0.04, numbered[:223], 1)) == []  # not a square of them is whole


def test_mouths_are_lipforensics(lips: dict[str, NDArray[Any]]) -> None:
    assert len(lips["images"]) == 4
    for image, points, mouth in zip(lips["images"], lips["landmarks68"], lips["mouths"]):
        ours = mouth_crop(image, similarity(points[STABLE], lips["stable_points"]), points[MOUTH])
        assert np.abs(ours.astype(int) - mouth).mean() <= 2


def test_five_landmarks_lead_to_nearly_the_same_mouth(lips: dict[str, NDArray[Any]]) -> None:
    """From eyes, nose and mouth corners alone: within 3 of the 96 pixels of where 68 landmarks lead."""
    for points in lips["landmarks68"]:
        five = np.array([points[36:42:3].mean(0), points[42:48:3].mean(0), points[30], points[48], points[54]])
        wanted, ours = similarity(points[STABLE], lips["stable_points"]), similarity(five, MEAN_FACE)
        corners = np.column_stack([points[[48, 54, 51, 57]], np.ones(4)])
        assert np.abs(corners @ (wanted - ours).T).max() < 3


def test_similarity_undoes_a_turn_a_scale_and_a_shift() -> None:
    angle, scale, shift = 0.4, 1.7, np.array([30.0, -12.0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(MEAN_FACE, MEAN_FACE @ turn.T + shift)
    np.testing.assert_allclose(found, np.column_stack([turn, shift]), atol=1e-9)


def test_points_in_one_place_cannot_be_aligned() -> None:
    with pytest.raises(ValueError, match="one place"):
        similarity(np.ones((5, 2)), MEAN_FACE)


def test_a_moving_face_gives_a_still_mouth() -> None:
    """The same face shifted by whole pixels: every crop shows the same."""
    rng = np.random.default_rng(1)
    face = cv2.GaussianBlur(rng.integers(0, 256, (256, 256), np.uint8), (0, 0), 3)
    frames, landmarks = [], []
    for k in range(25):
        frame = np.zeros((300, 400), np.uint8)
        frame[20:276, 10 + 2 * k : 266 + 2 * k] = face
        frames.append(frame)
        landmarks.append(MEAN_FACE + np.array([10 + 2 * k, 20]))
    crops = mouth_crops(frames, np.array(landmarks)).astype(int)
    assert crops.shape == (25, 96, 96)
    assert crops.std() > 5
    assert np.abs(crops[:14] - crops[0]).mean() < 2  # the last eleven are aligned by a queue that no longer moves


def test_colour_and_grey_frames_give_the_same_mouth() -> None:
    grey = np.random.default_rng(2).integers(0, 256, (256, 256), np.uint8)
    landmarks = MEAN_FACE[None].astype(np.float32)
    colour = mouth_crops([np.repeat(grey[..., None], 3, axis=2)], landmarks)
    assert (colour == mouth_crops([grey], landmarks)).all()
    assert colour.dtype == np.uint8


def test_a_mouth_at_the_edge_still_gives_a_crop() -> None:
    crops = mouth_crops([np.full((64, 64), 90, np.uint8)], MEAN_FACE[None] + np.array([0.0, 400.0]))
    assert crops.shape == (1, 96, 96)


@pytest.mark.parametrize("shape", [(2, 5, 2), (3, 68, 2), (3, 5, 3)])
def test_mouths_want_five_landmarks_a_frame(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[3, 5, 2\]"):
        mouth_crops([np.zeros((9, 9), np.uint8)] * 3, np.zeros(shape))


def test_no_frames_no_mouths() -> None:
    assert mouth_crops([], np.empty((0, 5, 2))).shape == (0, 96, 96)


def test_smoothing_is_a_queue_of_twelve() -> None:
    line = np.arange(25.0)[:, None]
    assert smooth(line)[:14, 0] == pytest.approx(np.arange(14) + 5.5)
    assert (smooth(line)[14:] == 18.5).all()
    assert (smooth(line[:5]) == 2).all()


def test_landmarks_between_looks_lie_on_a_line() -> None:
    first, last = np.zeros((5, 2)), np.full((5, 2), 8.0)
    between = interpolate({4: first, 8: last}, range(2, 11))
    assert (between.shape, between.dtype) == ((9, 5, 2), np.dtype(np.float32))
    assert between[:, 0, 0].tolist() == [0, 0, 0, 2, 4, 6, 8, 8, 8]
    with pytest.raises(ValueError, match="no landmarks"):
        interpolate({}, range(3))
