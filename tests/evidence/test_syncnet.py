"""SyncNet's evidence: offset and confidence, what it is shown, and how far its word goes."""

import dataclasses

import cv2
import numpy as np
import pytest
from conftest import SHARED
from numpy.typing import NDArray

from veracity.catalog import LAYERS
from veracity.catalog.detectors.lipsync_syncnet import MODEL as SYNCNET
from veracity.catalog.detectors.lipsync_syncnet import SOUND_SAMPLES
from veracity.decision.calibration import Calibration, Calibrator
from veracity.decision.scoring import score_layer
from veracity.evidence import syncnet
from veracity.evidence.requests import ModelOutput, Sample


def points(seed: int, count: int = 60, size: float = 1.0) -> NDArray[np.float64]:
    return size * np.random.default_rng(seed).standard_normal((count, 1024))


@pytest.mark.parametrize("early", [-10, -3, 0, 4, 10])
def test_sound_that_comes_early_has_a_positive_offset(early: int) -> None:
    sounds = points(0)
    lips = np.roll(sounds, early, axis=0) + points(1, size=0.1)
    fit = syncnet.fit(np.nanmean(syncnet.distances(lips, sounds), axis=0))
    assert fit.offset == early
    assert fit.confidence > 30


def test_distances_offset_and_confidence_are_the_authors() -> None:
    case = SHARED / "parity" / "syncnet.npz"
    if not case.is_file():
        pytest.skip("the golden cases are not here")
    arrays = np.load(case)
    mean = syncnet.distances(arrays["seq_lip"], arrays["seq_audio"], beyond=0.0).mean(axis=0)
    assert mean == pytest.approx(arrays["mean_distance"], rel=1e-5)
    assert syncnet.fit(mean).offset == 3
    assert syncnet.fit(mean).confidence == pytest.approx(34.4831848, rel=1e-5)


def test_what_lies_past_the_sound_does_not_count() -> None:
    """Unrelated points are √2 × 32 apart; the zeros of the authors would look nearer than any of them."""
    lips, sounds = points(0, 21), points(1, 21)
    assert np.nanmean(syncnet.distances(lips, sounds), axis=0) == pytest.approx(np.full(21, 45.2), rel=0.02)
    assert syncnet.distances(lips, sounds, beyond=0.0).mean(axis=0)[[0, -1]] == pytest.approx([39, 39], rel=0.02)


def test_no_confidence_leads_out_of_the_cap_on_either_side() -> None:
    probabilities = [syncnet.Fit(0, confidence).probability for confidence in (-5, 0, 2, 3, 5, 7, 10, 1e9)]
    assert probabilities == sorted(probabilities, reverse=True)
    assert (probabilities[0], probabilities[-1]) == pytest.approx((syncnet.CAP, syncnet.FLOOR))
    assert syncnet.FLOOR < 0.5 < syncnet.CAP


def rows(*confidences: float, offset: int = 0) -> NDArray[np.float64]:
    mean = np.full((len(confidences), 2 * syncnet.SHIFT + 1), 20.0)
    mean[:, syncnet.SHIFT - offset] -= confidences
    return mean


def answer(faces: list[int], *confidences: float, offset: int = 0) -> ModelOutput:
    items = tuple(Sample(float(k), k + 1.0, np.zeros(0), face) for k, face in enumerate(faces))
    return ModelOutput(SYNCNET.name, items, np.zeros(len(faces), np.float32), rows(*confidences, offset=offset))


def test_the_face_that_fits_best_counts_over_all_its_seconds() -> None:
    assert syncnet.best(answer([1, 2, 1, 2], 0.0, 8.0, 1.0, 4.0)).confidence == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("offset", "words"),
    [(3, "3 frames (120 ms) before"), (-5, "5 frames (200 ms) after"), (0, "the sound with the mouth, conf")],
)
def test_words_say_offset_confidence_and_that_it_is_capped(offset: int, words: str) -> None:
    judged = score_layer(LAYERS[2], [(answer([1], 4.5, offset=offset), 1.0)], Calibration.read(), ())
    for part in (words, "confidence 4.5", "sync and not forgery", "within 0.35 and 0.65"):
        assert part in judged.result.reasoning
    assert judged.result.mismatch_score == judged.result.fake_probability == 0.5
    assert judged.result.is_fake is None


