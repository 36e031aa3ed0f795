"""From logits to words: calibrate, fuse, judge, and say why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from veracity.catalog import LAYERS, Layer
from veracity.decision import fusion
from veracity.decision.calibration import Calibration
from veracity.evidence.detector import detector
from veracity.evidence.requests import ModelOutput
from veracity_client.verdict import FrameScore, Label, LayerResult, ModelInfo, Span, Status, Thresholds

WORST = 3  # moments named
SILENT = "measured and silent: it does not separate real from fake, and weighs nothing"
IS_FAKE: Mapping[Label, bool | None] = {"fake": True, "real": False, "inconclusive": None}


@dataclass(frozen=True)
class ScoredLayer:
    """A layer's result with its timeline and the scores of each face."""

    result: LayerResult
    spans: tuple[Span, ...] = ()
    faces: Mapping[int, tuple[Span, ...]] | None = None


def unscored(status: Status, reason: str, weight: float) -> ScoredLayer:
    """Return the result of a layer that did not score."""
    return ScoredLayer(LayerResult(status, reason, weight, None, None, None, reason))


def score_layer(
    layer: Layer,
    answers: Sequence[tuple[ModelOutput, float]],
    calibration: Calibration,
    infos: Sequence[ModelInfo],
    notes: Sequence[str] = (),
) -> ScoredLayer:
    """Turn the answers of a layer's models, each with its weight, into one result; ``notes`` end its reasoning.

    A model that is silent weighs nothing among others; the timeline is the first one's that speaks.
    """
    asked = [answer.model for answer, _ in answers]
    silent = calibration.uninformative(asked)
    heard = [pair for pair in answers if silent or not calibration.calibrator(pair[0].model).uninformative]
    each = [detector(answer.model).pool(answer, calibration.calibrator(answer.model)) for answer, _ in heard]
    probability = _round(float(np.average(each, weights=[weight for _, weight in heard])))
    first = heard[0][0]
    scores = calibration.calibrator(first.model)(first.logits)
    spans = _spans(first, scores)
    bounds, sure = calibration.standalone_thresholds(asked), calibration.is_calibrated(asked)
    words = (f"{layer.looks_at}: {SILENT}" if silent else
             _layer_words(layer, probability, bounds, spans, len(first.items), sure))  # fmt: skip
    explained = [detector(answer.model).explain(answer) for answer, _ in answers]
    unheard = [f"{model} is {SILENT}" for model in asked if not silent and calibration.calibrator(model).uninformative]
    agreement = 1.0 - (max(each) - min(each)) if len(each) > 1 else None
    result = LayerResult(
        status="scored",
        reason="",
        weight=0.0 if silent else calibration.weights[layer.name],
        is_fake=None if silent else IS_FAKE[threshold_label(probability, bounds)],
        confidence=_round(max(probability, 1.0 - probability)),
        fake_probability=probability,
        reasoning="; ".join(filter(None, (words, *explained, *unheard, *notes))),
        models=tuple(infos),
        agreement=None if agreement is None else _round(agreement),
        frame_scores=_frame_scores(first, scores) if layer.name == "visual" else None,
        mismatch_score=probability if layer.name == "lipsync" else None,
        generative_signature=probability if layer.name == "semantic" else None,
    )
    return ScoredLayer(result, spans, _face_spans(first, scores))


def _spans(answer: ModelOutput, scores: NDArray[np.float64]) -> tuple[Span, ...]:
    """Return one span a time, in order; of several faces at one time the highest score counts."""
    best: dict[tuple[float, float], float] = {}
    for item, score in zip(answer.items, scores):
        key = (item.start, item.end)
        best[key] = max(best.get(key, 0.0), float(score))
    return tuple(Span(round(a, 3), round(b, 3), _round(s)) for (a, b), s in sorted(best.items()))


def _frame_scores(answer: ModelOutput, scores: NDArray[np.float64]) -> tuple[FrameScore, ...]:
    pairs = zip(answer.items, scores)
    return tuple(FrameScore(round(i.start, 3), -1 if i.face is None else i.face, _round(float(s))) for i, s in pairs)


def _face_spans(answer: ModelOutput, scores: NDArray[np.float64]) -> dict[int, tuple[Span, ...]]:
    faces: dict[int, list[Span]] = defaultdict(list)
    for item, score in zip(answer.items, scores):
        if item.face is not None:
            faces[item.face].append(Span(round(item.start, 3), round(item.end, 3), _round(float(score))))
    return {face: tuple(spans) for face, spans in faces.items()}


