"""The decision is a function of the evidence, and gives every reason a code."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from test_verdict_fusion import FILM, FUSED, SEES, hearing, judging, results

from veracity.decision import wording
from veracity.decision.decision import decide, fail_fast_threshold, reason_to_stop
from veracity.decision.evidence import Evidence, ScoredLayer
from veracity.decision.scoring import unscored
from veracity_client.reasons import MEANINGS
from veracity_client.verdict import Label, LayerResult, ModelInfo, Span, Thresholds

CALIBRATION = replace(FUSED, evidence_fake=0.15, evidence_real=0.44)
ALL = ("audio", "visual", "lipsync", "semantic")


def evidence(scores: Mapping[str, float | None], **labels: Label) -> Evidence:
    found = Evidence()
    found.tracks = FILM
    is_fake = {"fake": True, "real": False, "inconclusive": None}
    for key, result in results(scores).items():
        label = labels.get(key.partition("_")[2])
        found.settle(key, ScoredLayer(replace(result, is_fake=is_fake[label]) if label else result))
    return found


def test_evidence_only_grows() -> None:
    found = Evidence()
    found.settle("1_audio", unscored("abstained", wording.reason("no_speech"), 0.3))
    with pytest.raises(ValueError, match="1_audio is settled already"):
        found.settle("1_audio", unscored("abstained", wording.reason("no_audio"), 0.3))
    found.audio_error = wording.reason("no_speech")
    with pytest.raises(AttributeError, match="audio_error is known already"):
        found.audio_error = wording.reason("no_audio")
    assert found.audio_error.code == "no_speech"


def test_the_same_evidence_gives_the_same_decision() -> None:
    scores = dict.fromkeys(ALL, 0.95)
    assert decide(evidence(scores), CALIBRATION) == decide(evidence(scores), CALIBRATION)
    assert decide(evidence(scores), CALIBRATION).label == "fake"
    assert decide(evidence(scores), CALIBRATION).inconclusive is None


@pytest.mark.parametrize(
    ("scores", "labels", "code"),
    [
        ({}, {}, "nothing_scored"),
        ({"visual": 0.01}, {}, "evidence_too_weak"),
        (dict.fromkeys(ALL, 0.5), {}, "between_thresholds"),
        (dict.fromkeys(ALL, 0.5), {"audio": "fake", "visual": "fake"}, "between_thresholds"),
        (dict.fromkeys(ALL, 0.5), {"audio": "fake", "semantic": "real"}, "evidence_conflicts"),
    ],
)
def test_inconclusive_has_a_reason(scores: dict[str, float | None], labels: dict[str, Label], code: str) -> None:
    decision = decide(evidence(scores, **labels), CALIBRATION)
    assert decision.inconclusive
    assert (decision.label, decision.inconclusive.code) == ("inconclusive", code)
    assert decision.confidence == 0


def test_layers_that_disagree_are_named() -> None:
    decision = decide(evidence(dict.fromkeys(ALL, 0.5), audio="fake", visual="fake", semantic="real"), CALIBRATION)
    assert decision.inconclusive
    assert decision.inconclusive.text == "layers disagree: the voice, the faces say fake, the whole picture say real"


def test_a_profile_that_only_measures_time_judges_nothing() -> None:
    decision = decide(evidence(dict.fromkeys(ALL, 0.95)), CALIBRATION, timing_only=True)
    assert decision.inconclusive
    assert (decision.label, decision.fake_probability, decision.inconclusive.code) == (
        "inconclusive",
        None,
        "untrained",
    )


def test_whatever_is_missing_of_a_verdict_degrades_it_with_its_code() -> None:
    found = Evidence()
    found.tracks = FILM
    for key, result in results({"audio": 0.5, "visual": 0.5}).items():
        lost = LayerResult("failed", "semantic_starter does not answer", 0.1, None, None, None, "", code="model_down")
        found.settle(key, ScoredLayer(lost if key == "4_semantic" else result))
    assert [reason.code for reason in decide(found, CALIBRATION).degraded] == ["model_down"]
    found.unanswered["lipsync_lipforensics"] = wording.reason("model_failed", why="it failed")
    found.read_warnings.append(wording.reason("truncated", why="the sound can be read up to 1.0 s of 2.0 s"))
    degraded = decide(found, CALIBRATION).degraded
    assert [reason.code for reason in degraded] == ["model_down", "model_failed", "truncated"]
    assert degraded[0].text == "the whole picture: semantic_starter does not answer"


def test_an_abstention_does_not_degrade() -> None:
    assert decide(evidence({"audio": 0.95}), CALIBRATION).degraded == ()


def test_a_policy_stops_for_its_own_reason_only() -> None:
    sure = {key: r for key, r in results({"audio": 0.97}).items() if key == "1_audio"}
    stop = reason_to_stop(sure, FILM, CALIBRATION, "fail_fast")
    assert stop
    assert stop.code == "not_needed"
    assert stop.text.startswith("not needed: the voice alone reached 0.97")
    assert reason_to_stop(sure, FILM, CALIBRATION, "exhaustive") is None
    unsure = {key: r for key, r in results({"audio": 0.6}).items() if key == "1_audio"}
    assert reason_to_stop(unsure, FILM, CALIBRATION, "fail_fast") is None
    assert reason_to_stop(unsure, FILM, CALIBRATION, "decided") is None
    decided = reason_to_stop(results({"audio": 0.6}), FILM, CALIBRATION, "decided")
    assert decided
    assert decided.text == "not needed: it could not change the label (policy decided)"


def test_the_voice_stops_the_analysis_where_it_alone_convicts() -> None:
    stop = fail_fast_threshold(CALIBRATION)
    assert stop > 0.9
    film = evidence({"audio": stop + 1e-4})
    assert decide(film, CALIBRATION).label == "fake"
    assert decide(evidence({"audio": stop - 1e-2}), CALIBRATION).label == "inconclusive"
    assert fail_fast_threshold(judging(Thresholds(0.51, 0.1))) == 0.9  # below it frames are always decoded
    assert fail_fast_threshold(judging(Thresholds(None, 0.1))) == math.inf
    assert fail_fast_threshold(judging(sees={**SEES, "audio": 0.0})) == math.inf


HEARD = hearing(judging(Thresholds(None, None)), Thresholds(0.8, 0.1))


def test_a_film_whose_voice_would_be_fake_as_a_sound_file_is_fake() -> None:
    unseen = dict.fromkeys(ALL, 0.02) | {"audio": 0.85}
    decision = decide(evidence(unseen), HEARD)
    assert (decision.label, decision.fake_probability, decision.by_voice) == ("fake", 0.85, True)
    assert decision.thresholds == Thresholds(0.8, 0.1)
    assert decision.likelihood_ratio
    assert decision.likelihood_ratio.log10 == pytest.approx(math.log10(0.85 / 0.15), abs=0.01)
    film = decide(evidence(unseen), replace(HEARD, voice_fusion=None))
    assert (film.label, film.by_voice) == ("inconclusive", False)


def test_a_clean_voice_makes_no_film_real() -> None:
    decision = decide(evidence({"audio": 0.02}), HEARD)
    assert (decision.label, decision.by_voice, decision.thresholds) == ("inconclusive", False, Thresholds(None, None))
    assert decide(evidence({"audio": 0.79}), HEARD).label == "inconclusive"


def test_a_voice_that_is_fake_as_a_sound_file_ends_the_analysis() -> None:
    assert fail_fast_threshold(HEARD) == 0.9
    sure = {"1_audio": results({"audio": 0.93})["1_audio"]}
    for policy in ("fail_fast", "decided"):
        assert reason_to_stop(sure, FILM, HEARD, policy)
        assert reason_to_stop(sure, FILM, replace(HEARD, voice_fusion=None), policy) is None
        unsure = {"1_audio": results({"audio": 0.6})["1_audio"]}
        assert reason_to_stop(unsure, FILM, HEARD, policy) is None  # no label is at stake: all scores are wanted
    assert decide(evidence({"audio": 0.93}), HEARD).label == "fake"


@pytest.mark.parametrize(("bounds", "score", "word"), [((0.9, None), 0.01, "real"), ((None, 0.1), 0.99, "fake")])
def test_what_the_measurements_do_not_support_is_said(
    bounds: tuple[float | None, float | None], score: float, word: str
) -> None:
    decision = decide(evidence(dict.fromkeys(ALL, score)), judging(Thresholds(*bounds)))
    assert decision.inconclusive
    assert decision.inconclusive.code == "not_supported"
    assert f"videos cannot be called {word} at the operating point balanced" in decision.inconclusive.text
    assert decision.rates


@pytest.mark.parametrize(("late", "label"), [((0.95, 0.95), "inconclusive"), ((0.95, 0.02), "real")])
def test_the_whole_is_not_called_real_where_a_part_alone_would_be_fake(late: tuple[float, ...], label: Label) -> None:
    spans = tuple(Span(float(k), k + 4.0, score) for k, score in enumerate((0.02, 0.02, 0.02, *late, 0.02)))
    found = evidence({})
    for key, result in results(dict.fromkeys(ALL, 0.02)).items():
        voice = ModelInfo("audio_starter", "1", "", "", "", "")
        found.layers[key] = (
            ScoredLayer(replace(result, models=(voice,)), spans) if key == "1_audio" else ScoredLayer(result)
        )
    decision = decide(found, CALIBRATION)
    assert decision.label == label
    if label == "inconclusive":
        assert decision.inconclusive
        assert decision.inconclusive.code == "part_fake"
        assert "the voice would be fake at 3.0–8.0 s alone, P(fake) 0.95" in decision.inconclusive.text
        assert decision.confidence == 0


def test_every_code_has_a_sentence() -> None:
    assert set(wording.TEMPLATES) == set(MEANINGS)
