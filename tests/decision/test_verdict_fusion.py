"""Several layers into one probability: what holds whatever they see, and what calibration.toml may say of them."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracity.analysis.context import AnalysisContext
from veracity.calibrate import toml_tables
from veracity.catalog import LAYERS, MODELS
from veracity.catalog.profiles import PROFILES
from veracity.decision import wording
from veracity.decision.calibration import FILE, Calibration, Calibrator, Fusion
from veracity.decision.fusion import fused, needed, probability
from veracity.decision.scoring import (
    evidence_share,
    fuse,
    judge,
    label_is_decided,
    likelihood_ratio,
    score_layer,
    threshold_label,
)
from veracity.decision.toml_table import CalibrationError
from veracity.evidence.requests import ModelOutput, Sample
from veracity.settings import Settings
from veracity_client.options import OperatingPoint
from veracity_client.verdict import LayerResult, Rates, Status, Thresholds

FILM = ("audio", "video", "motion")
NAMES: list[str] = [layer.name for layer in LAYERS]
SEES = dict(zip(NAMES, (0.3, 0.8, 0.6, 0.5)))
POINTS: tuple[OperatingPoint, ...] = ("strict", "balanced", "screening")
NOTHING_MEASURED = Rates(0.0, 0.0, 0.0, 99, 99)
probabilities = st.floats(0, 1)
some_scores = st.dictionaries(st.sampled_from(NAMES), probabilities)


USUAL = Thresholds(0.8, 0.3)


def judging(
    bounds: Thresholds = USUAL,
    strength: float = 1.0,
    sees: Mapping[str, float] = SEES,
) -> Calibration:
    """A calibration whose fusion for the file at hand is this one."""
    fusion = Fusion(sees, strength, 99, 99, dict.fromkeys(POINTS, bounds), dict.fromkeys(POINTS, NOTHING_MEASURED))
    return replace(Calibration.read(), fusion=fusion)


def hearing(film: Calibration, bounds: Thresholds) -> Calibration:
    """The same, where voices were measured as sound files too, with these thresholds."""
    return replace(film, voice_fusion=judging(bounds, sees={**dict.fromkeys(NAMES, 0.0), "audio": 1.0}).fusion)


FUSED = judging()
calibrations = st.sampled_from(
    [
        *(judging(strength=strength) for strength in (0.6, 1.0, 1.8)),
        hearing(judging(Thresholds(None, 0.3)), Thresholds(0.85, 0.1)),
    ]
)


def results(scores: Mapping[str, float | None], sees: Mapping[str, float] = SEES) -> dict[str, LayerResult]:
    found = {}
    for layer in LAYERS:
        score = scores.get(layer.name)
        status: Status = "abstained" if score is None else "scored"
        found[layer.key] = LayerResult(status, "no weights", sees[layer.name], None, None, score, "so it said")
    return found


def verdict(scores: Mapping[str, float | None], calibration: Calibration, tracks: tuple[str, ...] = FILM) -> str:
    return judge(results(scores), tracks, calibration).label


def together(*scores: float, sees: tuple[float, ...] = (0.5, 0.5), strength: float = 1.0) -> float:
    (probability,) = fused(np.array([scores]), np.array(sees), strength)
    return float(probability)


@given(calibrations, some_scores, st.sampled_from(NAMES), probabilities, probabilities)
def test_a_layer_that_rises_never_lowers_the_whole(
    calibration: Calibration, scores: dict[str, float], layer: str, one: float, other: float
) -> None:
    low, high = (fuse(results({**scores, layer: value}), calibration) for value in (min(one, other), max(one, other)))
    assert low is not None
    assert high is not None
    assert low <= high + 1e-12


@given(calibrations, some_scores, st.data())
def test_what_is_settled_stays_so_whatever_the_rest_says(
    calibration: Calibration, scores: dict[str, float | None], data: st.DataObject
) -> None:
    waiting = {layer.key: SEES[layer.name] for layer in LAYERS if layer.name not in scores}
    known = {key: r for key, r in results(scores).items() if key not in waiting}
    if not label_is_decided(known, waiting, FILM, calibration):
        return
    rest: dict[str, float | None] = {
        layer.name: data.draw(st.none() | probabilities) for layer in LAYERS if layer.key in waiting
    }
    assert verdict({**scores, **rest}, calibration) == verdict(scores, calibration)


def test_two_layers_by_hand() -> None:
    """Odds of 9 and 4, of fakes of which each sees half: 5 times 2.5."""
    assert together(0.9, 0.8) == pytest.approx(12.5 / 13.5)
    assert together(0.9, 0.8, sees=(1.0, 1.0)) == pytest.approx(36 / 37)
    assert together(0.9, 0.8, strength=2.0) == pytest.approx(12.5**2 / (12.5**2 + 1))


@given(probabilities, st.floats(0.05, 1))
def test_a_layer_that_sees_little_cannot_hold_back_one_that_sees_much(said: float, sees: float) -> None:
    """A picture layer that says real of a swap takes away no more than the fakes that it can see."""
    alone = together(0.95, sees=(0.8,))
    both = together(0.95, said, sees=(0.8, sees))
    assert both / (1 - both) >= (1 - sees) * alone / (1 - alone) - 1e-9


def test_a_layer_that_did_not_look_counts_like_one_that_says_even_odds() -> None:
    assert together(0.9, 0.5) == pytest.approx(together(0.9, float("nan")))
    assert together(0.9, 0.01, sees=(1.0, 0.0)) == pytest.approx(together(0.9, sees=(1.0,)))
    assert np.isnan(together(0.9, float("nan"), sees=(0.0, 1.0)))


@given(st.floats(0.05, 1), st.floats(0.3, 1.5), st.floats(0.51, 0.99))
def test_what_one_layer_must_say_is_what_makes_the_whole(sees: float, strength: float, wanted: float) -> None:
    said = needed(sees, strength, wanted)
    if said < 1 - 1e-4:
        assert together(said, sees=(sees,), strength=strength) == pytest.approx(wanted, abs=1e-3)
    else:
        assert together(1.0, sees=(sees,), strength=strength) <= wanted + 1e-2


def test_one_sure_layer_convicts_and_none_acquits_alone() -> None:
    assert verdict({"visual": 0.97}, FUSED) == "fake"
    assert verdict({"visual": 0.0}, FUSED) == "inconclusive"  # a quarter of the evidence
    assert verdict(dict.fromkeys(NAMES, 0.05), FUSED) == "real"


def test_a_still_picture_can_be_real_though_no_mouth_moves_in_it() -> None:
    """Its lips are no missing evidence, since no still picture has any: this was inconclusive, 75 times of 75."""
    looked = {"visual": 0.02, "semantic": 0.02}
    assert verdict(looked, FUSED, tracks=("video",)) == "real"
    found = results(looked)
    assert evidence_share(found, ("video",), FUSED) == 1.0
    assert evidence_share(found, FILM, FUSED) < 0.5


def test_a_word_that_the_measurements_do_not_support_is_not_said() -> None:
    assert threshold_label(0.0, Thresholds(0.9, None)) == "inconclusive"
    assert threshold_label(1.0, Thresholds(None, 0.1)) == "inconclusive"
    assert threshold_label(0.5, None) == "inconclusive"


def test_a_likelihood_ratio_is_bounded_by_the_clips_that_were_measured() -> None:
    even, sure = likelihood_ratio(0.5, FUSED), likelihood_ratio(0.9999, FUSED)
    assert even
    assert sure
    assert (even.log10, even.words, even.prior) == (0.0, "no support for either", 0.5)
    assert (sure.low, sure.high, sure.log10) == (-2.0, 2.0, 2.0)
    assert sure.words == "moderate support that the clip is fake"
    ten = likelihood_ratio(float(probability(np.array(np.log(10)))), FUSED)
    assert ten
    assert ten.log10 == pytest.approx(1.0)
    assert likelihood_ratio(0.9, replace(FUSED, fusion=None)) is None


def test_models_without_a_fusion_have_a_score_and_no_label() -> None:
    calibration = replace(FUSED, fusion=None)
    assert calibration.sees("audio") == 0.5
    assert fuse(results({"audio": 0.9}), calibration) is not None
    assert verdict(dict.fromkeys(NAMES, 0.99), calibration) == "inconclusive"


def answer(model: str, *logits: float) -> ModelOutput:
    items = tuple(Sample(float(k), k + 1.0, np.zeros(1)) for k in range(len(logits)))
    return ModelOutput(model, items, np.array(logits, np.float32))


def silenced(calibration: Calibration = FUSED) -> LayerResult:
    calibration = replace(calibration, calibrators={"audio_starter": Calibrator(float("inf"), 0.0)})
    return score_layer(LAYERS[0], [(answer("audio_starter", 9.0, 40.0), 1.0)], calibration, []).result


def test_a_layer_that_does_not_separate_says_so_and_weighs_nothing() -> None:
    result = silenced()
    assert (result.fake_probability, result.weight, result.is_fake) == (0.5, 0.0, None)
    assert "uninformative" in result.reasoning
    found = {**results({}), "1_audio": result}
    assert fuse(found, FUSED) is None
    assert evidence_share(found, FILM, FUSED) == 0
    said = wording.sentence("inconclusive", None, found, wording.reason("nothing_scored"))
    assert said.startswith("Inconclusive: the voice: uninformative")


@pytest.mark.parametrize("model", [name for name, model in MODELS.items() if model.pool])
def test_silence_is_one_half_whatever_pools_it(model: str) -> None:
    layer = next(layer for layer in LAYERS if layer.name == MODELS[model].layer)
    calibration = replace(FUSED, calibrators={model: Calibrator(float("inf"), 0.0)})
    assert score_layer(layer, [(answer(model, -30.0, 50.0), 1.0)], calibration, []).result.fake_probability == 0.5


@pytest.mark.parametrize(("bounds", "is_fake"), [({}, None), ({"audio_starter": Thresholds(0.7, 0.1)}, True)])
def test_a_layers_own_word_is_held_against_its_models_thresholds(
    bounds: dict[str, Thresholds], is_fake: bool | None
) -> None:
    calibration = replace(FUSED, calibrators={}, model_thresholds=bounds)
    assert score_layer(LAYERS[0], [(answer("audio_starter", 1.0), 1.0)], calibration, []).result.is_fake is is_fake


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
    assert judged.result.weight == calibration.sees("audio")


FUSION = """
[profiles.starter.fusion.film]
strength = 0.8
sees = { audio = 0.5, visual = 0.5, lipsync = 0.0, semantic = 0.0 }
reals = 40
fakes = 30
strict = { real_called_fake = 0.0, fake_called_real = 0.0, inconclusive = 1.0 }
balanced = { fake = 0.7, real = 0.2, real_called_fake = 0.04, fake_called_real = 0.03, inconclusive = 0.5 }
screening = { fake = 0.6, real_called_fake = 0.1, fake_called_real = 0.0, inconclusive = 0.4 }
statement = "AUC 0.8 on videos"
"""


def own_text(addition: str = FUSION) -> str:
    text = FILE.read_text(encoding="utf-8")
    return text.partition("[profiles.starter.fusion.")[0] + addition


def test_a_profiles_own_fusion_holds_for_it_and_for_its_kind_of_file() -> None:
    read = Calibration.parsed(own_text())
    own, general = read.of("starter"), read.of("published")
    film = own.for_file("film", "balanced")
    assert film.thresholds == Thresholds(0.7, 0.2)
    assert film.rates == Rates(0.04, 0.03, 0.5, 40, 30)
    assert film.sees("visual") == 0.5
    assert own.for_file("film", "strict").thresholds == Thresholds(None, None)
    assert own.for_file("film", "screening").thresholds == Thresholds(0.6, None)
    assert own.for_file("sound", "balanced").thresholds is None
    assert film.of_the_voice() is None  # without a fusion of sound files there is nothing to judge a voice by
    assert general.for_file("film", "balanced").thresholds is None


def test_still_pictures_have_a_scale_of_their_own() -> None:
    still_table: dict[str, toml_tables.Value] = {"temperature": 2.0, "bias": -1.0, "fake": 0.9}
    text = toml_tables.put(own_text(), {"models.visual_starter.still": still_table})
    read = Calibration.parsed(text)
    film, still = read.for_file("film", "balanced"), read.for_file("still", "balanced")
    assert still.calibrator("visual_starter") == Calibrator(2.0, -1.0)
    assert film.calibrator("visual_starter") == read.calibrator("visual_starter") != Calibrator(2.0, -1.0)
    assert still.model_thresholds["visual_starter"] == Thresholds(0.9, None)
    assert still.calibrator("audio_starter") == read.calibrator("audio_starter")
    assert read.without(["visual_starter"]).for_file("still", "balanced").calibrator("visual_starter") == Calibrator()


def test_another_model_in_a_layer_leaves_the_profiles_fusion(tmp_path: Path) -> None:
    file = tmp_path / "calibration.toml"
    file.write_text(own_text(), encoding="utf-8")
    own = Settings(vad="energy", calibration=file)
    assert set(AnalysisContext.from_settings(own).calibration.fusions) == {"film"}
    assert not AnalysisContext.from_settings(own.replace(models="audio_aasist")).calibration.fusions
    assert not AnalysisContext.from_settings(own.replace(profile="published")).calibration.fusions


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("fusion.film]", "fusion.novel]", "novel of [profiles.starter.fusion] is no kind of file: sound, still, film"),
        ("strength = 0.8", "", "strength of [profiles.starter.fusion.film] must be a number"),
        ("strength = 0.8", "strength = nan", "strength of [profiles.starter.fusion.film] must be a number"),
        (", semantic = 0.0", "", "must be audio, visual, lipsync, semantic, not audio, visual, lipsync"),
        ("reals = 40", "", "reals of [profiles.starter.fusion.film] must be a number from 1"),
        ("real = 0.2,", "real = 0.75,", "real of [profiles.starter.fusion.film.balanced] is over fake: 0.75 > 0.7"),
        ("fake = 0.7,", "fake = true,", "fake of [profiles.starter.fusion.film.balanced] must be a number"),
        ("inconclusive = 0.5", "inconclusive = 2", "inconclusive of [profiles.starter.fusion.film.balanced] must be"),
        ("\nstrict =", "\nstern =", "strict of [profiles.starter.fusion.film] is missing"),
        ("\n[evidence]", "\n[other]", "[evidence] is missing"),
        ("temperature = 1.5254", "temperature = 0", "temperature of [models.audio_aasist] must be a number"),
        ("temperature = 1.5254", "temperature = inf", "bias of [models.audio_aasist] must be a finite number, and 0"),
        ("\n[evidence]", "\n[evidence", "is no TOML"),
    ],
)
def test_a_file_that_is_not_whole_names_the_key(old: str, new: str, words: str) -> None:
    text = own_text()
    assert text.count(old) == 1
    with pytest.raises(CalibrationError) as caught:
        Calibration.parsed(text.replace(old, new))
    assert words in caught.value.message


def test_a_file_that_is_no_text_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "calibration.toml").write_bytes(b"[weights]\naudio = \xff")
    with pytest.raises(CalibrationError, match=r"calibration.toml is no UTF-8 text: .* at byte 18"):
        Calibration.read(tmp_path / "calibration.toml")


def test_every_profiles_models_have_words_on_how_they_measured() -> None:
    calibration = Calibration.read()
    said = {
        m: calibration.measurement(m) for layers in PROFILES.values() for several in layers.values() for m, _ in several
    }
    assert said["audio_starter"].startswith(("AUC", "uninformative: AUC"))
    assert all(said.values())
    assert all(calibration.measurements.get(model) for model in itertools.chain(calibration.calibrators))


def test_a_film_has_the_fusion_of_its_voice_and_no_other_file_has() -> None:
    shipped = Calibration.read().of("starter")
    voice = shipped.for_file("film", "strict").of_the_voice()
    assert voice is not None
    assert voice.thresholds == shipped.for_file("sound", "strict").thresholds
    assert voice.of_the_voice() is None
    assert shipped.for_file("sound", "strict").of_the_voice() is None
    assert shipped.for_file("still", "strict").of_the_voice() is None