@pytest.mark.parametrize(("confidence", "wanted"), [(0.0, syncnet.CAP), (50.0, syncnet.FLOOR)])
def test_no_calibration_leads_out_of_the_cap(confidence: float, wanted: float) -> None:
    sharp = dataclasses.replace(Calibration.read(), calibrators={SYNCNET.name: Calibrator(temperature=0.01)})
    assert score_layer(LAYERS[2], [(answer([1], confidence), 1.0)], sharp, ()).result.fake_probability == wanted


def test_answers_are_joined_in_the_order_of_time() -> None:
    late, early = answer([1], 9.0), answer([1], 2.0)
    late = dataclasses.replace(late, items=(dataclasses.replace(late.items[0], start=8.0),))
    joined = ModelOutput.joined([late, early])
    assert joined.details is not None
    assert [syncnet.fit(row).confidence for row in joined.details] == [2.0, 9.0]


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_five_faces_go_with_their_sound(start: float) -> None:
    frames = np.arange(25, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    sound = (np.arange(48_000) % 32_000).astype(np.int16)
    faces, cut = syncnet.windows(Sample(start, start + 1, frames), sound)
    assert (len(faces), cut.shape) == (21, (21, SOUND_SAMPLES))
    for k in (0, 7, 20):
        first = round(start * 16_000) + 640 * k
        assert faces[k, :, 0, 0, 0].tolist() == [k, k + 1, k + 2, k + 3, k + 4]
        assert (cut[k, 1:] == sound[first : first + 3440]).all()
        assert cut[k, 0] == (sound[first - 1] if first else 0)


def test_past_the_end_of_the_sound_there_is_silence() -> None:
    _, cut = syncnet.windows(Sample(1.0, 2.0, np.zeros((25, 1, 1, 3), np.uint8)), np.ones(17_000, np.int16))
    assert cut[0].sum() == 1001
    assert not cut[-1].any()


def test_a_face_is_cut_as_its_authors_cut() -> None:
    """A box of half side 80 at (300, 200): columns 188 to 412, rows 120 to 344, stretched to 224."""
    image = np.random.default_rng(0).integers(0, 256, (400, 600, 3), np.uint8)
    (crop,) = syncnet.face_crops([image], np.array([[220.0, 150.0, 380.0, 250.0]]))
    assert (crop == image[120:344, 188:412]).all()
    large = np.asarray(cv2.resize(image, None, fx=2.5, fy=2.5), np.uint8)
    (crop,) = syncnet.face_crops([large], np.array([[550.0, 375.0, 950.0, 625.0]]))
    assert np.abs(crop.astype(int) - cv2.resize(large[300:860, 470:1030], (224, 224))).max() <= 8


def test_beyond_the_picture_there_is_grey_and_a_box_of_any_size_is_cut() -> None:
    image = np.full((100, 100, 3), 255, np.uint8)
    (crop,) = syncnet.face_crops([image], np.array([[-50.0, 20.0, 50.0, 60.0]]))
    assert (crop[112, 0] == syncnet.BEYOND).all()
    assert (crop[112, -1] == 255).all()
    assert syncnet.face_crops([image], np.array([[-1e6, -1e6, 1e6, 1e6]])).shape == (1, 224, 224, 3)


def test_one_jump_of_the_detector_does_not_move_the_crop() -> None:
    image = np.random.default_rng(0).integers(0, 256, (400, 600, 3), np.uint8)
    boxes = np.tile([220.0, 150.0, 380.0, 250.0], (25, 1))
    boxes[12] += 70
    crops = syncnet.face_crops([image] * 25, boxes)
    assert (crops == crops[0]).all()
