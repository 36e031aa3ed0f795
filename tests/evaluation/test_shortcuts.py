"""Cues alone against the label, by hand and against scikit-learn and SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from evaluation.shortcuts import correlations, number_auc, shortcuts, word_auc
from veracity.calibrate.metrics import Unmeasurable

RNG = np.random.default_rng(3)
LABELS = RNG.random(60) < 0.5


def test_a_number_counts_in_its_better_direction() -> None:
    values = RNG.normal(-1.0 * LABELS)
    found, more = number_auc(values, LABELS)
    assert not more
    assert found.value == pytest.approx(1 - roc_auc_score(LABELS, values))
    assert found.low < found.value < found.high
    turned, more = number_auc(-values, LABELS)
    assert more
    assert turned.value == pytest.approx(found.value)


def test_a_word_by_hand() -> None:
    assert word_auc(["mp4", "mp4", "wav", "wav"], [1, 1, 0, 0]) == 1
    assert word_auc(["mp4"] * 4, [1, 1, 0, 0]) == 0.5  # leaving out one clip at a time would say 0
    # Pairs: the real mp4 with each fake mp4 a draw; a real wav with each fake mp4 is won, rate 0 against 1/2.
    assert word_auc(["mp4", "mp4", "mp4", "wav", "wav"], [1, 1, 0, 0, 0]) == pytest.approx((2 * 0.5 + 4) / 6)
    assert word_auc(["a", "b", "c", "d"], [1, 1, 0, 0]) == 0.5  # nobody shares a word
    assert word_auc(["a", "b"], [1, 0]) == 0.5


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=15))
def test_a_words_auc_is_what_comparing_every_pair_gives(drawn: list[tuple[str, bool]]) -> None:
    clips = [*drawn, ("a", True), ("b", False)]
    won = []
    for i, (real, is_fake) in enumerate(clips):
        for j, (fake, other) in enumerate(clips):
            if other and not is_fake:
                rest = [clip for k, clip in enumerate(clips) if k not in (i, j)]
                rates = []
                for word in (real, fake):
                    same = [label for w, label in rest if w == word] or [label for _, label in rest] or [True, False]
                    rates.append(sum(same) / len(same))
                won.append(0.5 if real == fake else 0.5 + 0.5 * np.sign(rates[1] - rates[0]))
    assert word_auc([word for word, _ in clips], [label for _, label in clips]) == pytest.approx(np.mean(won))


def test_the_surest_shortcut_comes_first_and_clips_without_a_cue_take_no_part() -> None:
    labels = [0, 0, 0, 1, 1, 1]
    rows = shortcuts(
        {
            "loudness": [1.0, 2.0, None, 1.0, 2.0, 3.0],
            "codec": ["flac", "flac", "flac", "mp3", "mp3", "mp3"],
            "width": [None, None, None, 640.0, 320.0, None],
        },
        labels,
    )
    assert [row["cue"] for row in rows] == ["codec", "loudness", "width"]
    assert rows[0] == {"cue": "codec", "clips": 6, "fake": "by word", "auc": {"value": 1.0}}
    assert (rows[1]["clips"], rows[1]["fake"]) == (5, "more")
    assert rows[1]["auc"]["value"] == pytest.approx(roc_auc_score([0, 0, 1, 1, 1], [1, 2, 1, 2, 3]), abs=1e-4)
    assert rows[2]["auc"] is None
    assert rows[2]["unmeasurable"] == "all 2 are fake: a measure wants both"


def test_correlation_is_taken_within_a_label() -> None:
    cue, scores = RNG.normal(size=60) + 9 * LABELS, RNG.normal(size=60) + 9 * LABELS
    found = correlations(cue.tolist(), scores.tolist(), LABELS)
    for word, of in (("real", ~LABELS), ("fake", LABELS)):
        assert found[word] == pytest.approx(spearmanr(cue[of], scores[of]).statistic, abs=1e-4)
        assert abs(found[word] or 0) < 0.5 < spearmanr(cue, scores).statistic
    assert correlations([1, 2, 3, 4, None, 5], [1, 2, 3, 4, 5, 6], [1] * 6) == {"real": None, "fake": 1.0}
    assert correlations([1, 2, 3, 4], [1, 2, 3, 4], [1] * 4)["fake"] is None
    assert correlations([2] * 6, [1, 2, 3, 4, 5, 6], [0] * 6)["real"] is None
    assert correlations(["a"] * 6, [1, 2, 3, 4, 5, 6], [0] * 6)["real"] is None


def test_a_cue_of_one_label_is_no_shortcut() -> None:
    with pytest.raises(Unmeasurable, match="all 2 are fake"):
        word_auc(["a", "b"], [1, 1])
