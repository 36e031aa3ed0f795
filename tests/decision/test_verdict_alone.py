"""Who answers alone is believed as calibrated: a layer that no other could join, a model whose others are silent."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_verdict_fusion import BOTH, FUSED, NAMES, answer, probabilities, results, together

from veracity.catalog import LAYERS
from veracity.decision.calibration import Calibrator
from veracity.decision.fusion import RULES, Rule, fused
from veracity.decision.scoring import IS_FAKE, evidence_share, for_tracks, fuse, label, score_layer
from veracity_client.verdict import ModelInfo, Thresholds


@given(st.sampled_from([*RULES]), probabilities, st.floats(0.3, 3.0))
def test_a_layer_that_alone_could_look_is_believed_as_it_is(rule: Rule, said: float, strength: float) -> None:
    unseen, silent = float("nan"), 0.5
    assert together(rule, said, unseen, weights=(0.4, 0.0), strength=strength) == said
    assert together(rule, silent, said, weights=(0.0, 0.4), strength=strength) == said


def test_a_layer_that_another_could_have_joined_is_held_back_from_real() -> None:
    """By the mean odds, with the strength that was fitted on such films."""
    odds = (0.5 * 1 / 9 + 0.5) ** 2
    assert together("odds", 0.1, float("nan"), strength=2.0) == pytest.approx(odds / (1 + odds))


def test_clips_of_both_kinds_are_fused_each_its_own_way() -> None:
    scores = np.array([[0.9, np.nan], [0.9, 0.9], [np.nan, 0.2], [np.nan, np.nan]])
    weights = np.array([[0.5, 0.0], [0.5, 0.5], [0.0, 0.5], [0.5, 0.0]])
    assert fused("odds", scores, weights, 2.0) == pytest.approx([0.9, 81 / 82, 0.2, np.nan], nan_ok=True)


APART = replace(
    FUSED, rule="odds", strength=1.4, model_thresholds={"audio_starter": Thresholds(0.6, 0.45)}, calibrators={}
)


@given(st.floats(-6, 6))
def test_a_sound_files_verdict_is_its_voices_own_word(logit: float) -> None:
    """Its thresholds are not those of films, and its P(fake) is not driven out by what was fitted on films."""
    infos = [ModelInfo("audio_starter", "1", "", "", "")]
    voice = score_layer(LAYERS[0], [(answer("audio_starter", logit), 1.0)], APART, infos).result
    found = {**results({}), "1_audio": voice}
    judged = for_tracks(found, ("audio",), APART)
    probability = fuse(found, ("audio",), judged)
    assert probability == voice.fake_probability
    assert judged.thresholds == Thresholds(0.6, 0.45)
    assert IS_FAKE[label(probability, evidence_share(found, ("audio",), judged), judged)] is voice.is_fake


@pytest.mark.parametrize(
    ("weights", "tracks", "own"),
    [
        ({"visual": 0.4}, BOTH, True),  # all other layers are silent
        ({"visual": 0.4}, ("video",), True),
        ({"visual": 0.4, "lipsync": 0.2}, BOTH, False),
        ({"visual": 0.4, "audio": 0.2}, BOTH, False),
        ({"visual": 0.4, "audio": 0.2}, ("video",), True),
    ],
)
def test_the_thresholds_of_films_are_for_what_several_layers_could_look_at(
    weights: dict[str, float], tracks: tuple[str, ...], own: bool
) -> None:
    calibration = replace(FUSED, model_thresholds={"visual_starter": Thresholds(0.9, 0.1)}, calibrators={})
    found = results({"visual": 0.85}, dict.fromkeys(NAMES, 0.0) | weights)
    infos = (ModelInfo("visual_starter", "1", "", "", ""),)
    found["2_visual"] = replace(found["2_visual"], models=infos)
    assert for_tracks(found, tracks, calibration).thresholds == (Thresholds(0.9, 0.1) if own else FUSED.thresholds)


def test_a_silent_model_weighs_nothing_among_others() -> None:
    scales = {"audio_aasist": Calibrator(float("inf"), 0.0), "audio_starter": Calibrator()}
    calibration = replace(FUSED, calibrators=scales, model_thresholds={"audio_starter": Thresholds(0.95, 0.1)})
    pair = [(answer("audio_aasist", 9.0), 3.0), (answer("audio_starter", 2.0, 3.0), 1.0)]
    judged = score_layer(LAYERS[0], pair, calibration, [])
    alone = score_layer(LAYERS[0], pair[1:], calibration, [])
    assert judged.result.fake_probability == alone.result.fake_probability == pytest.approx(0.924, abs=1e-3)
    assert judged.spans == alone.spans
    assert judged.result.is_fake is None  # held against the thresholds of the one that speaks
    assert judged.result.agreement is None
    assert "audio_aasist is uninformative" in judged.result.reasoning
    assert judged.result.weight == calibration.weights["audio"]
