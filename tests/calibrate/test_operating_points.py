"""Thresholds: what they promise holds for makers and sources that were left out, or the word is not said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from veracity.calibrate.operating_points import RATE, Judged, limit, operating_points
from veracity_client.verdict import Thresholds


def judged(seed: int, reals: int, fakes: int, gap: float, groups: int = 10, kinds: int = 2) -> Judged:
    rng = np.random.default_rng(seed)
    truth = np.arange(reals + fakes) >= reals
    said = 1 / (1 + np.exp(-rng.normal(np.where(truth, gap, -gap), 1.5)))
    numbers = np.arange(len(truth))
    return Judged(said, truth, np.array([f"kind {k % kinds}" for k in numbers]), numbers % groups)


@given(st.integers(1, 60), st.floats(0.01, 0.4), st.integers(0, 2**32 - 1))
def test_a_limit_is_passed_by_no_more_than_the_rate_of_its_own(clips: int, rate: float, seed: int) -> None:
    values = np.random.default_rng(seed).random(clips)
    found = limit(values, rate)
    if found is None:
        assert (clips + 1) * rate < 1 + 1e-6
    else:
        assert (values > found).mean() <= rate


def test_a_limit_holds_for_the_next_clip() -> None:
    rng = np.random.default_rng(1)
    passed = [rng.random() > (limit(rng.random(25), 0.1) or 0.0) for _ in range(4000)]
    assert np.mean(passed) == pytest.approx(2 / 26, abs=0.015)  # two of 26 places; a plain quantile gives 0.12


@given(st.integers(0, 2**16), st.integers(20, 80), st.integers(20, 80), st.floats(0, 3))
def test_what_was_left_out_is_wrong_no_more_often_than_stated(seed: int, reals: int, fakes: int, gap: float) -> None:
    clips = judged(seed, reals, fakes, gap)
    for point, (bounds, rates) in operating_points(clips).items():
        assert rates.real_called_fake <= RATE[point]
        assert bounds.fake is None or (clips.probability[~clips.fakes] >= bounds.fake).mean() <= RATE[point]
        assert rates.fake_called_real <= RATE[point]
        assert bounds.fake is None or bounds.fake > 0.5
        assert bounds.real is None or bounds.real < 0.5


def test_makers_that_nobody_met_take_the_word_real_away() -> None:
    """One maker of ten makes fakes that score as reals do: 10 % of them all, when 5 % are promised."""
    truth = np.arange(200) >= 100
    maker = np.where(truth, np.arange(200) // 10, np.arange(200) % 10)
    said = np.where(truth, 0.9, 0.05)
    alike = Judged(said, truth, np.full(200, "swap"), maker)
    assert operating_points(alike)["balanced"][0].real is not None
    odd = Judged(np.where(maker == 19, 0.01, said), truth, np.full(200, "swap"), maker)
    bounds, rates = operating_points(odd)["balanced"]
    assert bounds.real is None or bounds.real < 0.01
    assert rates.fake_called_real == 0


def test_the_worst_kind_counts_and_not_the_mean() -> None:
    """Twenty dubbed mouths among 400 other fakes look real: 5 % of all, and all of their kind."""
    good = judged(0, 400, 400, 4.0, kinds=1)
    kinds = good.kinds.copy()
    said = good.probability.copy()
    dubbed = np.flatnonzero(good.fakes)[::20]
    said[dubbed], kinds[dubbed] = 0.01, "mouth"
    bounds, rates = operating_points(Judged(said, good.fakes, kinds, good.groups))["balanced"]
    assert bounds.real is None or bounds.real < 0.01
    assert rates.fake_called_real == 0.0


def test_the_worst_source_of_real_clips_counts() -> None:
    """One camera of ten, whose clips all look rather fake: the others' thresholds would call a tenth of all fake."""
    clips = judged(0, 400, 400, 4.0)
    odd = Judged(np.where(~clips.fakes & (clips.groups == 3), 0.9, clips.probability), *_rest(clips))
    bounds, rates = operating_points(odd)["balanced"]
    assert bounds.fake is None  # measured as a camera that nobody met, it breaks every promise of 5 %
    assert rates.real_called_fake == 0
    milder = Judged(
        np.where((clips.groups == 3) & (np.arange(800) % 20 > 9), clips.probability, odd.probability), *_rest(clips)
    )
    bounds, rates = operating_points(milder)["screening"]
    assert bounds.fake is not None
    assert bounds.fake > 0.9
    assert 0.01 < rates.real_called_fake <= 0.1


def _rest(clips: Judged) -> tuple[NDArray[np.bool_], NDArray[np.str_], NDArray[np.intp]]:
    return clips.fakes, clips.kinds, clips.groups


def test_of_too_few_sources_nothing_is_promised() -> None:
    """A thousand portraits of two studios are two things that were seen."""
    few, some = judged(0, 400, 400, 4.0, groups=3), judged(0, 400, 400, 4.0, groups=8)
    assert operating_points(few)["screening"][0] == Thresholds(None, None)
    assert operating_points(some)["balanced"][0] == Thresholds(None, None)
    assert operating_points(some)["screening"][0].fake is not None


def test_what_was_never_measured_is_not_called_real() -> None:
    """Portraits that a generator drew were measured, swapped faces were not: 60 % of them were called real."""
    clips = judged(0, 400, 400, 4.0, kinds=1)
    met = Judged(clips.probability, *_rest(clips), possible=["kind 0"])
    unmet = Judged(clips.probability, *_rest(clips), possible=["kind 0", "swapped face"])
    assert operating_points(met)["balanced"][0].real is not None
    assert operating_points(unmet)["balanced"][0].real is None
    assert operating_points(unmet)["balanced"][0].fake == operating_points(met)["balanced"][0].fake


def test_of_too_few_clips_nothing_is_promised() -> None:
    points = operating_points(judged(0, 12, 12, 4.0))
    assert points["strict"][0] == points["balanced"][0] == Thresholds(None, None)
    assert points["screening"][0].fake is not None


def test_a_looser_point_answers_more() -> None:
    points = operating_points(judged(2, 400, 400, 1.5))
    shares = [points[point][1].inconclusive for point in ("strict", "balanced", "screening")]
    assert shares == sorted(shares, reverse=True)
    assert shares[2] < shares[0]
