"""Accuracy without labels, held against labels that the estimate does not see."""

import numpy as np
import pytest
from numpy.typing import NDArray

from veracity.drift.estimate import estimates, posterior, share_of_fakes
from veracity.drift.histogram import Histogram, shift

Drawn = tuple[NDArray[np.float64], NDArray[np.bool_], list[str]]


def drawn(count: int, share: float, seed: int) -> Drawn:
    """P(fake) at even odds of files of which a share is fake, what they are, and what they are called."""
    rng = np.random.default_rng(seed)
    fake = rng.random(count) < share
    odds = rng.normal(np.where(fake, 2.0, -2.0), 2.0)  # of two equal normal densities, so that P is exactly right
    probability = np.round(1 / (1 + np.exp(-odds)), 4)
    called = ["fake" if p >= 0.8 else "real" if p <= 0.25 else "inconclusive" for p in probability]
    return probability, fake, called


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9])
def test_the_share_of_fakes_is_found(share: float) -> None:
    probability, fake, _ = drawn(20_000, share, 1)
    found = share_of_fakes(probability, np.ones((1, len(probability))))[0]
    assert found == pytest.approx(fake.mean(), abs=0.015)


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_intervals_hold_what_labels_show(share: float) -> None:
    """Of 30 simulations the truth may lie outside of a 95 % interval in some; seven would be one in 5,000."""
    missed = {"wrong": 0, "real_called_fake": 0, "fake_called_real": 0}
    for seed in range(30):
        probability, fake, called = drawn(500, share, seed)
        found = estimates(list(probability), called, seed=seed)  # type: ignore[arg-type]
        words = np.array(called)
        wrong = ((words == "fake") & ~fake) | ((words == "real") & fake)
        truth = {
            "wrong": wrong.sum() / (words != "inconclusive").sum(),
            "real_called_fake": ((words == "fake") & ~fake).sum() / (~fake).sum(),
            "fake_called_real": ((words == "real") & fake).sum() / fake.sum(),
        }
        for name, value in truth.items():
            interval = getattr(found, name)
            missed[name] += not interval.low - 1e-4 <= value <= interval.high + 1e-4
    assert max(missed.values()) < 7, missed


def test_nothing_decided_has_no_share_of_wrong() -> None:
    found = estimates([0.4, 0.6, 0.5], ["inconclusive"] * 3)
    assert found.wrong is None
    assert found.inconclusive.value == 1.0


def test_a_known_share_is_taken_as_it_is() -> None:
    probability, _, called = drawn(500, 0.5, 0)
    assert estimates(list(probability), called, share=0.1).fakes.value == 0.1  # type: ignore[arg-type]


def test_the_estimated_auc_is_the_one_of_the_labels_in_the_mean() -> None:
    from sklearn.metrics import roc_auc_score

    probability, fake, called = drawn(5_000, 0.3, 3)
    found = estimates(list(probability), called)  # type: ignore[arg-type]
    assert found.auc is not None
    assert found.auc.value == pytest.approx(float(roc_auc_score(fake, probability)), abs=0.02)


def test_a_posterior_at_even_odds_is_the_probability() -> None:
    probability = np.array([0.1, 0.5, 0.9])
    assert posterior(probability, np.array([0.5]))[0] == pytest.approx(probability)
    assert posterior(np.array([0.5]), np.array([0.01]))[0] == pytest.approx(0.01)


def histogram(count: int, seed: int) -> Histogram:
    rng = np.random.default_rng(seed)
    fakes = np.arange(count) % 2 == 1
    found = Histogram.of(list(map(float, rng.normal(fakes * 2.0, 1.0))), fakes)
    assert found is not None
    return found


def test_the_index_stays_under_what_chance_allows() -> None:
    """At 95 % one in twenty of 200 may exceed it; were the bound half as large, half of them would."""
    reference = histogram(1000, 0)
    over = 0
    for seed in range(200):
        rng = np.random.default_rng(seed + 1)
        fresh = np.random.default_rng(seed + 10_000)
        reference = histogram(1000, seed + 5000)
        fakes = rng.random(300) < 0.3
        found = shift(reference, list(map(float, fresh.normal(fakes * 2.0, 1.0))), 0.3, 0.95)
        over += found.psi > found.chance
    assert over <= 22


def test_the_index_by_hand() -> None:
    reference = Histogram((500, 500, 0), (500, 500, 0), edges=(0.5,))
    found = shift(reference, [0.1] * 750 + [0.9] * 250, 0.5, 0.95)
    assert found.psi == pytest.approx(0.25 * np.log(1.5) + -0.25 * np.log(0.5), abs=0.005)
    assert found.moved == "0.5 and more"


def test_values_that_are_all_alike_have_no_histogram() -> None:
    fakes = np.array([False, True] * 5)
    assert Histogram.of([0.5] * 10, fakes) is None
    assert Histogram.of([None] * 10, fakes) is None
    assert Histogram.of(["mp3"] * 10, fakes) == Histogram((5, 0), (5, 0), words=("mp3",))
