"""Several layers into one probability: what holds for every rule, and what calibration.toml may say of them."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracity.analysis.context import AnalysisContext
from veracity.catalog import LAYERS, MODELS
from veracity.catalog.profiles import PROFILES
from veracity.decision import wording
from veracity.decision.calibration import FILE, Calibration, CalibrationError, Calibrator
from veracity.decision.fusion import RULES, Rule, fused
from veracity.decision.scoring import evidence_share, fuse, label, label_is_decided, score_layer
from veracity.evidence.requests import ModelOutput, Sample
from veracity.settings import Settings
from veracity_client.verdict import LayerResult, Status, Thresholds

BOTH = ("audio", "video")
NAMES: list[str] = [layer.name for layer in LAYERS]
WEIGHTS = dict(zip(NAMES, (0.3, 0.4, 0.2, 0.1)))
FUSED = replace(Calibration.read(), weights=WEIGHTS, thresholds=Thresholds(0.8, 0.3))
CALIBRATIONS = [replace(FUSED, rule=rule, strength=strength) for rule in RULES for strength in (0.6, 1.0, 1.8)]
probabilities = st.floats(0, 1)
some_scores = st.dictionaries(st.sampled_from(NAMES), probabilities)
calibrations = st.sampled_from(CALIBRATIONS)
rules = pytest.mark.parametrize("rule", RULES)


def results(scores: Mapping[str, float | None], weights: Mapping[str, float] = WEIGHTS) -> dict[str, LayerResult]:
    found = {}
    for layer in LAYERS:
        score = scores.get(layer.name)
        status: Status = "abstained" if score is None else "scored"
        found[layer.key] = LayerResult(status, "no weights", weights[layer.name], None, None, score, "so it said")
    return found


def verdict(scores: Mapping[str, float | None], calibration: Calibration, tracks: tuple[str, ...] = BOTH) -> str:
    found = results(scores)
    return label(fuse(found, tracks, calibration), evidence_share(found, tracks, calibration), calibration)


def together(rule: Rule, *scores: float, weights: tuple[float, ...] = (0.5, 0.5), strength: float = 1.0) -> float:
    (probability,) = fused(rule, np.array([scores]), np.array(weights), strength)
    return float(probability)


@given(calibrations, some_scores, st.sampled_from(NAMES), probabilities, probabilities)
def test_a_layer_that_rises_never_lowers_the_whole(
    calibration: Calibration, scores: dict[str, float], layer: str, one: float, other: float
) -> None:
    low, high = (
        fuse(results({**scores, layer: value}), BOTH, calibration) for value in (min(one, other), max(one, other))
    )
    assert low is not None
    assert high is not None
    assert low <= high + 1e-12


@given(calibrations, some_scores, st.data())
def test_what_is_settled_stays_so_whatever_the_rest_says(
    calibration: Calibration, scores: dict[str, float | None], data: st.DataObject
) -> None:
    waiting = {layer.key: WEIGHTS[layer.name] for layer in LAYERS if layer.name not in scores}
    known = {key: r for key, r in results(scores).items() if key not in waiting}
    if not label_is_decided(known, waiting, BOTH, calibration):
        return
    rest: dict[str, float | None] = {
        layer.name: data.draw(st.none() | probabilities) for layer in LAYERS if layer.key in waiting
    }
    assert verdict({**scores, **rest}, calibration) == verdict(scores, calibration)


@pytest.mark.parametrize("rule", ["sum", "odds"])
def test_an_even_layer_counts_like_one_that_says_nothing(rule: Rule) -> None:
    assert together(rule, 0.9, 0.5) == pytest.approx(together(rule, 0.9, float("nan")))


@rules
def test_what_weighs_nothing_is_not_heard(rule: Rule) -> None:
    heard = together(rule, 0.9, 0.01, weights=(1.0, 0.0))
    assert heard == pytest.approx(together(rule, 0.9, weights=(1.0,)))
    assert np.isnan(together(rule, 0.9, float("nan"), weights=(0.0, 1.0)))


def test_each_rule_by_hand() -> None:
    assert together("mean", 0.9, 0.5) == pytest.approx(0.7)
    assert together("sum", 0.9, 0.8, weights=(1.0, 1.0)) == pytest.approx(36 / 37)  # odds of 9 and 4
    assert together("odds", 0.9, 0.8) == pytest.approx(6.5 / 7.5)
    assert together("odds", 0.9, 0.8, strength=2.0) == pytest.approx(6.5**2 / (6.5**2 + 1))


def test_by_mean_odds_one_sure_layer_convicts_and_none_acquits_alone() -> None:
    """What was not looked at is at even odds: at most the voice's own weight of them can be taken away."""
    calibration = replace(FUSED, rule="odds")
    assert verdict({"audio": 0.97}, calibration) == "fake"
    probability = fuse(results({"audio": 0.0}), BOTH, calibration)
    assert probability == pytest.approx(0.7 / 1.7, abs=1e-3)
    assert verdict(dict.fromkeys(NAMES, 0.05), calibration) == "real"


