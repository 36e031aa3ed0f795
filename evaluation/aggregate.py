"""Aggregates the scores of clips: per clip and per item, overall and by kind, source and method of forgery.

A clip without a score is counted with its reason, and takes part in no figure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from scipy.special import expit

from evaluation.outputs import LABELS, VERDICT, ScoredOutput, labels, log_odds, scored_outputs
from veracity.calibrate import metrics
from veracity.calibrate.metrics import MEASURES, Measure, Scores, Unmeasurable
from veracity.calibrate.scores import ScoredClip
from veracity.decision.calibration import Calibration
from veracity.decision.fusion import EVEN

# All measures by kind and source; only AUC by method of forgery, of which there are many.
_BY: dict[str, dict[str, Measure]] = {"kind": MEASURES, "source": MEASURES, "how": {"auc": metrics.auc}}
BOTH = "both"
NEITHER = "neither"
SILENT = "it is silent: P(fake) is 0.5 for every clip"


def aggregate(clips: Sequence[ScoredClip], calibration: Calibration) -> dict[str, Any]:
    """All figures, as JSON types; raises :class:`Unmeasurable` where not one clip could be analysed."""
    refuse_unheard(clips)
    return {
        "clips": counts(clips),
        "seconds": round(sum(one.seconds or 0 for one in clips), 1),
        "models": {name: sha for one in clips for name, sha in one.models.items()},
        "thresholds": {one.kind: asdict(one.thresholds) for one in clips if one.thresholds},
        "decided": decided(clips),
        "subjects": {output.name: measure(output, clips) for output in scored_outputs(clips, calibration)},
        "errors": [{"id": one.id, "label": LABELS[one.label], "error": one.error} for one in clips if one.error],
    }


def refuse_unheard(clips: Sequence[ScoredClip]) -> None:
    """Raises :class:`Unmeasurable` where not one clip could be analysed."""
    if all(one.error for one in clips):
        raise Unmeasurable(f"none of {len(clips)} clips could be analysed; the first: {clips[0].error}")


def measure(output: ScoredOutput, clips: Sequence[ScoredClip]) -> dict[str, Any]:
    """All figures of one output, overall and by group."""
    return {
        **brief(output, clips),
        "confusion": {word: called(output, [one for one in clips if LABELS[one.label] == word]) for word in LABELS},
        "items": _items(output, output.scored(clips)),
        "by": {of: list(_groups(output, clips, of, measures)) for of, measures in _BY.items()},
    }


def brief(output: ScoredOutput, clips: Sequence[ScoredClip]) -> dict[str, Any]:
    """The figures of one output over all clips, and the clips without a score."""
    silent = [one for one in clips if output.probability(one) is None]
    share = metrics.share([output.probability(one) is None for one in clips])
    return {
        "scored": counts(output.scored(clips)),
        "without_score": {**counts(silent), "share": share.to_dict()},
        "reasons": [{"reason": reason, **counts(of)} for reason, of in sorted(by(silent, output.silence).items())],
        **figures(output, output.scored(clips)),
    }


def figures(
    output: ScoredOutput, scored: Sequence[ScoredClip], measures: dict[str, Measure] = MEASURES
) -> dict[str, Any]:
    """The measures with their intervals over clips, or the reason why there are none."""
    return _figures([one.label for one in scored], output.scores(scored), None, measures)


def called(output: ScoredOutput, clips: Iterable[ScoredClip]) -> dict[str, int]:
    """How many clips got which label; the verdict has its own, layers are cut at one half."""
    return dict(Counter(_word(output, one) for one in clips))


def decided(clips: Sequence[ScoredClip]) -> dict[str, Any]:
    """On how many clips the verdict is fake or real, and how often it is wrong then."""
    words = [one for one in clips if one.predicted_label in LABELS]
    wrong = metrics.share([one.predicted_label != LABELS[one.label] for one in words]).to_dict() if words else None
    return {
        **counts(words),
        "inconclusive": metrics.share([one.predicted_label not in LABELS for one in clips]).to_dict(),
        "wrong": wrong,
    }


def _figures(
    truth: Sequence[int], odds: Scores, clips: Sequence[str] | None, measures: dict[str, Measure]
) -> dict[str, Any]:
    """Figures of labels and log odds [n]; ``clips`` [n] names the clips that are resampled as a whole."""
    if len(odds) and not odds.any():
        return {"figures": None, "unmeasurable": SILENT}
    try:
        found = metrics.figures(truth, odds, groups=clips, measures=measures)
    except Unmeasurable as error:
        return {"figures": None, "unmeasurable": str(error)}
    return {"figures": {name: estimate.to_dict() for name, estimate in found.items()}}


def _items(
    output: ScoredOutput,
    scored: Sequence[ScoredClip],
    others: Sequence[ScoredClip] = (),
    measures: dict[str, Measure] = MEASURES,
) -> dict[str, Any] | None:
    """The same over the items of the clips that have a score; ``others`` are the clips of the other label."""
    if not output.item:
        return None
    own = [(one, p) for one in scored for p in output.items(one)]
    each = [*own, *((one, p) for one in others for p in output.items(one))]
    odds = log_odds([p for _, p in each])
    words = {word: Counter(word_for(p) for one, p in own if LABELS[one.label] == word) for word in LABELS}
    return {
        "item": output.item,
        **{word: sum(count.values()) for word, count in words.items()},
        "confusion": {word: dict(count) for word, count in words.items()},
        **_figures([one.label for one, _ in each], odds, [one.id for one, _ in each], measures),
    }


def _groups(
    output: ScoredOutput, clips: Sequence[ScoredClip], of: str, measures: dict[str, Measure]
) -> Iterator[dict[str, Any]]:
    """A row for each value of a field and label, against all clips of the other label; and one for both labels.

    Where there are no others than the group's own only that last row has figures.
    """
    for name, group in sorted(by(clips, lambda one: getattr(one, of) or "not stated").items()):
        for label, word in enumerate(LABELS):
            if part := [one for one in group if one.label == label]:
                others = _others(part, clips)
                row = {of: name, "label": word, **_counted(output, part)}
                alike = bool(others) and all(one in group for one in others)  # equal to the row of both
                yield row | ({} if alike else _against(output, part, others, measures))
        if len({one.label for one in group}) > 1:
            yield {of: name, "label": BOTH, **_counted(output, group), **_against(output, group, (), measures)}


def _counted(output: ScoredOutput, group: Sequence[ScoredClip]) -> dict[str, Any]:
    """How many scored, their labels, and the share of wrong ones."""
    scored = output.scored(group)
    row: dict[str, Any] = {"clips": len(group), "scored": len(scored), "called": called(output, group)}
    if scored:
        odds = output.scores(scored)
        row["mean_fake_probability"] = round(float(expit(odds).mean()), 4)
        wrong = ((odds > 0) != labels(scored))[odds != 0]
        row["wrong"] = metrics.share(wrong).to_dict() if wrong.size else None
    return row


def _against(
    output: ScoredOutput, group: Sequence[ScoredClip], others: Sequence[ScoredClip], measures: dict[str, Measure]
) -> dict[str, Any]:
    """Figures of a group against the others, per clip and per item; empty where none of it scored."""
    scored, against = output.scored(group), output.scored(others)
    if not scored:
        return {}
    return {
        **figures(output, [*scored, *against], measures),
        "items": _items(output, scored, against, measures),
    }


def _others(group: Sequence[ScoredClip], clips: Sequence[ScoredClip]) -> list[ScoredClip]:
    """All clips of the other label and of the kinds of a group of one label."""
    kinds = {one.kind for one in group}
    return [one for one in clips if one.label != group[0].label and one.kind in kinds]


def _word(output: ScoredOutput, one: ScoredClip) -> str:
    probability = output.probability(one)
    if one.error:
        return "error"
    if probability is None:
        return "no score"
    return (one.predicted_label or "") if output.name == VERDICT else word_for(probability)


def word_for(probability: float) -> str:
    """What a layer says of a clip by itself, cut at one half; a layer that measured as silent says one half."""
    return NEITHER if probability == EVEN else LABELS[probability > EVEN]


def counts(clips: Sequence[ScoredClip]) -> dict[str, int]:
    """How many are real and how many fake."""
    fake = sum(one.label for one in clips)
    return {"real": len(clips) - fake, "fake": fake}


def by(clips: Iterable[ScoredClip], key: Callable[[ScoredClip], Any]) -> Mapping[Any, list[ScoredClip]]:
    """The clips that have the same of a key."""
    found: dict[Any, list[ScoredClip]] = {}
    for one in clips:
        found.setdefault(key(one), []).append(one)
    return found
