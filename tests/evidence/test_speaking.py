"""What the speakers' model is shown: SyncNet's crop without its margin, and the sound from the first frame on."""

import numpy as np
import pytest

from veracity.catalog import SPEAKER
from veracity.catalog.detectors.speaker_light_asd import SIDE, SOUND_SAMPLES
from veracity.evidence.crops import luma
from veracity.evidence.detector import detector
from veracity.evidence.excerpts import FaceRun
from veracity.evidence.faces import Detection
from veracity.evidence.requests import Sample
from veracity.evidence.speaking import sound_from
from veracity.evidence.syncnet import face_crops
from veracity_client.errors import InternalError

BOX = (60.0, 40.0, 160.0, 160.0)
FACE = Detection(BOX, 0.9, np.zeros((5, 2), np.float32))


def test_faces_are_the_middle_of_syncnets_crop() -> None:
    frames = [np.random.default_rng(k).integers(0, 256, (200, 220), np.uint8) for k in range(25)]
    (sample,) = detector(SPEAKER.name).cut(FaceRun(frames, range(50, 75), 1, {50: FACE, 74: FACE}))
    assert sample.shape == (25, SIDE, SIDE)
    assert sample.dtype == np.uint8
    assert np.array_equal(sample, face_crops(frames, np.tile(BOX, (25, 1)))[:, 56:168, 56:168])


def test_frames_in_colour_are_shown_in_grey() -> None:
    """As they are kept where SyncNet answers for the lips, which wants colour."""
    frames = [np.random.default_rng(k).integers(0, 256, (200, 220, 3), np.uint8) for k in range(25)]
    run = range(50, 75)
    (sample,) = detector(SPEAKER.name).cut(FaceRun(frames, run, 1, {50: FACE, 74: FACE}))
    (grey,) = detector(SPEAKER.name).cut(FaceRun([luma(frame) for frame in frames], run, 1, {50: FACE, 74: FACE}))
    assert sample.shape == (25, SIDE, SIDE)
    assert np.array_equal(sample, grey)


def test_sound_begins_one_sample_before_the_first_frame_and_is_silent_past_the_ends() -> None:
    sound = np.arange(1, 32_001, dtype=np.int64).astype(np.int16)
    assert np.array_equal(sound_from(0.5, sound), sound[7_999 : 7_999 + SOUND_SAMPLES])
    first = sound_from(0.0, sound)
    assert first[0] == 0
    assert np.array_equal(first[1:], sound[: SOUND_SAMPLES - 1])
    late = sound_from(1.5, sound)
    assert np.array_equal(late[:8_001], sound[23_999:])
    assert not late[8_001:].any()
    assert not sound_from(9.0, sound).any()


def test_requests_hold_each_seconds_own_sound_and_answers_their_frames() -> None:
    of = detector(SPEAKER.name)
    sound = np.random.default_rng(0).integers(-9_000, 9_000, 64_000, np.int16)
    samples = [Sample(float(k), k + 1.0, np.full((25, SIDE, SIDE), k, np.uint8), 1) for k in range(3)]
    batches = of.requests(samples, sound)
    assert [len(batch["FACES"]) for batch in batches] == [2, 1]
    assert np.array_equal(np.concatenate([batch["SOUND"] for batch in batches])[2], sound_from(2.0, sound))
    odds = np.arange(75, dtype=np.float32).reshape(3, 25)
    output = of.read(samples, [{"SPEAKS_LOGIT": odds[:2]}, {"SPEAKS_LOGIT": odds[2:]}])
    assert output.details is not None
    assert np.array_equal(output.details, odds)
    assert output.logits.tolist() == [12.0, 37.0, 62.0]
    with pytest.raises(InternalError, match="speaker_light_asd returned log odds that are not finite"):
        of.read(samples[:1], [{"SPEAKS_LOGIT": np.full((1, 25), np.nan)}])
