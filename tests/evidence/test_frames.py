import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracity.catalog import MODELS
from veracity.catalog.layers import FACE_FRAMES, MOUTH_CLIPS, MOUTH_FRAMES, SEMANTIC_FRAMES
from veracity.catalog.model import DFDC_CROP, SBI_CROP
from veracity.evidence.crops import face_crop
from veracity.evidence.detector import detector
from veracity.evidence.excerpts import FaceInFrame, FaceRun, WholeFrame, fineness
from veracity.evidence.faces import Detection
from veracity.evidence.sampling import SampleCollector, plan
from veracity.media import Frame

ALL = (FaceInFrame, FaceRun, WholeFrame)


@given(st.floats(0.04, 1800), st.lists(st.tuples(st.floats(0, 900), st.floats(900, 1800)), max_size=3))
def test_every_frame_lies_in_the_clip(seconds: float, speech: list[tuple[float, float]]) -> None:
    wanted = plan(seconds, ALL, speech).frame_indices
    assert wanted == tuple(sorted(set(wanted)))
    assert wanted[0] == 0
    assert wanted[-1] <= max(0, int(seconds * 25) - 1)


def test_a_ten_second_clip_is_sampled_as_published() -> None:
    chosen = plan(10.0, ALL)
    assert len(chosen.faces) == FACE_FRAMES
    assert chosen.faces[-1] == 249
    assert len(chosen.pictures) == SEMANTIC_FRAMES
    assert set(chosen.pictures) <= set(chosen.faces)
    assert [len(run) for run in chosen.mouths] == [MOUTH_FRAMES] * MOUTH_CLIPS


@pytest.mark.parametrize(("seconds", "looks"), [(3.0, 4), (20.0, 4), (30.0, 6), (40.0, 8), (3600.0, 8)])
def test_a_longer_clip_has_more_whole_pictures_looked_at(seconds: float, looks: int) -> None:
    assert len(plan(seconds, ALL).pictures) == looks


def test_mouths_are_read_where_somebody_speaks() -> None:
    chosen = plan(60.0, ALL, [(30.0, 33.0)])
    assert all(run[0] / 25 < 33 and run[-1] / 25 >= 29 for run in chosen.mouths)
    assert chosen.mouths


@pytest.mark.parametrize("seconds", [0.04, 0.5, 0.99])
def test_a_clip_under_a_second_has_no_mouth_run(seconds: float) -> None:
    assert plan(seconds, ALL).mouths == ()


def test_layers_that_cannot_score_cost_no_frames() -> None:
    chosen = plan(10.0, ())
    assert chosen.pictures == ()
    assert chosen.mouths == ()
    assert len(chosen.frame_indices) == FACE_FRAMES


FRAME = Frame(0, 0.0, np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8))
OTHER = Frame(1, 0.4, np.random.default_rng(1).integers(0, 256, (360, 640, 3), np.uint8))
FACE = Detection((200.0, 100.0, 300.0, 240.0), 0.9, np.full((5, 2), 150, np.float32))


def test_each_face_model_gets_its_own_crop() -> None:
    models = ("visual_sbi_b4", "visual_effnet_b7")
    collector = SampleCollector(plan(10.0, ()), [detector(name) for name in models], 10.0, 8)
    collector.add(FRAME, [FACE])
    for model, crop in zip(models, (SBI_CROP, DFDC_CROP)):
        (item,) = collector.take(model)
        assert (item.tensor == face_crop(FRAME.image, FACE.box, 380, crop)).all()
        assert (item.start, item.end) == (0.0, 10.0 / FACE_FRAMES)


def test_a_face_too_small_for_the_starter_is_scored_by_others_alone() -> None:
    """Published networks score what their authors scored: every face."""
    models, least = ("visual_starter", "visual_sbi_b4"), MODELS["visual_starter"].least_face
    assert least > 0
    collector = SampleCollector(plan(10.0, ()), [detector(name) for name in models], 10.0, 8)
    narrow, wide = (dataclasses.replace(FACE, box=(200.0, 100.0, 200.0 + w, 240.0)) for w in (least - 1, least))
    collector.add(FRAME, [narrow])
    assert collector.too_small == {"visual_starter"}
    assert [len(collector.take(model)) for model in models] == [0, 1]
    collector.add(dataclasses.replace(OTHER, index=collector.plan.faces[1], time=0.4), [wide, narrow])
    assert [len(collector.take(model)) for model in models] == [1, 2]


def test_samples_say_how_wide_and_how_sharp_what_they_show_is() -> None:
    """A soft face in a sharp picture is soft; of a face that reaches over the edge the part that is there counts."""
    soft = FRAME.image.copy()
    soft[100:240, 200:300] = 90
    models = ("visual_starter", "semantic_starter")
    collector = SampleCollector(plan(10.0, (WholeFrame,)), [detector(name) for name in models], 10.0, 8)
    over = dataclasses.replace(FACE, box=(-50.0, -40.0, 50.0, 100.0))
    collector.add(Frame(0, 0.0, soft), [FACE, over])
    faces, (picture,) = (collector.take(model) for model in models)
    assert [face.width for face in faces] == [100.0, 100.0]
    assert picture.width == 640.0
    assert faces[0].fineness == pytest.approx(np.log(0.1), abs=0.01)
    assert faces[1].fineness == pytest.approx(fineness(FRAME.image), abs=0.1)
    assert picture.fineness == fineness(soft)


def test_a_photograph_on_the_wall_is_looked_at_once() -> None:
    """One look is all the evidence that it is: the speaker beside it is looked at in every picture."""
    collector = SampleCollector(plan(10.0, ()), [detector("visual_starter")], 10.0, 8)
    speaker = dataclasses.replace(FACE, box=(400.0, 100.0, 500.0, 240.0))
    for number, index in enumerate(collector.plan.faces[:5]):
        image = FRAME.image.copy()
        image[:, 350:] = np.random.default_rng(number).integers(0, 256, (360, 290, 3), np.uint8)
        collector.add(Frame(index, index / 25, image), [FACE, speaker])
    looks = [item.face for item in collector.take("visual_starter")]
    assert sorted(looks.count(face) for face in set(looks)) == [1, 5]


@pytest.mark.parametrize(("changes", "seconds_cut"), [(False, 0), (True, 1)])
def test_lips_are_cut_where_the_mouth_moves(changes: bool, seconds_cut: int) -> None:
    model = "lipsync_starter"
    collector = SampleCollector(plan(1.0, (FaceRun,)), [detector(model)], 1.0, 8)
    points = np.array([[220, 140], [280, 140], [250, 170], [230, 210], [270, 210]], np.float32)
    face = dataclasses.replace(FACE, landmarks=points)
    for number in range(MOUTH_FRAMES):
        image = np.random.default_rng(number if changes else 0).integers(0, 256, (360, 640, 3), np.uint8)
        found = [face] if number in collector.plan.detected else None
        collector.add(Frame(number, number / 25, image), found)
    assert len(collector.take(model)) == seconds_cut
    assert collector.still_mouths == 1 - seconds_cut


@pytest.mark.parametrize("crops", [1, 5])
def test_a_picture_is_cut_as_often_as_is_asked(crops: int) -> None:
    collector = SampleCollector(plan(10.0, (WholeFrame,)), [detector("semantic_clip_vitl14")], 10.0, 8, crops)
    collector.add(FRAME, None)
    items = collector.take("semantic_clip_vitl14")
    assert [item.start for item in items] == [0.0] * crops
    assert {item.tensor.shape for item in items} == {(224, 224, 3)}
    assert len({item.tensor.tobytes() for item in items}) == crops
