"""From scores to calibration.toml: what is known comes back, what guesses falls silent, the stated rates hold."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from veracity.calibrate import fusion_fit
from veracity.calibrate.fit import fit, groups, platt, pooled
from veracity.calibrate.labelled_outputs import LabelledClip
from veracity.catalog import LAYERS, MODELS
from veracity.decision.calibration import Calibrator
from veracity.evidence.detector import detector
from veracity.evidence.requests import ModelOutput, Sample

Truth = Sequence[bool] | NDArray[np.bool_]
FILM = ("audio", "video", "motion")


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
        LabelledClip(str(k), "video", bool(fake), f"source {k % sources}", "", FILM, {model: one})
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
    """Of two persons alike, one is always at -9: who says little must not move the fit by more than its half."""
    truth, logits = drawn(800, 2.0, 0.0)
    alone = platt(rows("lipsync_starter", truth, [[x, x, x, x] for x in logits]), "lipsync_starter")
    scale = platt(rows("lipsync_starter", truth, [[x, -9, x, -9] for x in logits]), "lipsync_starter")
    assert alone.temperature == pytest.approx(2.0, rel=0.2)
    assert scale.bias > alone.bias + 0.3  # half of the odds are the other person's, who has none


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
    fitted = fit(rows("semantic_starter", truth, [[x] for x in rng.normal(0, 3, 80)]), "semantic_starter")
    assert fitted.calibrator.uninformative
    assert set(fitted.held_out) == {0.5}


def test_a_model_that_separates_within_its_sources_alone_falls_silent() -> None:
    """AUC over all is fine, but what is real in one source is fake in the next: no threshold carries over."""
    rng = np.random.default_rng(0)
    truth = np.array([k % 6 < 3 for k in range(60)])
    source_of = [f"s{k % 3}" for k in range(60)]
    shift = {"s0": 30.0, "s1": -30.0, "s2": 0.0}
    logits = [shift[source] + 2 * fake + rng.normal(0, 0.1) for source, fake in zip(source_of, truth)]
    assert fit(of_sources(truth, source_of, logits), "semantic_starter").calibrator.uninformative


def of_sources(truth: Truth, sources: Sequence[str], logits: Sequence[float]) -> list[LabelledClip]:
    return [
        LabelledClip(
            str(k), "video", bool(fake), source, "", FILM, {"semantic_starter": answer("semantic_starter", [x])}
        )
        for k, (fake, source, x) in enumerate(zip(truth, sources, logits))
    ]


def test_what_one_source_teaches_is_tried_on_others_alone() -> None:
    """All reals of one source and all fakes of another: without either there is nothing to learn from."""
    truth = np.arange(40) % 2 == 1
    fitted = fit(of_sources(truth, ["fakes" if fake else "reals" for fake in truth], 8.0 * truth - 4),
                 "semantic_starter")  # fmt: skip
    assert fitted.auc.low == 1.0
    assert fitted.gain == pytest.approx(0, abs=1e-12)
    assert fitted.calibrator.uninformative


def test_too_few_clips_to_be_sure_fall_silent_however_well_they_fit() -> None:
    truth = np.arange(20) % 2 == 1
    logits = np.random.default_rng(5).normal(0.9 * truth - 0.45, 1)
    fitted = fit(of_sources(truth, [str(k // 2) for k in range(20)], logits), "semantic_starter")
    assert fitted.gain > 0
    assert fitted.auc.low <= 0.5
    assert fitted.calibrator.uninformative


def test_a_model_that_separates_speaks() -> None:
    truth, logits = drawn(200, 1.0, 0.0)
    fitted = fit(rows("audio_starter", truth, [[x] for x in logits]), "audio_starter")
    assert not fitted.calibrator.uninformative
    assert fitted.auc.low > 0.5
    assert fitted.gain > 0


def fused_table(seed: int, one_sided: bool) -> fusion_fit.Table:
    """Clips whose fakes show in one of two layers, or, where not one-sided, in both alike."""
    rng = np.random.default_rng(seed)
    truth = np.arange(400) % 2 == 1
    shown = np.stack([truth & (np.arange(400) % 4 < 2), truth & (np.arange(400) % 4 >= 2)], axis=1)
    shown = shown if one_sided else np.stack([truth, truth], axis=1)
    logits = rng.normal(np.where(shown, 2.0, -2.0), 2.0)
    scores = np.full((400, 4), np.nan)
    scores[:, :2] = 1 / (1 + np.exp(-logits))
    return fusion_fit.Table(scores, np.ones((400, 4), bool), truth, np.arange(400) % 8)


TWO = np.array([True, True, False, False])


@pytest.mark.parametrize("one_sided", [True, False])
def test_a_layer_sees_the_share_of_the_fakes_that_show_in_it(one_sided: bool) -> None:
    fitted = fusion_fit.fit(fused_table(0, one_sided), TWO)
    assert (fitted.sees[2:] == 0).all()
    wanted = 0.5 if one_sided else 0.95
    assert fitted.sees[:2] == pytest.approx([wanted, wanted], abs=0.17)


def test_of_a_layers_several_models_the_mean_counts_and_silent_ones_do_not() -> None:
    truth, logits = drawn(400, 1.0, 0.0)
    first, second = "semantic_starter", "semantic_clip_vitl14"
    noise = np.random.default_rng(1).normal(0, 1, len(logits))
    clips = [
        replace(row, outputs={**row.outputs, second: answer(second, [x + y])} if k % 2 else row.outputs)
        for k, (row, x, y) in enumerate(zip(rows(first, truth, [[x] for x in logits]), logits, noise))
    ]
    fits = {model: fit([row for row in clips if model in row.outputs], model) for model in (first, second)}
    models: dict[str, list[str]] = {layer.name: [first, second] if layer.name == "semantic" else [] for layer in LAYERS}
    both = fusion_fit.table(clips, models, fits).scores[:, 3]
    alone = fusion_fit.table(clips, {**models, "semantic": [first]}, fits).scores[:, 3]
    assert both[0] == alone[0]  # the other was not asked
    assert both[1] == pytest.approx((alone[1] + fits[second].held_out[0]) / 2)
    silent = replace(fits[second], calibrator=Calibrator(np.inf, 0.0))
    assert (fusion_fit.table(clips, models, {**fits, second: silent}).scores[:, 3] == alone).all()


def test_a_layer_that_guesses_is_not_heard() -> None:
    data = fused_table(0, one_sided=False)
    data.scores[:, 1] = np.random.default_rng(1).random(400)
    sees = fusion_fit.fit(data, TWO).sees
    assert sees[1] < 0.2 < sees[0]


def test_the_only_layer_is_believed_as_it_was_calibrated() -> None:
    data = fused_table(0, one_sided=False)
    data.scores[:, 1] = np.nan
    fitted = fusion_fit.fit(data, TWO)
    assert (fitted.sees[0], fitted.strength) == (1.0, 1.0)
    assert fitted(data) == pytest.approx(data.scores[:, 0], abs=1e-4)


def test_what_is_measured_was_fitted_without_its_group() -> None:
    """The fakes of one source are called the other way round by the layer: what the others taught is wrong there."""
    data = fused_table(0, one_sided=False)
    odd = data.groups == 1
    data.scores[odd] = 1 - data.scores[odd]
    apart = fusion_fit.candidate(data, TWO).held_out
    assert np.mean(apart[odd & data.fakes]) < 0.3
    assert np.mean(apart[~odd & data.fakes]) > 0.8


def test_clips_of_a_source_and_fakes_of_a_maker_are_held_out_together() -> None:
    named = [("a", ""), ("a", "Wav2Lip"), ("b", "Wav2Lip"), ("c", ""), ("d", "SimSwap"), ("d", "")]
    clips = [
        LabelledClip(str(k), "video", bool(maker), source, "", FILM, {}, maker)
        for k, (source, maker) in enumerate(named)
    ]
    of = groups(clips)
    assert of[0] == of[1] == of[2]
    assert of[4] == of[5]
    assert len({of[0], of[3], of[4]}) == 3


@pytest.mark.parametrize(
    ("kind", "how", "told"),
    [
        ("video", "desync", ["lipsync"]),
        ("video", "audio shifted by 8 frames", ["lipsync"]),
        ("video", "own mouth painted, dubbed", ["visual", "lipsync"]),
        ("video", "faceswap", ["visual"]),
        ("video", "SadTalker", ["visual", "lipsync", "semantic"]),
        ("video", "own machine voice", []),
        ("video", "FaceShifter", ["visual", "lipsync", "semantic"]),
        ("audio", "", ["audio"]),
        ("images", "", ["visual", "lipsync", "semantic"]),
        ("images", "FLUX text-to-image", ["visual", "semantic"]),
    ],
)
def test_a_clip_is_fitted_on_by_the_layers_that_its_label_tells_of(kind: str, how: str, told: list[str]) -> None:
    clip = LabelledClip("1", kind, True, "s", how, FILM, {})
    assert [layer for layer in ("audio", "visual", "lipsync", "semantic") if clip.is_evidence_for(layer)] == told
