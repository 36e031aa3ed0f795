"""The verdict of a finished run, put together."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from veracity.catalog import LAYERS
from veracity.catalog.provenance import NOTHING
from veracity.decision.calibration import Calibration
from veracity.decision.scoring import (
    IS_FAKE,
    ScoredLayer,
    evidence,
    fuse,
    judging,
    label,
    rounded,
    threshold_label,
    worst,
)
from veracity.evidence import coverage
from veracity.evidence.faces import Track
from veracity.media import Media, Probe
from veracity_client.verdict import Coverage, Face, FaceBox, InputInfo, Label, LayerName, LayerResult, Span, Verdict

if TYPE_CHECKING:
    from veracity.analysis.analysis import Analysis

UNTRAINED = "Untrained:"  # how whatever rests on made-up weights begins


def conclude(run: Analysis, video_id: str, media: Media, probe: Probe, tracks: Sequence[str],
             followed: Sequence[Track]) -> Verdict:  # fmt: skip
    """Fuse what the layers said and say it in the contract's words."""
    results = run.results
    calibration = judging(results, tracks, run.context.calibration)
    probability = fuse(results, tracks, calibration)
    share = evidence(results, tracks, calibration)
    word = label(probability, share, calibration)
    reasoning = sentence(word, probability, results, share, calibration)
    if run.context.measures_time:
        word, probability, reasoning = "inconclusive", None, _measured(results)
    scored = [r for r in results.values() if r.status == "scored"]
    return Verdict(
        video_id=video_id,
        final_verdict=IS_FAKE[word],
        label=word,
        fake_probability=None if probability is None else round(probability, 4),
        confidence=_confidence(word, probability),
        reasoning=reasoning + _damage(run) + _other_tracks(run, probe),
        layers_executed=tuple(int(key[0]) for key, r in results.items() if r.status == "scored"),
        layer_results=results,
        timeline={key: judged.spans for key, judged in sorted(run.judged.items()) if judged.spans},
        faces=_faces(followed, run.judged),
        policy=run.options.policy,
        profile=run.context.profile,
        thresholds=calibration.thresholds,
        calibrated=bool(scored) and calibration.is_calibrated(m.name for r in scored for m in r.models),
        degraded=bool(run.damage or run.missed) or any(r.status == "failed" for r in results.values()),
        input=_input(run, media, probe),
        timings=rounded(run.timings),
        processing_time=round(time.monotonic() - run.begun, 3),
    )


def sentence(word: Label, probability: float | None, results: Mapping[str, LayerResult], share: float,
             calibration: Calibration) -> str:  # fmt: skip
    """Say the verdict in a sentence or two that a person can use."""
    missing = _unseen(results)
    scored = [results[layer.key] for layer in LAYERS if results[layer.key].status == "scored"]
    said = "; ".join(r.reasoning for r in sorted(scored, key=lambda r: -(r.fake_probability or 0.0)))
    if probability is None:
        return f"Inconclusive: {said or 'no layer could score this file'}{missing}."
    opening = {"fake": "Fake", "real": "Real", "inconclusive": "Inconclusive"}[word]
    why = ""
    if word == "inconclusive" and threshold_label(probability, calibration.thresholds) != "inconclusive":
        why = f" only {share:.0%} of the evidence could be weighed;"
    return f"{opening} (P(fake) {probability:.2f}):{why} {said}{missing}."


