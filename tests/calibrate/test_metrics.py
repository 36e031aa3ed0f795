"""The figures against scikit-learn's, on scores with ties; their intervals; and what cannot be measured."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as theirs

from veracity.calibrate import bootstrap, metrics
from veracity.calibrate.errors import ManifestError

RNG = np.random.default_rng(5)
LABELS = RNG.random(300) < 0.4
SCORES = np.round(RNG.normal(1.5 * LABELS - 0.6, 1.2), 1)  # a tenth: many ties, across the labels too
CALLED = SCORES >= 0


def at_95(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    alarms, hits, _ = theirs.roc_curve(labels, scores, drop_intermediate=False)
    return float(alarms[hits >= 0.95][0])


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("auc", theirs.roc_auc_score(LABELS, SCORES)),
        ("average_precision", theirs.average_precision_score(LABELS, SCORES)),
        ("fpr_at_95_tpr", at_95(LABELS, SCORES)),
        ("accuracy", theirs.accuracy_score(LABELS, CALLED)),
        ("precision", theirs.precision_score(LABELS, CALLED)),
        ("recall", theirs.recall_score(LABELS, CALLED)),
        ("f1", theirs.f1_score(LABELS, CALLED)),
    ],
)
def test_a_figure_is_scikit_learns(name: str, wanted: float) -> None:
    assert metrics.MEASURES[name](LABELS, SCORES) == pytest.approx(wanted, abs=1e-9)
    assert metrics.MEASURES[name](LABELS.astype(int), SCORES) == pytest.approx(wanted, abs=1e-9)


def test_where_a_draw_counts_a_thing_three_times_it_is_as_if_it_were_there_three_times() -> None:
    counts = RNG.integers(0, 4, len(LABELS))
    counts[[np.argmax(LABELS), np.argmin(LABELS)]] = 1
    order = np.argsort(-SCORES, kind="stable")
    drawn = bootstrap.Draws(LABELS[order], SCORES[order], counts[None, order].astype(float))
    for name, measure in metrics.MEASURES.items():
        again = measure(np.repeat(LABELS, counts), np.repeat(SCORES, counts))
        assert measure.of(drawn)[0] == pytest.approx(again, abs=1e-9), name


def test_calibration_errors() -> None:
    labels = np.array([False, True] * 50)
    sure = np.where(labels, 50.0, -50.0)
    ece, even = (metrics.MEASURES[name] for name in ("ece", "ece_even"))
    assert ece(labels, sure) == pytest.approx(0, abs=1e-9)
    assert ece(labels, -sure) == pytest.approx(1, abs=1e-9)
    assert ece(labels, np.full(100, np.log(4))) == pytest.approx(0.3)  # 0.8 said of what is fake half the time
    rare = np.arange(100) < 10
    assert ece(rare, np.zeros(100)) == pytest.approx(0.4)
    assert even(rare, np.zeros(100)) == pytest.approx(0)


def test_an_interval_is_the_spread_of_resampled_figures() -> None:
    rng = np.random.default_rng(1)
    fakes, reals = np.flatnonzero(LABELS), np.flatnonzero(~LABELS)
    slow = []
    for _ in range(400):
        drawn = np.concatenate([rng.choice(fakes, len(fakes)), rng.choice(reals, len(reals))])
        slow.append(theirs.roc_auc_score(LABELS[drawn], SCORES[drawn]))
    found = metrics.interval(metrics.auc, LABELS, SCORES)
    assert found.value == pytest.approx(theirs.roc_auc_score(LABELS, SCORES))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(slow, (2.5, 97.5))), abs=0.01)
    assert metrics.figures(LABELS, SCORES)["auc"] == found
    assert metrics.interval(metrics.auc, LABELS, SCORES, seed=3) != found


def test_the_faces_of_a_clip_are_not_so_many_clips() -> None:
    few = RNG.normal(1.0 * LABELS[:40], 1.0)
    once = metrics.interval(metrics.auc, LABELS[:40], few)
    many, truth = np.repeat(few, 25), np.repeat(LABELS[:40], 25)
    together = metrics.interval(metrics.auc, truth, many, groups=np.repeat(np.arange(40), 25))
    assert together == once
    apart = metrics.interval(metrics.auc, truth, many)
    assert apart.high - apart.low < 0.5 * (once.high - once.low)


def test_draws_in_portions_are_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 300 * 7)
    portions = list(bootstrap.resamples(LABELS, np.arange(300), np.random.default_rng(0)))
    assert sum(map(len, portions)) == 1000
    assert max(map(len, portions)) == 7
    whole = np.concatenate(portions)
    assert (whole[:, LABELS].sum(axis=1) == LABELS.sum()).all()
    assert (whole[:, ~LABELS].sum(axis=1) == (~LABELS).sum()).all()


def test_a_share_of_few_is_not_sure() -> None:
    none = metrics.share([False, False])
    assert (none.value, none.low) == (0, 0)
    assert none.high > 0.5
    assert metrics.share([True] * 50).low > 0.9


@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [
        ([], [], "nothing was scored"),
        ([1, 1], [0.1, 0.2], "all 2 are fake"),
        ([0], [0.1], "all 1 are real"),
        ([0, 2], [0.1, 0.2], r"labels are 0 \(real\) or 1 \(fake\), not \[2\]"),
        (["real", "fake"], [0.1, 0.2], "labels are 0"),
        ([0, 1], [0.1, float("nan")], "1 of 2 scores are no numbers"),
        ([0, 1], [0.1], "do not belong together"),
    ],
)
def test_what_cannot_be_measured_says_so(labels: list[int] | list[str], scores: list[float], words: str) -> None:
    for ask in (metrics.auc, metrics.figures):
        with pytest.raises(ManifestError, match=words):
            ask(labels, scores)


def test_sources_with_both_labels_are_drawn_whole_and_apart_from_those_of_one() -> None:
    members = np.repeat(np.arange(6), 5)  # two groups of fakes, two of reals, two of both
    labels = np.repeat([True, True, False, False], 5).tolist() + [True, False, True, False, True] * 2
    for weights in bootstrap.resamples(np.array(labels), members, np.random.default_rng(0)):
        counts = weights.reshape(len(weights), 6, 5)
        assert (counts == counts[:, :, :1]).all()
        assert (counts[:, :, 0].reshape(len(weights), 3, 2).sum(axis=2) == 2).all()


def test_few_sources_are_less_sure_than_their_many_clips() -> None:
    rng = np.random.default_rng(2)
    source = np.repeat(np.arange(12), 20)
    labels = source % 2 == 1
    scores = rng.normal(labels + rng.normal(0, 1.5, 12)[source], 0.5)  # clips of a source are alike
    clips, sources = (metrics.interval(metrics.auc, labels, scores, groups=groups) for groups in (None, source))
    assert clips.value == sources.value
    assert sources.high - sources.low > 2 * (clips.high - clips.low)


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(metrics.Unmeasurable, match="nothing"):
        metrics.share([])
