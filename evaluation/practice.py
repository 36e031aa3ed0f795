"""What forensic practice asks of a measurement, out of its scored clips: the key ``forensic`` of the JSON.

    {"measures": {output: [{"kind", "real", "fake", "sources", "figures", "by_source"}, …]},       all kinds, then each
     "attacks": {output: rates by kind of attack}, "fail_fast", "segments", "persons",
     "shortcuts": [a table a kind of file]}

What the clips do not tell is None, or has its reason under ``unmeasurable``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.aggregate import by, called, counts
from evaluation.attacks import attack_rates
from evaluation.forensic import FORENSIC, unsupported
from evaluation.outputs import LABELS, VERDICT, ScoredOutput, labels, scored_outputs
from evaluation.persons import persons
from evaluation.segments import IOUS, average_precision, proposals_of
from evaluation.selective import AURC, fail_fast
from evaluation.shortcuts import correlations, shortcuts
from veracity.calibrate import metrics
from veracity.calibrate.metrics import Measure, Unmeasurable
from veracity.calibrate.scores import ScoredClip
from veracity.catalog import LAYERS
from veracity.decision.calibration import Calibration
from veracity.decision.decision import fail_fast_threshold

ALL = "all"
MEASURES: dict[str, Measure] = {**FORENSIC, **AURC}
RESAMPLED: dict[str, Measure] = {"auc": metrics.auc, "eer": metrics.eer, **MEASURES}  # by source
FEWEST_SOURCES = 5  # with reals, and with fakes: of fewer an interval over sources says nothing


def practice(clips: Sequence[ScoredClip], calibration: Calibration) -> dict[str, Any]:
    """All of it, as JSON types."""
    outputs = scored_outputs(clips, calibration)
    verdict = next(output for output in outputs if output.name == VERDICT)
    return {
        "measures": {output.name: list(_measures(output, clips)) for output in outputs},
        "attacks": {output.name: _attacks(output, clips) for output in outputs},
        "fail_fast": _fail_fast(clips, calibration),
        "segments": _segments(clips),
        "persons": persons(clips, calibration),
        "shortcuts": [_shortcuts(kind, verdict, of) for kind, of in sorted(by(clips, _kind).items())],
    }


def _measures(output: ScoredOutput, clips: Sequence[ScoredClip]) -> Iterator[dict[str, Any]]:
    scored = output.scored(clips)
    kinds = by(scored, _kind)
    for kind, of in ({ALL: scored} | (dict(sorted(kinds.items())) if len(kinds) > 1 else {})).items():
        sources = [f"{one.source} {one.person}" for one in of]
        yield {
            "kind": kind,
            **counts(of),
            "sources": len(set(sources)),
            **_figures(output, of, None, MEASURES),
            "by_source": _few(of) or _figures(output, of, sources, RESAMPLED),
        }


def _figures(
    output: ScoredOutput, scored: Sequence[ScoredClip], groups: Sequence[str] | None, measures: Mapping[str, Measure]
) -> dict[str, Any]:
    """Each measure with its interval; None, and its reason under ``unsupported``, where the clips are too few."""
    why = {name: unsupported(name, counts(scored)["real"]) for name in measures}
    wanted = {name: measure for name, measure in measures.items() if not why[name]}
    try:
        truth, odds = labels(scored), output.scores(scored)
        found = metrics.figures(truth, odds, groups=groups, measures=wanted)
    except Unmeasurable as error:
        return {"figures": None, "unmeasurable": str(error)}
    figures = {name: found[name].to_dict() if name in found else None for name in measures}
    return {"figures": figures, "unsupported": {name: reason for name, reason in why.items() if reason}}


def _few(scored: Sequence[ScoredClip]) -> dict[str, Any] | None:
    """Why sources cannot be resampled; None where they can."""
    real, fake = (len({(one.source, one.person) for one in scored if one.label == label}) for label in (0, 1))
    if min(real, fake) >= FEWEST_SOURCES:
        return None
    return {"figures": None, "unmeasurable": f"takes {FEWEST_SOURCES} sources of reals and of fakes: {real} and {fake}"}


def _attacks(output: ScoredOutput, clips: Sequence[ScoredClip]) -> dict[str, Any] | None:
    fakes, reals = ([one for one in clips if one.label == label] for label in (1, 0))
    kinds = by(fakes, lambda one: one.how or "not stated")
    try:
        return attack_rates({how: called(output, of) for how, of in kinds.items()}, called(output, reals))
    except Unmeasurable:
        return None


def attacks_of(subject: Mapping[str, Any]) -> dict[str, Any]:
    """The same out of a subject's groups by method, which older results have as well. Raises Unmeasurable."""
    groups = [group for group in subject["by"]["how"] if group["label"] in LABELS]
    reals: dict[str, int] = {}
    for group in groups:
        for word, count in group["called"].items() if group["label"] == LABELS[0] else ():
            reals[word] = reals.get(word, 0) + count
    return attack_rates({group["how"]: group["called"] for group in groups if group["label"] == LABELS[1]}, reals)


