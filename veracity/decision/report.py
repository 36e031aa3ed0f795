"""The verdict, put together from the evidence and the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from veracity.decision import wording
from veracity.decision.decision import Decision
from veracity.decision.evidence import Evidence, ScoredLayer
from veracity.decision.places import in_picture
from veracity.decision.scoring import IS_FAKE, worst
from veracity.evidence.faces import Track
from veracity_client.explanation import Explanation
from veracity_client.verdict import Face, FaceBox, InputInfo, Policy, Profile, Span, Verdict


def verdict(
    evidence: Evidence,
    decision: Decision,
    *,
    video_id: str,
    policy: Policy,
    profile: Profile,
    seconds: float,
    explanation: Explanation | None = None,
) -> Verdict:
    """Return the document that a client gets; ``seconds`` is how long the analysis took."""
    if evidence.input is None:
        raise ValueError("the input is not known yet")
    results, label = evidence.results, decision.label
    return Verdict(
        video_id=video_id,
        final_verdict=IS_FAKE[label],
        label=label,
        fake_probability=decision.fake_probability,
        confidence=decision.confidence,
        reasoning=wording.sentence(
            label,
            decision.fake_probability,
            results,
            decision.inconclusive,
            evidence.read_warnings,
            by_voice=decision.by_voice,
        )
        + wording.examined_tracks(evidence.input),
        layers_executed=tuple(int(key[0]) for key, result in results.items() if result.status == "scored"),
        layer_results=results,
        timeline={key: layer.spans for key, layer in sorted(evidence.layers.items()) if layer.spans},
        faces=_faces(evidence.faces or (), evidence.layers, evidence.input),
        policy=policy,
        profile=profile,
        thresholds=decision.thresholds,
        calibrated=decision.calibrated,
        degraded=bool(decision.degraded),
        input=evidence.input,
        timings={name: round(spent, 3) for name, spent in evidence.timings.items()},
        processing_time=round(seconds, 3),
        degraded_reasons=decision.degraded,
        inconclusive_reason=decision.inconclusive,
        operating_point=decision.operating_point,
        rates=decision.rates,
        likelihood_ratio=decision.likelihood_ratio,
        explanation=explanation,
    )


def _faces(followed: Sequence[Track], layers: Mapping[str, ScoredLayer], info: InputInfo) -> tuple[Face, ...]:
    scores: dict[int, list[Span]] = {}
    for layer in layers.values():
        for face, spans in (layer.faces or {}).items() if layer.result.weight else ():
            scores.setdefault(face, []).extend(spans)
    return tuple(_face(track, scores.get(track.id, []), info) for track in followed)


def _face(track: Track, spans: Sequence[Span], info: InputInfo) -> Face:
    boxes = (FaceBox(round(t, 3), in_picture(d.box, info)) for t, d in zip(track.times, track.detections))
    mean = round(sum(s.score for s in spans) / len(spans), 4) if spans else None
    return Face(track.id, round(track.times[0], 3), round(track.times[-1], 3), mean, tuple(boxes), worst(spans))
