"""Average precision of fake seconds by hand, and what holds of it for any proposals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.segments import IOUS, Proposal, Seconds, average_precision, iou, proposals_of
from veracity.calibrate.metrics import Unmeasurable
from veracity_client.verdict import Span

SECONDS = st.tuples(st.integers(0, 10), st.integers(1, 5)).map(lambda given: (given[0], sum(given)))


def test_overlap() -> None:
    assert iou((0, 4), (1, 3)) == 0.5
    assert iou((0, 2), (1, 3)) == pytest.approx(1 / 3)
    assert iou((0, 1), (1, 2)) == iou((0, 1), (3, 4)) == 0
    assert iou((1, 1), (1, 1)) == 0


def test_average_precision_by_hand() -> None:
    truth = {"a": [(0.0, 4.0), (6.0, 8.0)], "real": []}
    said = [Proposal("a", (0, 4), 0.9), Proposal("real", (0, 9), 0.8), Proposal("a", (6, 7), 0.7)]
    assert average_precision(said, truth, 0.5) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(said, truth, 0.75) == pytest.approx(0.5)  # half of the second span is no three quarters
    late = [Proposal("real", (0, 9), 0.95), *said[:1]]
    assert average_precision(late, truth, 0.95) == pytest.approx(0.5 / 2)
    assert average_precision([], truth, 0.5) == 0


def test_precision_is_the_best_at_this_recall_or_more() -> None:
    truth = {"a": [(0.0, 1.0), (2.0, 3.0)]}
    said = [Proposal("a", (8, 9), 3), Proposal("a", (0, 1), 2), Proposal("a", (2, 3), 1)]  # precision 0, 1/2, 2/3
    assert average_precision(said, truth, 0.5) == pytest.approx(2 / 3)


def test_a_span_is_found_once() -> None:
    twice = [Proposal("a", (0, 1), 2), Proposal("a", (0, 1), 1), Proposal("a", (2, 3), 0)]
    assert average_precision(twice, {"a": [(0, 1), (2, 3)]}, 0.5) == pytest.approx((1 + 2 / 3) / 2)


def test_without_fake_seconds_there_is_nothing_to_find() -> None:
    with pytest.raises(Unmeasurable, match="no clip has fake seconds"):
        average_precision([Proposal("a", (0, 1), 1)], {"a": []}, 0.5)


@given(st.lists(st.tuples(SECONDS, st.integers(0, 3)), max_size=6), st.lists(SECONDS, min_size=1, max_size=4))
def test_more_overlap_is_harder_and_the_truth_itself_is_perfect(
    said: list[tuple[Seconds, int]], truth: list[Seconds]
) -> None:
    proposals = [Proposal("a", seconds, score) for seconds, score in said]
    found = [average_precision(proposals, {"a": truth}, least) for least in IOUS]
    assert all(0 <= value <= 1 for value in found)
    assert average_precision([Proposal("a", seconds, 1) for seconds in truth], {"a": truth}, 1) == 1


def test_what_touches_is_one_proposal() -> None:
    timeline = [Span(2, 3, 0.9), Span(0, 1, 0.2), Span(1, 2, 0.6), Span(3, 4, 0.4), Span(5, 7, 0.5), Span(5, 6, 0.7)]
    assert proposals_of("a", timeline) == [Proposal("a", (1, 3), 0.9), Proposal("a", (5, 7), 0.7)]
    assert proposals_of("a", timeline, 0.95) == []
