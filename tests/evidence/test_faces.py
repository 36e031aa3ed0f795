from collections.abc import Sequence

import numpy as np
import pytest

from veracity.evidence.faces import Detection, Tracker, detections, iou, letterbox


def face(x: float, y: float = 100.0, side: float = 60.0) -> Detection:
    return Detection((x, y, x + side, y + side), 0.9, np.full((5, 2), (x, y), np.float32))


def follow(looks: Sequence[tuple[float, Sequence[Detection]]]) -> tuple[Tracker, list[list[int]]]:
    tracker = Tracker()
    ids = [[track.id for track, _ in tracker.update(round(t * 25), t, found)] for t, found in looks]
    return tracker, ids


def test_letterbox_shrinks_and_pads_below_and_right() -> None:
    batch, scale = letterbox([np.full((1080, 1920, 3), 200, np.uint8)] * 2, 640)
    assert (batch.shape, batch.dtype, scale) == ((2, 384, 640, 3), np.dtype(np.uint8), 1 / 3)
    assert (batch[:, :360] == 200).all()
    assert (batch[:, 360:] == 0).all()


@pytest.mark.parametrize(
    ("shape", "expected"), [((88, 88), (96, 96)), ((1, 1), (32, 32)), ((1, 4000), (32, 640)), ((2000, 3), (640, 32))]
)
def test_letterbox_takes_any_size(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    batch, _ = letterbox(np.zeros((1, *shape, 3), np.uint8), 640)
    assert batch.shape == (1, *expected, 3)


@pytest.mark.parametrize("shapes", [[], [(4, 4, 3), (5, 4, 3)], [(4, 4)], [(4, 4, 1)], [(0, 4, 3)]])
def test_letterbox_refuses_other_shapes(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="pictures"):
        letterbox([np.zeros(shape, np.uint8) for shape in shapes], 640)


def test_detections_are_in_pixels_of_the_picture() -> None:
    boxes = np.zeros((2, 16, 4), np.float32)
    points = np.zeros((2, 16, 5, 2), np.float32)
    scores = np.zeros((2, 16), np.float32)
    boxes[1, 0], points[1, 0], scores[1, 0] = (10, 20, 30, 50), (15, 25), 0.75
    nobody, (one,) = detections({"BOXES": boxes, "SCORES": scores, "LANDMARKS": points}, 0.5)
    assert nobody == []
    assert (one.box, one.score) == ((20.0, 40.0, 60.0, 100.0), 0.75)
    assert one.landmarks.dtype == np.float32
    assert (one.landmarks == (30, 50)).all()


def test_iou() -> None:
    assert iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert iou((0, 0, 2, 2), (2, 0, 3, 2)) == 0
    assert iou((0, 0, 2, 2), (0, 0, 2, 2)) == 1


def test_two_faces_that_cross_keep_their_names() -> None:
    looks = [(k * 0.16, [face(50 + 30 * k), face(350 - 30 * k, 110)]) for k in range(11)]
    tracker, ids = follow(looks)
    assert ids == [[1, 2]] * 11
    assert len(tracker.tracks) == 2


def test_a_face_hidden_behind_another_comes_back_as_itself() -> None:
    """At the moment of crossing the detector sees one face only."""
    looks = [(k * 0.16, [face(50 + 30 * k), face(350 - 30 * k, 110)]) for k in range(11)]
    looks[5] = (looks[5][0], [face(200)])
    _, ids = follow(looks)
    assert [ids[4], ids[6], ids[10]] == [[1, 2]] * 3


@pytest.mark.parametrize(("missed", "names"), [(1, [1, 1]), (3, [1, 1]), (4, [1, 2])])
def test_a_face_may_be_missed_at_three_looks(missed: int, names: list[int]) -> None:
    looks = [(0.0, [face(100)]), *((0.16 * (k + 1), []) for k in range(missed)), (2.0, [face(102)])]
    _, ids = follow(looks)
    assert [ids[0][0], ids[-1][0]] == names


def test_samples_seconds_apart_are_joined_by_place_and_size() -> None:
    _, ids = follow([(0.0, [face(100)]), (20.0, [face(155)]), (40.0, [face(155, side=110)]), (60.0, [face(400)])])
    assert ids == [[1], [1], [1], [2]]


def test_another_size_is_another_face() -> None:
    _, ids = follow([(0.0, [face(100, side=40)]), (5.0, [face(100, side=130)])])
    assert ids == [[1], [2]]


def test_a_cut_ends_every_track() -> None:
    day, night = (np.full((72, 128, 3), colour, np.uint8) for colour in ((90, 160, 220), (20, 10, 40)))
    tracker = Tracker()
    ids = [
        tracker.update(k, k / 25, [face(100)], picture)[0][0].id
        for k, picture in enumerate([day, day, night, night, day])
    ]
    assert ids == [1, 1, 2, 2, 3]


def test_light_that_changes_slowly_is_no_cut() -> None:
    ramp = np.linspace(0, 255, 128, dtype=np.uint8)[None, :, None].repeat(72, 0).repeat(3, 2)
    tracker = Tracker()
    ids = {tracker.update(k, k / 25, [face(100)], (ramp * (1 - k / 40)).astype(np.uint8))[0][0].id for k in range(10)}
    assert ids == {1}


def test_the_face_that_is_most_of_the_clip_comes_first() -> None:
    small = [(k * 0.2, [face(400, side=30), *([face(100, side=90)] if k < 8 else [])]) for k in range(10)]
    tracker, _ = follow(small)
    assert [track.id for track in tracker.tracks] == [2, 1]
    assert tracker.tracks[1].times == [t for t, _ in small]
    assert tracker.tracks[0].frames == [round(t * 25) for t, _ in small[:8]]


def test_the_same_looks_make_the_same_tracks() -> None:
    rng = np.random.default_rng(7)
    looks = [(k * 0.3, [face(x, y, side=80) for x, y in rng.uniform(0, 500, (6, 2))]) for k in range(20)]
    assert follow(looks)[1] == follow(looks)[1]


def test_each_detection_has_one_track_and_no_track_two() -> None:
    rng = np.random.default_rng(8)
    tracker, ids = follow([(k * 0.3, [face(*rng.uniform(0, 200, 2)) for _ in range(8)]) for k in range(15)])
    assert all(len(set(names)) == 8 for names in ids)
    assert sum(len(track.detections) for track in tracker.tracks) == 15 * 8


def test_time_goes_forward() -> None:
    tracker, _ = follow([(1.0, [face(100)])])
    with pytest.raises(ValueError, match="order of time"):
        tracker.update(25, 1.0, [face(100)])