def _fail_fast(clips: Sequence[ScoredClip], calibration: Calibration) -> dict[str, Any] | None:
    """Of the clips with sound and pictures: of others the voice is all, and nothing is saved."""
    voice = LAYERS[0].key
    films = [one for one in clips if one.error is None and {"audio", "video"} <= {*one.tracks}]
    threshold = fail_fast_threshold(calibration.for_file("film", "balanced"))
    if not films or not np.isfinite(threshold):
        return None
    given = [one.layers[voice].fake_probability if voice in one.layers else None for one in films]
    chances = [np.nan if probability is None else probability for probability in given]
    return {"films": len(films), **fail_fast(labels(films), chances, threshold)}


def _segments(clips: Sequence[ScoredClip]) -> dict[str, Any] | None:
    """Average precision of each layer on the clips whose fake seconds are stated, and on real ones of their kinds."""
    kinds = {one.kind for one in clips if one.fake_seconds}
    heard = [one for one in clips if one.error is None and one.kind in kinds]
    known = [one for one in heard if one.fake_seconds or not one.label]
    truth = {one.id: one.fake_seconds for one in known}
    if not any(truth.values()):
        return None
    found = {}
    for layer in LAYERS:
        proposals = [p for one in known for p in proposals_of(one.id, one.layers[layer.key].spans)]
        found[layer.key] = {f"ap_{least}": round(average_precision(proposals, truth, least), 4) for least in IOUS}
    return {**counts(known), "spans": sum(map(len, truth.values())), "layers": found}


def _shortcuts(kind: str, verdict: ScoredOutput, clips: Sequence[ScoredClip]) -> dict[str, Any]:
    """Each cue of one kind of file beside the verdict's AUC on the clips whose cues are recorded."""
    known = [one for one in verdict.scored(clips) if one.cues]
    about: dict[str, Any] = {"kind": kind, **counts(known)}
    if not known:
        return about | {"verdict": None, "unmeasurable": "no cues were recorded with these scores", "rows": []}
    truth, odds = labels(known), verdict.scores(known)
    try:
        auc = metrics.interval(metrics.auc, truth, odds).to_dict()
    except Unmeasurable as error:
        return about | {"verdict": None, "unmeasurable": str(error), "rows": []}
    cues = {name: [one.cues.get(name) for one in known] for name in sorted({key for one in known for key in one.cues})}
    rows = shortcuts(cues, truth)
    for row in rows:
        row["beats"] = bool(row["auc"]) and row["auc"]["value"] > auc["value"]
        row["spearman"] = correlations(cues[row["cue"]], odds.tolist(), truth)
    return about | {"verdict": auc, "rows": rows}


def _kind(one: ScoredClip) -> str:
    return one.kind