def _unseen(results: Mapping[str, LayerResult]) -> str:
    """Name what was not looked at, a reason at a time; what to do about it stands in the layers' own reasons."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for layer in LAYERS:
        if results[layer.key].status != "scored":
            reasons[results[layer.key].reason.partition(": ")[0]].append(layer.looks_at)
    parts = [f"{', '.join(names)} ({reason})" for reason, names in reasons.items()]
    return "; not looked at: " + ", ".join(parts) if parts else ""


def without_judgement(judged: ScoredLayer) -> ScoredLayer:
    """Return what a layer said; where weights were made up its scores stay, as they were timed, and judge nothing."""
    result = judged.result
    made_up = [model.name for model in result.models if model.trained_on == NOTHING]
    if not made_up:
        return judged
    words = f"{UNTRAINED} {', '.join(made_up)} ran on made-up weights; the score means nothing"
    return replace(judged, result=replace(result, is_fake=None, confidence=0.0, reasoning=words))


def with_coverage(judged: ScoredLayer, layer: LayerName, examined: Coverage) -> ScoredLayer:
    """Return a layer's score with how much of the clip it rests on."""
    reasoning = f"{judged.result.reasoning}; examined: {coverage.words(layer, examined)}"
    return replace(judged, result=replace(judged.result, coverage=examined, reasoning=reasoning))


def _measured(results: Mapping[str, LayerResult]) -> str:
    """Say the verdict of the profile ``bench``, which judges nothing, be its models trained or not."""
    asked = [layer.looks_at for layer in LAYERS if results[layer.key].status == "scored"]
    return f"{UNTRAINED} the profile bench measures time and judges nothing; timed were {', '.join(asked) or 'none'}."


def _damage(run: Analysis) -> str:
    return f" The file could be read in part only: {'; '.join(run.damage)}." if run.damage else ""


def _other_tracks(run: Analysis, probe: Probe) -> str:
    """Say which of several tracks was examined, and which channel where not all of them were."""
    said = []
    if probe.video_tracks > 1 and probe.video:
        said.append(f"video track {probe.video.index} of 0 to {probe.video_tracks - 1} (video_track takes another one)")
    if run.audio_track is not None and len(probe.audio) > 1:
        said.append(f"sound track {run.audio_track} of 0 to {len(probe.audio) - 1} (audio_track takes another one)")
    if run.audio_channel is not None:
        said.append(f"channel {run.audio_channel} of the sound, which the mix of all would hide")
    return f" Examined: {'; '.join(said)}." if said else ""


def _confidence(word: Label, probability: float | None) -> float:
    if probability is None or word == "inconclusive":
        return 0.0
    return round(probability if word == "fake" else 1.0 - probability, 4)


def _input(run: Analysis, media: Media, probe: Probe) -> InputInfo:
    video, audio, order = probe.video, probe.audio, probe.audio_order
    track = run.audio_track if run.audio_track is not None else run.options.audio_track
    shown = track if track is not None else order[0] if order else 0
    codecs = {"video": video.codec} if video else {}
    return InputInfo(
        sha256=media.sha256,
        bytes=media.size,
        seconds=None if probe.seconds is None else round(probe.seconds, 3),
        resolution=f"{video.width}x{video.height}" if video and video.width else None,
        codecs=codecs | ({"audio": audio[shown].codec} if shown < len(audio) else {}),
        audio_tracks=len(audio),
        audio_track=run.audio_track,
        audio_channel=run.audio_channel,
        video_tracks=probe.video_tracks,
        video_track=video.index if video else None,
    )


def _faces(followed: Sequence[Track], judged: Mapping[str, ScoredLayer]) -> tuple[Face, ...]:
    scores: dict[int, list[Span]] = {}
    for layer in judged.values():
        for face, spans in (layer.faces or {}).items():
            scores.setdefault(face, []).extend(spans)
    return tuple(_face(track, scores.get(track.id, [])) for track in followed)


def _face(track: Track, spans: Sequence[Span]) -> Face:
    boxes = (FaceBox(round(t, 3), _box(d.box)) for t, d in zip(track.times, track.detections))
    mean = round(sum(s.score for s in spans) / len(spans), 4) if spans else None
    return Face(track.id, round(track.times[0], 3), round(track.times[-1], 3), mean, tuple(boxes), worst(spans))


def _box(box: Sequence[float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (round(float(v), 1) for v in box)
    return x0, y0, x1, y1
