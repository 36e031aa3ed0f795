"""From the models' logits to a score for each layer, and from those to one probability and a label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from veracity.catalog import LAYERS, Layer
from veracity.catalog.provenance import NOTHING
from veracity.decision import fusion, wording
from veracity.decision.calibration import Calibration
from veracity.decision.evidence import ScoredLayer
from veracity.evidence import coverage
from veracity.evidence.detector import detector
from veracity.evidence.requests import ModelOutput
from veracity_client.reasons import Reason
from veracity_client.verdict import (
    FrameScore,
    Label,
    LayerResult,
    LikelihoodRatio,
    ModelInfo,
    Span,
    Status,
    Thresholds,
)

AUDIO = LAYERS[0]
WORST = 3  # moments named
PART = 2  # samples in a row
IS_FAKE: Mapping[Label, bool | None] = {"fake": True, "real": False, "inconclusive": None}


def unscored(status: Status, reason: Reason, weight: float) -> ScoredLayer:
    """Return the result of a layer that did not score."""
    return ScoredLayer(LayerResult(status, reason.text, weight, None, None, None, reason.text, code=reason.code))


def score_layer(
    layer: Layer,
    outputs: Sequence[tuple[ModelOutput, float]],
    calibration: Calibration,
    infos: Sequence[ModelInfo],
    notes: Sequence[str] = (),
    seconds: float | None = None,
) -> ScoredLayer:
    """Turn the outputs of a layer's models, each with its weight, into one result; ``notes`` end its reasoning.

    ``seconds`` is how long its kind of track lasts: the result then says how much of it was examined.

    An uninformative model weighs nothing among others; the timeline is the first informative one's. What the quality of
    a sample explains is taken off before all else.
    """
    models = [output.model for output, _ in outputs]
    outputs = [(calibration.calibrator(o.model).of_quality_alike(o), weight) for o, weight in outputs]
    uninformative = calibration.uninformative(models)
    informative = [pair for pair in outputs if uninformative or not calibration.calibrator(pair[0].model).uninformative]
    each = [detector(o.model).pool(o.spread, calibration.calibrator(o.model)) for o, _ in informative]
    probability = _round(float(np.average(each, weights=[weight for _, weight in informative])))
    first = informative[0][0]
    scores = calibration.calibrator(first.model)(first.logits)
    spans = _spans(first, scores)
    label = threshold_label(probability, calibration.standalone_thresholds(models))
    if uninformative:
        finding = [wording.uninformative_layer(layer)]
    else:
        sure, without_weight = calibration.is_calibrated(models), set(models) - {o.model for o, _ in informative}
        finding = [
            wording.layer_score(layer, label, probability, worst(spans)[0], _counts(first), calibrated=sure),
            *(wording.uninformative(model) for model in models if model in without_weight),
        ]
    explained = [detector(output.model).explain(output) for output, _ in outputs]
    examined = None if seconds is None else coverage.measure(layer.name, _times(first), seconds)
    examination = [] if examined is None else [f"examined: {coverage.words(layer.name, examined)}"]
    result = LayerResult(
        status="scored",
        reason="",
        weight=0.0 if uninformative else calibration.sees(layer.name),
        is_fake=None if uninformative else IS_FAKE[label],
        confidence=_round(max(probability, 1.0 - probability)),
        fake_probability=probability,
        reasoning="; ".join(filter(None, (*finding, *explained, *notes, *examination))),
        models=tuple(infos),
        agreement=_round(1.0 - (max(each) - min(each))) if len(each) > 1 else None,
        frame_scores=_frame_scores(first, scores) if layer.name == "visual" else None,
        mismatch_score=probability if layer.name == "lipsync" else None,
        generative_signature=probability if layer.name == "semantic" else None,
        coverage=examined,
    )
    return ScoredLayer(_not_judged_if_untrained(result), spans, _face_spans(first, scores), first.model)


def _not_judged_if_untrained(result: LayerResult) -> LayerResult:
    """Return the result; where weights are made up its score stays, as it was timed, and nothing is concluded."""
    made_up = [model.name for model in result.models if model.trained_on == NOTHING]
    if not made_up:
        return result
    return replace(result, is_fake=None, confidence=0.0, reasoning=wording.made_up_weights(made_up))


def _counts(output: ModelOutput) -> tuple[int, int]:
    """Return how many samples count for the clip, and how many more were taken near the highest of them."""
    near = sum(item.near for item in output.items)
    return len(output.items) - near, near


def _times(output: ModelOutput) -> list[tuple[float, float]]:
    return [(item.start, item.end) for item in output.items]


def _spans(output: ModelOutput, scores: NDArray[np.float64]) -> tuple[Span, ...]:
    """Return one span a time, in order; of several faces at one time the highest score counts."""
    best: dict[tuple[float, float], float] = {}
    for item, score in zip(output.items, scores):
        key = (item.start, item.end)
        best[key] = max(best.get(key, 0.0), float(score))
    return tuple(Span(round(a, 3), round(b, 3), _round(s)) for (a, b), s in sorted(best.items()))


def _frame_scores(output: ModelOutput, scores: NDArray[np.float64]) -> tuple[FrameScore, ...]:
    pairs = zip(output.items, scores)
    return tuple(FrameScore(round(i.start, 3), -1 if i.face is None else i.face, _round(float(s))) for i, s in pairs)


def _face_spans(output: ModelOutput, scores: NDArray[np.float64]) -> dict[int, tuple[Span, ...]]:
    faces: dict[int, list[Span]] = defaultdict(list)
    for item, score in zip(output.items, scores):
        if item.face is not None:
            faces[item.face].append(Span(round(item.start, 3), round(item.end, 3), _round(float(score))))
    return {face: tuple(spans) for face, spans in faces.items()}


def worst(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the highest-scoring spans, highest first."""
    return tuple(sorted(spans, key=lambda span: (-span.score, span.start))[:WORST])


