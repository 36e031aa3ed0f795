"""Forensic measures by hand, against scikit-learn, and what holds of them for any scores."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss, roc_curve

from evaluation import forensic
from evaluation.forensic import FORENSIC, Costs
from veracity.calibrate import metrics
from veracity.calibrate.bootstrap import Draws
from veracity.calibrate.metrics import Unmeasurable

RNG = np.random.default_rng(7)
LABELS = RNG.random(200) < 0.4
SCORES = np.round(RNG.normal(2 * LABELS - 0.8, 1.2), 1)
LN2 = math.log(2)

Sample = tuple[NDArray[np.bool_], NDArray[np.float64]]


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Both labels, and scores with ties."""
    reals, fakes = (draw(st.lists(st.integers(-8, 8), min_size=1, max_size=12)) for _ in range(2))
    return np.repeat((False, True), (len(reals), len(fakes))), np.array([*reals, *fakes], float)


def test_cllr_by_hand() -> None:
    cllr, least = FORENSIC["cllr"], FORENSIC["cllr_min"]
    assert cllr([0, 1], [0, 0]) == pytest.approx(1)
    assert cllr([0, 1], [-LN2, LN2]) == pytest.approx(math.log2(1.5))  # odds of two, rightly
    assert cllr([0, 1], [LN2, -LN2]) == pytest.approx(math.log2(3))  # and wrongly
    assert cllr([0, 0, 0, 1], [0, 0, 0, LN2]) == pytest.approx(
        (1 + math.log2(1.5)) / 2
    )  # how many of each is no matter
    assert least([0, 1], [3, 4]) == pytest.approx(0)
    assert least([0, 1], [4, 3]) == pytest.approx(1)
    # Reals at 1 and 3, fakes at 2 and 4: the pair in the middle is pooled, one bit for half of each label.
    assert least([0, 1, 0, 1], [1, 2, 3, 4]) == pytest.approx(0.5)


def test_cllr_is_the_log_loss_of_balanced_labels_in_bits() -> None:
    weights = np.where(LABELS, 0.5 / LABELS.sum(), 0.5 / (~LABELS).sum())
    loss = log_loss(LABELS, 1 / (1 + np.exp(-SCORES)), sample_weight=weights)
    assert FORENSIC["cllr"](LABELS, SCORES) == pytest.approx(loss / LN2)
    fitted = IsotonicRegression().fit_transform(SCORES, LABELS, sample_weight=weights)
    least = log_loss(LABELS, fitted, sample_weight=weights)
    assert FORENSIC["cllr_min"](LABELS, SCORES) == pytest.approx(least / LN2)
    at, ratio = forensic.pav(LABELS, SCORES)
    assert expit(ratio[np.searchsorted(at, SCORES)]) == pytest.approx(fitted)


def test_misleading_evidence_by_hand() -> None:
    labels, scores = [0, 0, 0, 0, 1, 1], [-2, 0, 1e-9, 3, -1e-9, 0]  # nought speaks for neither
    assert FORENSIC["misleading_to_fake"](labels, scores) == pytest.approx(2 / 4)
    assert FORENSIC["misleading_to_real"](labels, scores) == pytest.approx(1 / 2)


def test_the_costs_are_those_of_asvspoof_5() -> None:
    assert forensic.ASVSPOOF5.beta == pytest.approx(1.9)
    labels, scores = [0, 0, 1, 1], [0, 2, 1, 3]
    # Thresholds over 3, 2, 1, 0 and under all: misses 1, .5, .5, 0, 0 and alarms 0, 0, .5, .5, 1.
    assert FORENSIC["min_dcf"](labels, scores) == pytest.approx(min(1, 0.5, 0.5 + 0.95, 0.95, 1.9))
    assert FORENSIC["act_dcf"](labels, scores) == pytest.approx(1.9 * 0.5)  # at ln 1.9 = 0.64
    line = math.log(forensic.ASVSPOOF5.beta)
    assert FORENSIC["act_dcf"]([0, 1], [line, line]) == pytest.approx(1)  # what is on the line is called real
    even = Costs(1, 1, 0.5)
    assert forensic.min_dcf(even)(labels, scores) == pytest.approx(0.5)
    assert forensic.act_dcf(even)(labels, scores) == pytest.approx(0.5)  # over 0, where one real is called fake


