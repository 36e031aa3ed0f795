"""From what was said of clips to figures: per video and per item, overall and by kind, source and way of faking.

A clip without a score is counted with its reason, and takes part in no figure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from scipy.special import expit

from evaluation.outputs import LABELS, VERDICT, Subject, labels, log_odds, subjects
from veracity.calibrate import metrics
from veracity.calibrate.metrics import MEASURES, Measure, Scores, Unmeasurable
from veracity.calibrate.scores import ScoredClip
from veracity.decision.calibration import Calibration

# All figures of a kind and of a source; of a way of faking, of which there are many, one.
_BY: dict[str, dict[str, Measure]] = {"kind": MEASURES, "source": MEASURES, "how": {"auc": metrics.auc}}
BOTH = "both"


def tally(said: Sequence[ScoredClip], calibration: Calibration) -> dict[str, Any]:
    """All figures, as JSON types; raises :class:`Unmeasurable` where not one clip could be analysed."""
    refuse_unheard(said)
    return {
        "clips": counts(said),
        "seconds": round(sum(one.seconds or 0 for one in said), 1),
        "models": {name: sha for one in said for name, sha in one.models.items()},
        "thresholds": {one.kind: asdict(one.thresholds) for one in said if one.thresholds},
        "decided": decided(said),
        "subjects": {subject.name: measure(subject, said) for subject in subjects(said, calibration)},
        "errors": [{"id": one.id, "label": LABELS[one.label], "error": one.error} for one in said if one.error],
    }


def refuse_unheard(said: Sequence[ScoredClip]) -> None:
    """Raises :class:`Unmeasurable` where not one clip could be analysed."""
    if all(one.error for one in said):
        raise Unmeasurable(f"none of {len(said)} clips could be analysed; the first: {said[0].error}")


def measure(subject: Subject, said: Sequence[ScoredClip]) -> dict[str, Any]:
    """Everything of one subject: what its answers are worth, and for whom they are."""
    return {
        **brief(subject, said),
        "confusion": {word: called(subject, [one for one in said if LABELS[one.label] == word]) for word in LABELS},
        "items": _items(subject, subject.scored(said)),
        "by": {of: list(_groups(subject, said, of, measures)) for of, measures in _BY.items()},
    }


def brief(subject: Subject, said: Sequence[ScoredClip]) -> dict[str, Any]:
    """What one subject's answers are worth over all clips, and what it did not answer."""
    silent = [one for one in said if subject.probability(one) is None]
    share = metrics.share([subject.probability(one) is None for one in said])
    return {
        "scored": counts(subject.scored(said)),
        "without_score": {**counts(silent), "share": share.to_dict()},
        "reasons": [{"reason": reason, **counts(of)} for reason, of in sorted(_by(silent, subject.silence).items())],
        **figures(subject, subject.scored(said)),
    }


def figures(subject: Subject, scored: Sequence[ScoredClip], measures: dict[str, Measure] = MEASURES) -> dict[str, Any]:
    """The measures with their intervals over clips, or the words why there are none."""
    return _figures([one.label for one in scored], subject.scores(scored), None, measures)


def called(subject: Subject, said: Iterable[ScoredClip]) -> dict[str, int]:
    """How many clips were called what; the verdict's words are its own, of layers one half decides."""
    return dict(Counter(_word(subject, one) for one in said))


def decided(said: Sequence[ScoredClip]) -> dict[str, Any]:
    """The verdict's own words: on how many clips it says fake or real, and how often it is wrong then."""
    words = [one for one in said if one.predicted_label in LABELS]
    wrong = metrics.share([one.predicted_label != LABELS[one.label] for one in words]).to_dict() if words else None
    return {
        **counts(words),
        "inconclusive": metrics.share([one.predicted_label not in LABELS for one in said]).to_dict(),
        "wrong": wrong,
    }