def fake_part(layers: Mapping[str, ScoredLayer], calibration: Calibration) -> tuple[Layer, Span] | None:
    """Return the first layer of which a part alone would be fake, by its own threshold, and its worst part.

    A part is PART samples in a row, the mean of their log odds: one sample of many is high by chance.
    """
    for layer in LAYERS:
        scored = layers.get(layer.key)
        if scored is None or not scored.result.weight:
            continue
        own = calibration.standalone_thresholds([model.name for model in scored.result.models])
        part = _worst_part(scored.spans)
        if own and own.fake is not None and part and part.score >= own.fake:
            return layer, part
    return None


def _worst_part(spans: Sequence[Span]) -> Span | None:
    chances = fusion.log_odds(np.array([span.score for span in spans], np.float64))
    parts = [
        Span(spans[k].start, spans[k + PART - 1].end, _round(float(fusion.probability(chances[k : k + PART].mean()))))
        for k in range(len(spans) - PART + 1)
    ]
    return max(parts, key=lambda part: part.score, default=None)


def threshold_label(probability: float, thresholds: Thresholds | None) -> Label:
    """Compare a probability with the thresholds; without any there is no label."""
    if thresholds is None:
        return "inconclusive"
    if thresholds.fake is not None and probability >= thresholds.fake:
        return "fake"
    return "real" if thresholds.real is not None and probability <= thresholds.real else "inconclusive"


def fuse(results: Mapping[str, LayerResult], calibration: Calibration) -> float | None:
    """Return P(fake) of all layers together; None where nothing with weight scored."""
    scores = np.array([[_score(results.get(layer.key)) for layer in LAYERS]], np.float64)
    sees = np.array([result.weight if (result := results.get(layer.key)) else 0.0 for layer in LAYERS])
    strength = 1.0 if calibration.fusion is None else calibration.fusion.strength
    (fused,) = fusion.fused(scores, sees, strength)
    return None if np.isnan(fused) else float(fused)


