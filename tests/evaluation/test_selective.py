"""Risk against coverage and early verdicts, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import selective
from evaluation.selective import AURC, fail_fast, risk_coverage
from veracity.calibrate.bootstrap import Draws
from veracity.calibrate.metrics import Unmeasurable

NAN = float("nan")


def test_the_surest_are_answered_first() -> None:
    labels, scores = [1, 0, 1, 0], [4, -3, -2, 1]  # right, right, wrong, wrong
    coverage, risk = risk_coverage(labels, scores)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert risk == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert AURC["aurc"](labels, scores) == pytest.approx((1 / 3 + 1 / 2) / 4)


def test_what_is_equally_sure_is_answered_together() -> None:
    coverage, risk = risk_coverage([1, 0, 0], [2, 2, -1])
    assert coverage == pytest.approx([2 / 3, 1])
    assert risk == pytest.approx([1 / 2, 1 / 3])


@given(st.lists(st.tuples(st.booleans(), st.integers(-5, 5), st.integers(0, 3)), min_size=1, max_size=20))
def test_a_draw_of_three_is_as_if_it_were_there_three_times(drawn: list[tuple[bool, int, int]]) -> None:
    labels, scores, counts = map(np.array, zip(*drawn, (True, 0, 1), (False, 1, 1)))
    order = np.argsort(-scores, kind="stable")
    draws = Draws(labels[order].astype(bool), scores[order].astype(float), counts[None, order].astype(float))
    again = AURC["aurc"](np.repeat(labels, counts), np.repeat(scores, counts))
    assert AURC["aurc"].of(draws)[0] == pytest.approx(again)
    assert 0 <= again <= 1


def test_verdicts_that_the_voice_settles() -> None:
    found = fail_fast([1, 1, 0, 0, 1], [0.99, 0.95, 0.97, 0.2, NAN], 0.95)
    assert (found["clips"], found["settled"]["value"]) == (3, 0.6)
    assert found["wrong"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert fail_fast([1, 0], [0.5, NAN], 0.95)["wrong"] is None
    with pytest.raises(Unmeasurable, match="do not belong together"):
        fail_fast([1], [0.5, 0.5], 0.9)
    with pytest.raises(Unmeasurable, match="nothing"):
        selective.fail_fast([], [], 0.9)