def _figures(
    truth: Sequence[int], odds: Scores, clips: Sequence[str] | None, measures: dict[str, Measure]
) -> dict[str, Any]:
    """Figures of labels and log odds [n]; what is of one clip is drawn together where ``clips`` [n] says which."""
    try:
        found = metrics.figures(truth, odds, groups=clips, measures=measures)
    except Unmeasurable as error:
        return {"figures": None, "unmeasurable": str(error)}
    return {"figures": {name: estimate.to_dict() for name, estimate in found.items()}}


def _items(
    subject: Subject,
    scored: Sequence[ScoredClip],
    others: Sequence[ScoredClip] = (),
    measures: dict[str, Measure] = MEASURES,
) -> dict[str, Any] | None:
    """The same over the items of the clips that have a score; ``others`` are only what they are held against."""
    if not subject.item:
        return None
    own = [(one, p) for one in scored for p in subject.items(one)]
    each = [*own, *((one, p) for one in others for p in subject.items(one))]
    odds = log_odds([p for _, p in each])
    words = {word: Counter(LABELS[p >= 0.5] for one, p in own if LABELS[one.label] == word) for word in LABELS}
    return {
        "item": subject.item,
        **{word: sum(count.values()) for word, count in words.items()},
        "confusion": {word: dict(count) for word, count in words.items()},
        **_figures([one.label for one, _ in each], odds, [one.id for one, _ in each], measures),
    }


def _groups(
    subject: Subject, said: Sequence[ScoredClip], of: str, measures: dict[str, Measure]
) -> Iterator[dict[str, Any]]:
    """A row for each value of a field and label, held against all others; and one for both where there are both.

    Where there are no others than the group's own only that last row has figures.
    """
    for name, group in sorted(_by(said, lambda one: getattr(one, of) or "not stated").items()):
        for label, word in enumerate(LABELS):
            if part := [one for one in group if one.label == label]:
                others = _others(part, said)
                row = {of: name, "label": word, **_counted(subject, part)}
                alike = bool(others) and all(one in group for one in others)  # the row of both says the same
                yield row | ({} if alike else _against(subject, part, others, measures))
        if len({one.label for one in group}) > 1:
            yield {of: name, "label": BOTH, **_counted(subject, group), **_against(subject, group, (), measures)}


def _counted(subject: Subject, group: Sequence[ScoredClip]) -> dict[str, Any]:
    """How many scored, what was said of them, and how often wrongly."""
    scored = subject.scored(group)
    row: dict[str, Any] = {"clips": len(group), "scored": len(scored), "called": called(subject, group)}
    if scored:
        odds = subject.scores(scored)
        row["mean_fake_probability"] = round(float(expit(odds).mean()), 4)
        row["wrong"] = metrics.share((odds >= 0) != labels(scored)).to_dict()
    return row


def _against(
    subject: Subject, group: Sequence[ScoredClip], others: Sequence[ScoredClip], measures: dict[str, Measure]
) -> dict[str, Any]:
    """What tells a group from the others, per clip and per item; nothing where none of it scored."""
    scored, against = subject.scored(group), subject.scored(others)
    if not scored:
        return {}
    return {
        **figures(subject, [*scored, *against], measures),
        "items": _items(subject, scored, against, measures),
    }


def _others(group: Sequence[ScoredClip], said: Sequence[ScoredClip]) -> list[ScoredClip]:
    """All clips of the other label and of the kinds of a group of one label."""
    kinds = {one.kind for one in group}
    return [one for one in said if one.label != group[0].label and one.kind in kinds]


def _word(subject: Subject, one: ScoredClip) -> str:
    probability = subject.probability(one)
    if one.error:
        return "error"
    if probability is None:
        return "no score"
    return (one.predicted_label or "") if subject.name == VERDICT else LABELS[probability >= 0.5]


def counts(said: Sequence[ScoredClip]) -> dict[str, int]:
    """How many are real and how many fake."""
    fake = sum(one.label for one in said)
    return {"real": len(said) - fake, "fake": fake}


def _by(said: Iterable[ScoredClip], key: Callable[[ScoredClip], Any]) -> Mapping[Any, list[ScoredClip]]:
    found: dict[Any, list[ScoredClip]] = {}
    for one in said:
        found.setdefault(key(one), []).append(one)
    return found