def _score(result: LayerResult | None) -> float:
    return np.nan if result is None or result.fake_probability is None else result.fake_probability


def label(probability: float | None, share: float, calibration: Calibration) -> Label:
    """Return the label: the thresholds', unless ``share`` of the evidence is too little for it."""
    if probability is None:
        return "inconclusive"
    found = threshold_label(probability, calibration.thresholds)
    needed = {"fake": calibration.evidence_fake, "real": calibration.evidence_real, "inconclusive": 0.0}[found]
    return found if share >= needed else "inconclusive"


@dataclass(frozen=True)
class Judgement:
    """A label, the P(fake) that it rests on, the share of the evidence, and the calibration that it was judged by."""

    label: Label
    fake_probability: float | None
    share: float
    calibration: Calibration


def judge(results: Mapping[str, LayerResult], tracks: Sequence[str], calibration: Calibration) -> Judgement:
    """Judge a file by all its layers; or a film by its voice alone, where that would be fake as a sound file.

    Many more synthetic voices were measured than films that have one, and a film with one is fake whatever it shows.
    """
    whole = _judged(results, tracks, calibration)
    voice, heard = calibration.of_the_voice(), results.get(AUDIO.key)
    if whole.label == "fake" or voice is None or heard is None:
        return whole
    alone = _judged({AUDIO.key: replace(heard, weight=voice.sees(AUDIO.name))}, tracks, voice)
    return alone if alone.label == "fake" else whole


def _judged(results: Mapping[str, LayerResult], tracks: Sequence[str], calibration: Calibration) -> Judgement:
    probability, share = fuse(results, calibration), evidence_share(results, tracks, calibration)
    return Judgement(label(probability, share, calibration), probability, share, calibration)


def evidence_share(results: Mapping[str, LayerResult], tracks: Sequence[str], calibration: Calibration) -> float:
    """Return the share of the evidence that was weighed, of all that the file's tracks could give.

    A layer that scored without weight counts as if it had not scored.
    """
    shares = {layer.key: calibration.evidence_weights[layer.name] for layer in LAYERS if layer.about in tracks}
    scored = {key for key, result in results.items() if result.status == "scored" and result.weight}
    total = sum(shares.values())
    return sum(share for key, share in shares.items() if key in scored) / total if total else 0.0


def label_is_decided(
    results: Mapping[str, LayerResult],
    pending: Mapping[str, float],
    tracks: Sequence[str],
    calibration: Calibration,
) -> bool:
    """Return whether no score of the ``pending`` layers (key → weight) could change the label any more."""
    if not pending:
        return True

    def outcome(score: float | None) -> Label:
        final = dict(results)
        for key, weight in pending.items():
            status: Status = "abstained" if score is None else "scored"
            final[key] = LayerResult(status, "", weight, None, None, score, "")
        return judge(final, tracks, calibration).label

    # the fused probability rises with every score, and the evidence with every layer: all else lies between these
    return len({outcome(0.0), outcome(1.0), outcome(None)}) == 1


def likelihood_ratio(probability: float | None, calibration: Calibration) -> LikelihoodRatio | None:
    """Return what the fused probability says of the two hypotheses, as far as the calibration's clips can tell.

    n clips of a kind do not show what happens to fewer than one in n + 1 of them, so that is the bound. Source: P.
    Vergeer et al., Numerical likelihood ratios outputted by LR systems are often based on extrapolation, 2016.
    """
    if probability is None or calibration.fusion is None or calibration.outside:
        return None
    low, high = -np.log10(calibration.fusion.fakes + 1), np.log10(calibration.fusion.reals + 1)
    log10 = float(np.clip(fusion.log_odds(np.array(probability)) / np.log(10), low, high))
    return LikelihoodRatio(round(log10, 2), round(float(low), 2), round(float(high), 2), wording.support(log10))


def _round(value: float) -> float:
    return round(float(value), 4)
