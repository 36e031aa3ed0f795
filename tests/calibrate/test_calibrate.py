"""From scores to calibration.toml: what is known comes back, what guesses falls silent, the stated rates hold."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from veracity.calibrate import fusion_fit
from veracity.calibrate.fit import fit, limit, platt, pooled, thresholds
from veracity.calibrate.job import labels_of
from veracity.calibrate.labelled_outputs import LabelledClip
from veracity.catalog import MODELS
from veracity.catalog.profiles import PROFILES
from veracity.decision.calibration import Calibration, Calibrator
from veracity.decision.fusion import RULES
from veracity.evidence.detector import detector
from veracity.evidence.requests import ModelOutput, Sample
from veracity_client.verdict import Thresholds

RATES = (0.05, 0.05)
Truth = Sequence[bool] | NDArray[np.bool_]
PRIOR = np.array([0.3, 0.25, 0.25, 0.2])


def answer(
    model: str, logits: Sequence[float] | NDArray[np.float64], faces: Sequence[int | None] | None = None
) -> ModelOutput:
    whose = faces or [None] * len(logits)
    items = tuple(Sample(float(k), k + 1.0, np.empty(0), face) for k, face in enumerate(whose))
    return ModelOutput(model, items, np.array(logits, np.float32))


def rows(model: str, truth: Truth, logits: Sequence[Sequence[float]], sources: int = 10) -> list[LabelledClip]:
    faces = [1, 2] * 2 if model == "lipsync_starter" else None
    answers = [answer(model, some, faces) for some in logits]
    return [
        LabelledClip(str(k), "video", bool(fake), f"source {k % sources}", "", ("video",), {model: one})
        for k, (fake, one) in enumerate(zip(truth, answers))
    ]


def drawn(clips: int, temperature: float, bias: float, seed: int = 0) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Clips whose odds of fake are exactly those of their logits, tempered; as many reals as fakes."""
    rng = np.random.default_rng(seed)
    calibrated = rng.normal(0, 2, clips * 3)
    truth = rng.random(clips * 3) < 1 / (1 + np.exp(-calibrated))
    chosen = np.concatenate([np.flatnonzero(truth)[: clips // 2], np.flatnonzero(~truth)[: clips // 2]])
    return truth[chosen], (calibrated[chosen] - bias) * temperature


@pytest.mark.parametrize(("temperature", "bias"), [(3.0, -0.8), (0.5, 1.0)])
def test_a_known_temperature_and_bias_come_back(temperature: float, bias: float) -> None:
    truth, logits = drawn(3000, temperature, bias)
    scale = platt(rows("audio_starter", truth, [[x] for x in logits]), "audio_starter")
    assert scale.temperature == pytest.approx(temperature, rel=0.12)
    assert scale.bias == pytest.approx(bias, abs=0.15)


def test_the_pool_is_in_the_loop() -> None:
    """The worst of two faces: the other, always at -9, must not move the fit."""
    truth, logits = drawn(800, 2.0, 0.0)
    scale = platt(rows("lipsync_starter", truth, [[x, -9, x, -9] for x in logits]), "lipsync_starter")
    alone = platt(rows("lipsync_starter", truth, [[x, x, x, x] for x in logits]), "lipsync_starter")
    assert scale.temperature == pytest.approx(2.0, rel=0.2)
    kept = np.abs(logits) < 9
    assert kept.mean() > 0.95
    assert scale.temperature == pytest.approx(alone.temperature, rel=0.1)


@pytest.mark.parametrize("model", [name for name, model in MODELS.items() if model.pool])
def test_a_fit_pools_as_the_verdict_does(model: str) -> None:
    """Logits beyond ±17 among them, where a probability has no room left for them."""
    rng = np.random.default_rng(0)
    answers = [answer(model, rng.normal(0, 15, 8), [1, 2] * 4) for _ in range(5)]
    given_rows = [LabelledClip(str(k), "video", True, "", "", (), {model: one}) for k, one in enumerate(answers)]
    for scale in (Calibrator(), Calibrator(4.0, -1.0), Calibrator(0.3, 2.0)):
        wanted = [detector(model).pool(one, scale) for one in answers]
        assert pooled(given_rows, model, scale) == pytest.approx(wanted, abs=1e-9)


def test_few_clips_that_separate_wholly_stay_finite() -> None:
    truth = np.array([False] * 6 + [True] * 6)
    scale = platt(rows("audio_starter", truth, [[8.0] if fake else [-8.0] for fake in truth]), "audio_starter")
    assert 1.0 < scale.temperature < 20


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_guesses_falls_silent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.arange(80) % 2 == 1
    fitted = fit(rows("semantic_starter", truth, [[x] for x in rng.normal(0, 3, 80)]), "semantic_starter", *RATES)
    assert fitted.calibrator.uninformative
    assert set(fitted.held_out) == {0.5}


def test_a_model_that_separates_within_its_sources_alone_falls_silent() -> None:
    """AUC over all is fine, but what is real in one source is fake in the next: no threshold carries over."""
    rng = np.random.default_rng(0)
    truth = np.array([k % 6 < 3 for k in range(60)])
    source_of = [f"s{k % 3}" for k in range(60)]
    shift = {"s0": 30.0, "s1": -30.0, "s2": 0.0}
    logits = [shift[source] + 2 * fake + rng.normal(0, 0.1) for source, fake in zip(source_of, truth)]
    assert fit(of_sources(truth, source_of, logits), "semantic_starter", *RATES).calibrator.uninformative


def of_sources(truth: Truth, sources: Sequence[str], logits: Sequence[float]) -> list[LabelledClip]:
    return [
        LabelledClip(
            str(k), "video", bool(fake), source, "", ("video",), {"semantic_starter": answer("semantic_starter", [x])}
        )
        for k, (fake, source, x) in enumerate(zip(truth, sources, logits))
    ]


def test_what_one_source_teaches_is_tried_on_others_alone() -> None:
    """All reals of one source and all fakes of another: without either there is nothing to learn from."""
    truth = np.arange(40) % 2 == 1
    fitted = fit(of_sources(truth, ["fakes" if fake else "reals" for fake in truth], 8.0 * truth - 4),
                 "semantic_starter", *RATES)  # fmt: skip
    assert fitted.auc.low == 1.0
    assert fitted.gain == pytest.approx(0, abs=1e-12)
    assert fitted.calibrator.uninformative


def test_too_few_clips_to_be_sure_fall_silent_however_well_they_fit() -> None:
    truth = np.arange(20) % 2 == 1
    logits = np.random.default_rng(5).normal(0.9 * truth - 0.45, 1)
    fitted = fit(of_sources(truth, [str(k // 2) for k in range(20)], logits), "semantic_starter", *RATES)
    assert fitted.gain > 0
    assert fitted.auc.low <= 0.5
    assert fitted.calibrator.uninformative


def test_a_model_that_separates_speaks() -> None:
    truth, logits = drawn(200, 1.0, 0.0)
    fitted = fit(rows("audio_starter", truth, [[x] for x in logits]), "audio_starter", *RATES)
    assert not fitted.calibrator.uninformative
    assert fitted.auc.low > 0.5
    assert fitted.gain > 0


@given(st.integers(1, 60), st.floats(0.01, 0.4), st.integers(0, 2**32 - 1))
def test_a_limit_is_passed_by_no_more_than_the_rate_of_its_own(clips: int, rate: float, seed: int) -> None:
    values = np.random.default_rng(seed).random(clips)
    assert (values > limit(values, rate)).mean() <= rate


def test_a_limit_holds_for_the_next_clip() -> None:
    rng = np.random.default_rng(1)
    passed = [rng.random() > limit(rng.random(25), 0.1) for _ in range(4000)]
    assert np.mean(passed) == pytest.approx(
        2 / 26, abs=0.015
    )  # two of 26 places lie above; a plain quantile gives 0.12


@given(st.integers(2, 80), st.integers(2, 80), st.integers(0, 2**32 - 1))
def test_thresholds_hold_the_stated_rates_and_leave_a_coin_between(reals: int, fakes: int, seed: int) -> None:
    said = np.random.default_rng(seed).beta(0.6, 0.6, reals + fakes)
    truth = np.arange(reals + fakes) >= reals
    bounds = thresholds(truth, said, 0.05, 0.1)
    assert (said[~truth] >= bounds.fake).mean() <= 0.05
    assert (said[truth] <= bounds.real).mean() <= 0.1
    assert bounds.real < 0.5 < bounds.fake


def fused_table(seed: int, one_sided: bool) -> fusion_fit.Table:
    """Clips whose fakes show in one of two layers, or, where not one-sided, in both alike."""
    rng = np.random.default_rng(seed)
    truth = np.arange(400) % 2 == 1
    shown = np.stack([truth & (np.arange(400) % 4 < 2), truth & (np.arange(400) % 4 >= 2)], axis=1)
    shown = shown if one_sided else np.stack([truth, truth], axis=1)
    logits = rng.normal(np.where(shown, 3.0, -1.5 if not one_sided else -0.5), 1.0)
    scores = np.full((400, 4), np.nan)
    scores[:, :2] = 1 / (1 + np.exp(-logits))
    return fusion_fit.Table(scores, np.ones((400, 4), bool), truth, np.array([str(k % 8) for k in range(400)]))


def test_the_rule_is_chosen_by_what_sources_apart_say() -> None:
    tried = fusion_fit.candidates(fused_table(0, one_sided=False), np.array([0.5, 0.5, 0.0, 0.0]))
    assert {one.fusion.rule for one in tried} == set(RULES)
    assert [one.log_loss for one in tried] == sorted(one.log_loss for one in tried)
    assert tried[0].fusion.rule == "sum"  # two independent witnesses
    for one in tried:
        assert one.fusion.weights.sum() == pytest.approx(1)
        assert (one.fusion.weights[2:] == 0).all()
        assert (one.fusion.weights[:2] > 0).all()


def test_weights_lean_to_the_layer_that_tells() -> None:
    table = fused_table(0, one_sided=False)
    table.scores[:, 1] = np.random.default_rng(1).random(400)
    for rule in RULES:
        weights = fusion_fit.fit(rule, table, np.array([0.5, 0.5, 0.0, 0.0])).weights
        assert weights[0] > 2 * weights[1]


def test_the_voice_stops_the_analysis_where_it_alone_convicts() -> None:
    fusion = fusion_fit.Fusion("odds", np.array([0.25, 0.75, 0.0, 0.0]), 1.0)
    stop = fusion_fit.fail_fast_threshold_of(fusion, 0.9, 0.9)
    odds = 0.25 * stop / (1 - stop) + 0.75
    assert odds / (1 + odds) == pytest.approx(0.9, abs=1e-3)
    assert fusion_fit.fail_fast_threshold_of(fusion, 0.6, 0.9) == 0.9
    assert (
        fusion_fit.fail_fast_threshold_of(fusion_fit.Fusion("odds", np.array([0, 1.0, 0, 0]), 1.0), 0.6, 0.9)
        == math.inf
    )
    assert (
        fusion_fit.fail_fast_threshold_of(fusion_fit.Fusion("odds", np.array([1.0, 0, 0, 0]), 3.0), 0.95, 0.9) == 0.95
    )  # as it is


def test_a_sound_file_is_labelled_by_its_models_thresholds_and_a_film_by_its_own() -> None:
    nothing = float("nan")
    scores = np.array([[0.7, nothing, nothing, nothing], [0.7, 0.7, 0.7, 0.7]])
    able = np.array([[True, False, False, False], [True] * 4])
    data = fusion_fit.Table(scores, able, np.array([True, True]), np.array(["a", "b"]))
    fusion = fusion_fit.Fusion("odds", np.array([0.4, 0.6, 0.0, 0.0]), 3.0)
    probability = fusion(data)
    assert probability == pytest.approx([0.7, 0.7**3 / (0.7**3 + 0.3**3)])
    own = {"audio_starter": Thresholds(0.6, 0.1)}
    judging = dataclasses.replace(
        Calibration.read(), thresholds=Thresholds(0.99, 0.01), calibrators={}, model_thresholds=own
    )
    models: dict[str, str] = {layer: several[0][0] for layer, several in PROFILES["starter"].items()}
    assert labels_of(probability, data, fusion, models, judging) == ["fake", "inconclusive"]


@pytest.mark.parametrize(
    ("kind", "how", "told"),
    [
        ("video", "desync", ["lipsync"]),
        ("video", "audio shifted by 8 frames", ["lipsync"]),
        ("video", "own mouth painted, dubbed", ["visual", "lipsync"]),
        ("video", "faceswap", ["visual"]),
        ("video", "SadTalker", ["semantic"]),
        ("video", "own machine voice", []),
        ("video", "FaceShifter", ["visual", "lipsync", "semantic"]),
        ("audio", "", ["audio"]),
        ("images", "", []),
    ],
)
def test_a_clip_is_fitted_on_by_the_layers_that_its_label_tells_of(kind: str, how: str, told: list[str]) -> None:
    clip = LabelledClip("1", kind, True, "s", how, ("audio", "video"), {})
    assert [layer for layer in ("audio", "visual", "lipsync", "semantic") if clip.is_evidence_for(layer)] == told
