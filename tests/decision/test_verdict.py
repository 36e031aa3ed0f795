"""From scores to a label: what may be called fake, what may be called real, and what neither."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from test_verdict_fusion import FILM, judging

from veracity.catalog import LAYERS, MODELS
from veracity.decision import wording
from veracity.decision.calibration import Calibrator
from veracity.decision.scoring import evidence_share, fuse, label, score_layer, unscored
from veracity.evidence.requests import ModelOutput, Sample
from veracity_client.verdict import LayerResult, Status, Thresholds

CALIBRATION = judging(Thresholds(0.76, 0.29))


def results(scores: Mapping[str, float | None]) -> dict[str, LayerResult]:
    found = {}
    for layer in LAYERS:
        score = scores.get(layer.name)
        weight = CALIBRATION.sees(layer.name)
        status: Status = "abstained" if score is None else "scored"
        found[layer.key] = LayerResult(status, "no weights", weight, None, None, score, f"{layer.looks_at} said so")
    return found


def verdict(scores: Mapping[str, float | None], tracks: tuple[str, ...] = FILM) -> str:
    found = results(scores)
    return label(fuse(found, CALIBRATION), evidence_share(found, tracks, CALIBRATION), CALIBRATION)


def test_all_layers_agree() -> None:
    names = [layer.name for layer in LAYERS]
    assert verdict(dict.fromkeys(names, 0.95)) == "fake"
    assert verdict(dict.fromkeys(names, 0.05)) == "real"
    assert verdict(dict.fromkeys(names, 0.5)) == "inconclusive"


def test_one_voice_may_convict_a_video_but_not_acquit_it() -> None:
    assert verdict({"audio": 0.97}) == "fake"
    assert verdict({"audio": 0.01}) == "inconclusive"


def test_absence_of_evidence_is_never_real() -> None:
    assert verdict({}) == "inconclusive"
    assert fuse(results({}), CALIBRATION) is None


def answer(
    logits: list[float], faces: list[int | None] | None = None, starts: list[float] | None = None
) -> ModelOutput:
    n = len(logits)
    starts = starts or [float(i) for i in range(n)]
    items = tuple(Sample(s, s + 1, np.zeros(1), f) for s, f in zip(starts, faces or [None] * n))
    return ModelOutput("audio_starter", items, np.array(logits, np.float32))


def judged(model: str, given_answer: ModelOutput, scale: Calibrator = Calibrator()) -> LayerResult:  # noqa: B008
    layer = next(layer for layer in LAYERS if layer.name == MODELS[model].layer)
    calibration = replace(CALIBRATION, calibrators={model: scale})
    return score_layer(layer, [(replace(given_answer, model=model), 1.0)], calibration, []).result


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def test_a_voice_is_the_mean_logit_of_its_windows() -> None:
    assert judged("audio_starter", answer([2.0, 0.0])).fake_probability == pytest.approx(sigmoid(1.0), abs=1e-4)


def test_a_window_weighs_as_many_seconds_as_it_holds() -> None:
    none = np.zeros(0, np.uint8)
    windows = (Sample(0.0, 3.0, none), Sample(4.0, 5.0, none))
    said = ModelOutput("audio_starter", windows, np.array([2.0, -2.0], np.float32))
    assert judged("audio_starter", said).fake_probability == pytest.approx(sigmoid(1.0), abs=1e-4)
    assert judged("audio_aasist", said).fake_probability == 0.5  # as its authors pool


def test_faces_are_the_mean_over_frames_of_the_worst_face() -> None:
    two_faces = answer([2.0, -2.0, 0.0], faces=[1, 2, 1], starts=[0.0, 0.0, 1.0])
    assert judged("visual_sbi_b4", two_faces).fake_probability == pytest.approx((sigmoid(2) + 0.5) / 2, abs=1e-4)


def test_mouths_are_the_worst_face_over_all_its_clips() -> None:
    mouths = answer([3.0, 1.0, -5.0], faces=[1, 1, 2])
    assert judged("lipsync_lipforensics", mouths).fake_probability == pytest.approx(sigmoid(2), abs=1e-4)


PERSONS = ("visual_starter", "lipsync_starter")


@pytest.mark.parametrize("model", PERSONS)
def test_one_of_the_persons_is_fake_and_who_is_seen_more_may_be_it_rather(model: str) -> None:
    """Odds of 9 and of 1, one face three times as wide as the other: nine tenths of what is seen."""
    logits = [float(np.log(9)), 0.0]
    small_fake, large_fake = (
        replace(answer(logits), items=tuple(Sample(0.0, 1.0, np.zeros(1), f, w) for f, w in enumerate(widths)))
        for widths in ((50.0, 150.0), (150.0, 50.0))
    )
    assert judged(model, small_fake).fake_probability == pytest.approx(1.8 / 2.8, abs=1e-4)
    assert judged(model, large_fake).fake_probability == pytest.approx(8.2 / 9.2, abs=1e-4)


@pytest.mark.parametrize("model", PERSONS)
def test_a_crowd_of_real_faces_is_no_alarm(model: str) -> None:
    """Twenty real faces scatter as one does: the maximum of twenty was called fake, their mean odds are not."""
    rng = np.random.default_rng(0)
    crowds = [answer(list(rng.normal(-1, 1.2, 20)), faces=list(range(20)), starts=[0.0] * 20) for _ in range(50)]
    single = [answer([float(rng.normal(-1, 1.2))], faces=[0]) for _ in range(500)]
    of_crowds, of_singles = ([judged(model, one).fake_probability or 0.0 for one in some] for some in (crowds, single))
    assert max(of_crowds) < np.quantile(of_singles, 0.95)
    assert np.mean(of_crowds) == pytest.approx(np.mean(of_singles), abs=0.12)


def confident(*probabilities: float) -> float | None:
    scores = np.array(probabilities)
    logits = list(np.log(scores / (1 - scores)))
    return judged("visual_effnet_b7", answer(logits, faces=[0] * len(logits))).fake_probability


def test_faces_that_are_sure_decide_where_they_are_many() -> None:
    """13 of 32 is over two fifths of them, rounded down to 12, and over 11: the mean of 13 faces of 0.9."""
    assert confident(*[0.9] * 13, *[0.3] * 19) == pytest.approx(0.9, abs=1e-4)


@pytest.mark.parametrize(
    ("probabilities", "mean"),
    [
        ([0.9] * 12 + [0.3] * 20, (12 * 0.9 + 20 * 0.3) / 32),  # 12 of 32: not over two fifths, rounded down
        ([0.9] * 11 + [0.3] * 5, (11 * 0.9 + 5 * 0.3) / 16),  # 11 of 16 are enough of them and too few
        ([0.1] * 9 + [0.6], (0.9 + 0.6) / 10),  # 9 of 10 are not over nine tenths
    ],
)
def test_faces_that_are_sure_and_too_few_do_not(probabilities: list[float], mean: float) -> None:
    assert confident(*probabilities) == pytest.approx(mean, abs=1e-4)


def test_faces_that_are_surely_real_outvote_a_rare_other() -> None:
    assert confident(*[0.1] * 19, 0.95) == pytest.approx(0.1, abs=1e-4)


def test_two_faces_of_a_frame_count_as_two() -> None:
    """As the winner's own code: 16 frames with a sure fake and a sure real face are 32 scores, half of them fake."""
    logits = [2.0, -2.0] * 16
    starts = [float(k // 2) for k in range(32)]
    result = judged("visual_effnet_b7", answer(logits, faces=[0, 1] * 16, starts=starts))
    assert result.fake_probability == pytest.approx(sigmoid(2), abs=1e-4)


def test_views_of_one_picture_are_averaged_as_logits() -> None:
    five = answer([4.0, 0.0, 0.0, 0.0, 1.0, -3.0], starts=[0.0] * 5 + [1.0])
    joined = ModelOutput.joined([five])
    assert joined.logits.tolist() == [1.0, -3.0]
    assert [item.start for item in joined.items] == [0.0, 1.0]
    assert judged("semantic_starter", joined).fake_probability == pytest.approx(sigmoid(-1), abs=1e-4)


def test_faces_of_one_time_are_no_views_of_each_other() -> None:
    assert ModelOutput.joined([answer([4.0, 0.0], faces=[0, 1], starts=[0.0, 0.0])]).logits.tolist() == [4.0, 0.0]


def test_calibration_is_applied_to_logits() -> None:
    assert judged("audio_starter", answer([4.0]), Calibrator(2.0, -1.0)).fake_probability == pytest.approx(
        sigmoid(1), abs=1e-4
    )


def test_two_models_are_averaged_by_weight_and_their_agreement_is_told() -> None:
    layer = LAYERS[0]
    pair = [(answer([10.0]), 1.0), (answer([-10.0]), 3.0)]
    result = score_layer(layer, pair, CALIBRATION, []).result
    raw = [CALIBRATION.calibrator("audio_starter")(np.array([x]))[0] for x in (10.0, -10.0)]
    assert result.fake_probability == pytest.approx((raw[0] + 3 * raw[1]) / 4, abs=1e-4)
    assert result.agreement == pytest.approx(1 - (raw[0] - raw[1]), abs=1e-4)


def test_the_sentence_names_what_was_not_looked_at() -> None:
    found = results({"audio": 0.95})
    said = wording.sentence("fake", 0.95, found)
    assert said.startswith("Fake (P(fake) 0.95)")
    assert "not examined: the faces, the mouths, the whole picture (no weights)" in said


def test_an_unscored_layer_says_why_and_nothing_else() -> None:
    result = unscored("abstained", wording.reason("no_face"), 0.25).result
    assert (result.fake_probability, result.is_fake, result.confidence) == (None, None, None)
    assert (result.code, result.reason) == ("no_face", "no face was found")
