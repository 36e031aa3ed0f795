"""From evidence to a label: a pure function, without clock, files or models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from veracity.catalog import LAYERS
from veracity.catalog.layers import FileKind, kind_of_file
from veracity.decision import wording
from veracity.decision.calibration import Calibration
from veracity.decision.evidence import Evidence
from veracity.decision.fusion import EVEN, SUREST, needed
from veracity.decision.scoring import (
    AUDIO,
    Judgement,
    fake_part,
    judge,
    label_is_decided,
    likelihood_ratio,
    threshold_label,
)
from veracity_client.reasons import Reason
from veracity_client.verdict import Label, LayerResult, LikelihoodRatio, OperatingPoint, Policy, Rates, Thresholds

# P(fake) of the voice; below it frames are always decoded, however well the voice measured
LOWEST_FAIL_FAST_THRESHOLD = 0.90


@dataclass(frozen=True)
class Decision:
    """``fake_probability`` is None where nothing that carries weight scored; ``inconclusive`` says why, if it is.

    ``by_voice`` where a film is judged by its voice alone, as a sound file: thresholds, rates and ratio are those.
    """

    label: Label
    fake_probability: float | None
    confidence: float
    thresholds: Thresholds | None
    operating_point: OperatingPoint
    rates: Rates | None
    likelihood_ratio: LikelihoodRatio | None
    by_voice: bool
    calibrated: bool
    inconclusive: Reason | None
    degraded: tuple[Reason, ...]


def decide(evidence: Evidence, calibration: Calibration, *, timing_only: bool = False) -> Decision:
    """Decide on all layers' results. ``timing_only`` is profile ``bench``, whose scores are never judged."""
    results, tracks = evidence.results, evidence.tracks or ()
    judged = judge(results, tracks, calibration)
    found, probability, by = judged.label, judged.fake_probability, judged.calibration
    why = _why_inconclusive(results, judged, kind_of_file(tracks)) if found == "inconclusive" else None
    if found == "real" and (part := fake_part(evidence.layers, calibration)):
        found, why = "inconclusive", wording.part_fake(*part)
    if timing_only:
        found, probability, why = "inconclusive", None, wording.reason("untrained", why=wording.TIMED_ONLY)
    scored = [result for result in results.values() if result.status == "scored"]
    return Decision(
        label=found,
        fake_probability=None if probability is None else round(probability, 4),
        confidence=_confidence(found, probability),
        thresholds=by.thresholds,
        operating_point=by.operating_point,
        rates=by.rates,
        likelihood_ratio=likelihood_ratio(probability, by),
        by_voice=by is not calibration,
        calibrated=bool(scored) and calibration.is_calibrated(m.name for r in scored for m in r.models),
        inconclusive=why,
        degraded=_degraded(evidence),
    )


def reason_to_stop(
    results: Mapping[str, LayerResult], tracks: Sequence[str], calibration: Calibration, policy: Policy
) -> Reason | None:
    """Return why the layers that are not in ``results`` need not be scored; None where they must be."""
    unlabelled = calibration.thresholds in (None, Thresholds(None, None))
    if unlabelled and judge(results, tracks, calibration).label == "inconclusive":
        return None  # no label is at stake, and every layer's score may be wanted
    voice = results.get(AUDIO.key)
    score = voice.fake_probability if voice else None
    if policy == "fail_fast" and voice and score is not None and score >= fail_fast_threshold(calibration):
        unsure = "" if calibration.is_calibrated(m.name for m in voice.models) else ", uncalibrated"
        return wording.reason("not_needed", why=f"the voice alone reached {score:.2f}{unsure}", policy=policy)
    pending = {layer.key: calibration.sees(layer.name) for layer in LAYERS if layer.key not in results}
    if policy == "decided" and label_is_decided(results, pending, tracks, calibration):
        return wording.reason("not_needed", why="it could not change the label", policy=policy)
    return None


def fail_fast_threshold(calibration: Calibration) -> float:
    """Return P(fake) of the voice from which on it makes a film fake by itself, at least LOWEST_FAIL_FAST_THRESHOLD.

    Infinite where it never does, neither beside silent other layers nor as a sound file.
    """
    voice = calibration.of_the_voice()
    least = min(_least_voice(calibration), math.inf if voice is None else _least_voice(voice))
    return max(least, LOWEST_FAIL_FAST_THRESHOLD)


def _least_voice(calibration: Calibration) -> float:
    bounds, fused = calibration.thresholds, calibration.fusion
    if bounds is None or fused is None or bounds.fake is None:
        return math.inf
    least = needed(fused.sees[AUDIO.name], fused.strength, bounds.fake)
    return least if least < 1 - SUREST else math.inf


def _why_inconclusive(results: Mapping[str, LayerResult], judged: Judgement, kind: FileKind) -> Reason:
    probability, calibration = judged.fake_probability, judged.calibration
    if probability is None:
        return wording.reason("nothing_scored")
    if calibration.outside:
        return wording.reason("out_of_domain", why=calibration.outside)
    thresholds = calibration.thresholds
    if thresholds is None or calibration.fusion is None:
        scored = (model.name for layer in LAYERS for model in results[layer.key].models)
        return wording.reason("uncalibrated", models=", ".join(dict.fromkeys(scored)))
    if threshold_label(probability, thresholds) != "inconclusive":
        return wording.reason("evidence_too_weak", share=judged.share)
    nearer: Label = "fake" if probability >= EVEN else "real"
    if (thresholds.fake if nearer == "fake" else thresholds.real) is None:
        return wording.not_supported(kind, nearer, calibration.operating_point, calibration.fusion)
    fake, real = (
        ", ".join(
            layer.looks_at for layer in LAYERS if (result := results[layer.key]).weight and result.is_fake is word
        )
        for word in (True, False)
    )
    if fake and real:
        return wording.reason("evidence_conflicts", fake=fake, real=real)
    return wording.between(probability, thresholds)


def _degraded(evidence: Evidence) -> tuple[Reason, ...]:
    """Return what would have been in the verdict if all had gone well: layers, models, parts of the file."""
    failed = [layer for layer in LAYERS if (found := evidence.results.get(layer.key)) and found.status == "failed"]
    layers = [
        wording.of_layer(layer, Reason(result.code or "model_failed", result.reason))
        for layer in failed
        for result in [evidence.results[layer.key]]
    ]
    return (*layers, *evidence.unanswered.values(), *evidence.read_warnings)


def _confidence(found: Label, probability: float | None) -> float:
    if probability is None or found == "inconclusive":
        return 0.0
    return round(probability if found == "fake" else 1.0 - probability, 4)