def test_a_track_that_the_file_has_not_holds_nothing_back() -> None:
    calibration = replace(FUSED, rule="odds")
    assert fuse(results({"audio": 0.02}), ("audio",), calibration) == pytest.approx(0.02)
    assert verdict({"audio": 0.02}, calibration, ("audio",)) == "real"


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
    assert fuse(found, BOTH, FUSED) is None
    assert evidence_share(found, BOTH, FUSED) == 0
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


FUSION = """
[profiles.starter.fusion]
rule = "odds"
strength = 0.8
weights = { audio = 0.5, visual = 0.5, lipsync = 0.0, semantic = 0.0 }
fake = 0.7
real = 0.2
fail_fast_threshold = inf
"""


def own_text(addition: str = FUSION) -> str:
    text = FILE.read_text(encoding="utf-8")
    return text.partition("[profiles.starter.fusion]")[0] + addition


def test_a_profiles_own_fusion_holds_for_it_alone() -> None:
    read = Calibration.parsed(own_text())
    general, own = read.of("published"), read.of("starter")
    assert (general.rule, general.strength, general.weights) == ("mean", 1.0, general.evidence_weights)
    assert (own.rule, own.strength, own.fail_fast_threshold) == ("odds", 0.8, float("inf"))
    assert (own.thresholds, own.evidence_weights) == (Thresholds(0.7, 0.2), general.evidence_weights)
    assert own.weights == {"audio": 0.5, "visual": 0.5, "lipsync": 0.0, "semantic": 0.0}


def test_another_model_in_a_layer_leaves_the_profiles_fusion(tmp_path: Path) -> None:
    file = tmp_path / "calibration.toml"
    file.write_text(own_text(), encoding="utf-8")
    own = Settings(vad="energy", calibration=file)
    assert AnalysisContext.from_settings(own).calibration.rule == "odds"
    assert AnalysisContext.from_settings(own.replace(models="audio_aasist")).calibration.rule == "mean"
    assert AnalysisContext.from_settings(own.replace(profile="published")).calibration.rule == "mean"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('rule = "odds"', 'rule = "vote"', "rule of [profiles.starter.fusion] must be one of mean, sum, odds"),
        ("strength = 0.8", "", "strength of [profiles.starter.fusion] must be a number"),
        ("strength = 0.8", "strength = nan", "strength of [profiles.starter.fusion] must be a number"),
        (", semantic = 0.0", "", "must be audio, visual, lipsync, semantic, not audio, visual, lipsync"),
        (
            "real = 0.2\nfail_fast",
            "real = 0.75\nfail_fast",
            "real of [profiles.starter.fusion] is over fake: 0.75 > 0.7",
        ),
        (
            "fail_fast_threshold = inf",
            "fail_fast_threshold = true",
            "fail_fast_threshold of [profiles.starter.fusion] must be a number",
        ),
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
