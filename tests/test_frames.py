import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracity.frames import plan
from veracity.layers import FACE_FRAMES, MOUTH_CLIPS, MOUTH_FRAMES, SEMANTIC_FRAMES

ALL = ("visual", "lipsync", "semantic")


@given(st.floats(0.04, 1800), st.lists(st.tuples(st.floats(0, 900), st.floats(900, 1800)), max_size=3))
def test_every_frame_lies_in_the_clip(seconds: float, speech: list[tuple[float, float]]) -> None:
    wanted = plan(seconds, ALL, speech).wanted
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
    assert len(chosen.wanted) == FACE_FRAMES