def test_the_equal_error_rate_of_the_hull_by_hand() -> None:
    crossed = FORENSIC["eer_hull"]([0, 1, 0, 1], [1, 2, 3, 4])
    assert crossed == pytest.approx(0.25)  # the hull has the corners (0, 0), (0, 1/2), (1/2, 1), (1, 1)
    assert FORENSIC["eer_hull"]([0, 1], [2, 1]) == pytest.approx(0.5)
    assert FORENSIC["eer_hull"]([0, 1], [1, 2]) == pytest.approx(0)


@pytest.mark.parametrize("rate", [0.01, 0.001, 0.1])
def test_fakes_found_at_a_rate_of_alarms_are_scikit_learns(rate: float) -> None:
    alarms, hits, _ = roc_curve(LABELS, SCORES, drop_intermediate=False)
    assert forensic.tpr_at(rate)(LABELS, SCORES) == pytest.approx(hits[alarms <= rate].max())


def test_few_reals_do_not_tell_a_small_rate() -> None:
    assert forensic.unsupported("tpr_at_1_fpr", 99) == "takes 100 reals, and 99 are there"
    assert forensic.unsupported("tpr_at_1_fpr", 100) is None
    assert forensic.unsupported("tpr_at_01_fpr", 999) == "takes 1000 reals, and 999 are there"
    assert forensic.unsupported("cllr", 1) is None


def test_points_of_the_plots_by_hand() -> None:
    labels, scores = [0, 0, 1, 1], [1, 2, 2, 3]
    at, reals, fakes = forensic.tippett(labels, scores)
    assert at.tolist() == [1, 2, 3]
    assert reals.tolist() == [1, 0.5, 0]
    assert fakes.tolist() == [1, 1, 0.5]
    at, ratio = forensic.pav(labels, scores)
    assert at.tolist() == [1, 2, 3]
    assert ratio.tolist() == [-math.inf, 0, math.inf]
    with pytest.raises(Unmeasurable, match="all 2 are fake"):
        forensic.pav([1, 1], [0, 1])


def test_a_draw_of_three_is_as_if_it_were_there_three_times() -> None:
    counts = RNG.integers(0, 4, len(LABELS))
    counts[[np.argmax(LABELS), np.argmin(LABELS)]] = 1
    order = np.argsort(-SCORES, kind="stable")
    drawn = Draws(LABELS[order], SCORES[order], counts[None, order].astype(float))
    for name, measure in FORENSIC.items():
        again = measure(np.repeat(LABELS, counts), np.repeat(SCORES, counts))
        assert measure.of(drawn)[0] == pytest.approx(again, abs=1e-9), name


@given(samples())
def test_the_best_recalibration_loses_no_more(sample: Sample) -> None:
    found = {name: measure(*sample) for name, measure in FORENSIC.items()}
    assert -1e-9 <= found["cllr_min"] <= min(1, found["cllr"]) + 1e-9
    assert 0 <= found["min_dcf"] <= min(1, found["act_dcf"]) + 1e-9
    assert 0 <= found["eer_hull"] <= min(0.5, metrics.eer(*sample)) + 1e-9
    assert found["tpr_at_01_fpr"] <= found["tpr_at_1_fpr"]


@given(samples())
def test_a_rising_map_changes_no_order(sample: Sample) -> None:
    labels, scores = sample
    for measure in (metrics.auc, metrics.eer, *(FORENSIC[name] for name in ("cllr_min", "eer_hull", "min_dcf"))):
        assert measure(labels, scores**3 + scores) == pytest.approx(measure(labels, scores), abs=1e-9)


@given(samples())
def test_a_pav_plot_rises_and_recalibrates_to_the_least_cllr(sample: Sample) -> None:
    labels, scores = sample
    at, ratio = forensic.pav(labels, scores)
    assert (np.diff(np.clip(ratio, -50, 50)) >= -1e-9).all()
    again = np.clip(ratio, -50, 50)[np.searchsorted(at, scores)]
    assert FORENSIC["cllr"](labels, again) == pytest.approx(FORENSIC["cllr_min"](labels, scores), abs=1e-6)