def worst(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the highest-scoring spans, highest first."""
    return tuple(sorted(spans, key=lambda span: (-span.score, span.start))[:WORST])


def _layer_words(layer: Layer, probability: float, bounds: Thresholds, spans: Sequence[Span], items: int,
                 sure: bool) -> str:  # fmt: skip
    top = worst(spans)[0]
    finding = {"fake": "manipulated", "real": "genuine", "inconclusive": "unclear"}
    word = finding[threshold_label(probability, bounds)]
    where = f"highest {top.score:.2f} at {top.start:.2f}–{top.end:.2f} s"
    score = f"P(fake) {probability:.2f}" + ("" if sure else " (uncalibrated)")
    return f"{layer.looks_at}: {word}, {score} over {items} samples, {where}"


def threshold_label(probability: float, bounds: Thresholds) -> Label:
    """Compare a probability with the thresholds."""
    if probability >= bounds.fake:
        return "fake"
    return "real" if probability <= bounds.real else "inconclusive"


def _able(results: Mapping[str, LayerResult], tracks: Sequence[str]) -> list[LayerResult]:
    """Return what was said by the layers whose kind of track (audio, video) the file has."""
    return [results[layer.key] for layer in LAYERS if layer.about in tracks]


def judging(results: Mapping[str, LayerResult], tracks: Sequence[str], calibration: Calibration) -> Calibration:
    """Return the calibration with the thresholds that hold for a file: those of films, of what several layers said.

    Where one layer alone could look, at a sound file, they are its own model's, so that it and the verdict agree.
    """
    weighty = [result for result in _able(results, tracks) if result.weight]
    if len(weighty) != 1:
        return calibration
    return replace(calibration, thresholds=calibration.standalone_thresholds(model.name for model in weighty[0].models))


def fuse(results: Mapping[str, LayerResult], tracks: Sequence[str], calibration: Calibration) -> float | None:
    """Return P(fake) of what the layers said together, by the calibration's rule; None where no weight scored.

    Layers whose kind of track the file has not count as if there were none of them.
    """
    able = _able(results, tracks)
    scores = [np.nan if r.fake_probability is None else r.fake_probability for r in able]
    weights = np.array([r.weight for r in able], np.float64)
    (fused,) = fusion.fused(calibration.rule, np.array([scores], np.float64), weights, calibration.strength)
    return None if np.isnan(fused) else float(fused)


def label(probability: float | None, share: float, calibration: Calibration) -> Label:
    """Return the verdict's label: the thresholds', unless ``share`` of the evidence is too little for it."""
    if probability is None:
        return "inconclusive"
    word = threshold_label(probability, calibration.thresholds)
    needed = {"fake": calibration.evidence_fake, "real": calibration.evidence_real, "inconclusive": 0.0}[word]
    return word if share >= needed else "inconclusive"


def evidence(results: Mapping[str, LayerResult], tracks: Sequence[str], calibration: Calibration) -> float:
    """Return the share of the evidence that was weighed, of what the file's tracks (audio, video) could have shown.

    A layer without weight looked and sees nothing: as if it had not looked.
    """
    shares = {layer.key: calibration.evidence_weights[layer.name] for layer in LAYERS if layer.about in tracks}
    weighed = sum(s for key, s in shares.items() if results[key].status == "scored" and results[key].weight)
    total = sum(shares.values())
    return weighed / total if total else 0.0


def label_is_decided(results: Mapping[str, LayerResult], waiting: Mapping[str, float], tracks: Sequence[str],
            calibration: Calibration) -> bool:  # fmt: skip
    """Return whether no answer of the ``waiting`` layers (key → weight) could change the label any more."""
    if not waiting:
        return True

    def outcome(score: float | None) -> Label:
        final = dict(results)
        for key, weight in waiting.items():
            status: Status = "abstained" if score is None else "scored"
            final[key] = LayerResult(status, "", weight, None, None, score, "")
        judged = judging(final, tracks, calibration)
        return label(fuse(final, tracks, judged), evidence(final, tracks, judged), judged)

    # every rule of fusion rises with every score, and the evidence with every layer: all else lies between these
    return len({outcome(0.0), outcome(1.0), outcome(None)}) == 1


def _round(value: float) -> float:
    return round(float(value), 4)


def rounded(timings: Mapping[str, float]) -> dict[str, float]:
    """Return timings in seconds to the millisecond."""
    return {name: round(seconds, 3) for name, seconds in timings.items()}
