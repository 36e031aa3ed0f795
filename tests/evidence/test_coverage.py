"""How much of a clip a layer says that it examined."""

from __future__ import annotations

import numpy as np
import pytest

from veracity.evidence import coverage
from veracity.evidence.detector import detector
from veracity.evidence.excerpts import FaceInFrame, WholeFrame
from veracity.evidence.faces import Detection
from veracity.evidence.sampling import SampleCollector, plan
from veracity.media import Frame
from veracity_client.verdict import Coverage


def test_separate_pictures_count_a_frame_each_however_many_faces() -> None:
    spans = [(k * 22.5, k * 22.5 + 0.04) for k in range(32) for _ in range(3)]
    examined = coverage.measure("visual", spans, 720.0)
    assert examined == Coverage(32, 1.28, 720.0)
    assert coverage.words("visual", examined) == "32 pictures over 720 s"


def test_sound_and_runs_count_their_length_once() -> None:
    assert coverage.measure("audio", [(0, 4), (3, 7), (10, 12)], 60) == Coverage(3, 9, 60)
    assert (
        coverage.words("lipsync", coverage.measure("lipsync", [(0, 1), (0, 1), (5, 6)], 12)) == "2 s of 12 s of video"
    )


@pytest.mark.parametrize(("seconds", "lasts"), [(3.2, 0.1), (720.0, 0.04)])
def test_a_picture_stands_for_itself_where_the_next_is_far(seconds: float, lasts: float) -> None:
    frames, models = plan(seconds, (FaceInFrame, WholeFrame)), ("visual_starter", "semantic_starter")
    collector = SampleCollector(frames, [detector(model) for model in models], seconds, 5)
    points = np.array([[110, 110], [150, 110], [130, 130], [115, 150], [145, 150]], np.float32)
    face = Detection((90.0, 80.0, 170.0, 170.0), 0.9, points)
    for index in frames.faces[:2]:
        collector.add(Frame(index, index / 25, np.zeros((240, 320, 3), np.uint8)), [face])
    for model in models:
        first = collector.take(model)[0]
        assert first.end - first.start == pytest.approx(lasts)
