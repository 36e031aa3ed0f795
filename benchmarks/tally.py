"""From what was said of clips to figures: per video and per item, overall and by kind, source and way of faking.

A clip without a score is counted with its reason, and takes part in no figure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training import metrics
from training.metrics import Unmeasurable
from training.scores import Said
from veracity.calibration import Calibration, Scale
from veracity.layers import LAYERS, MODELS
from veracity.verdict import POOL

VERDICT = "verdict"
LABELS = ("real", "fake")
_SURE = 1e-5  # a verdict's probabilities have four places: 0 and 1 are what is rounded to them
_ITEMS = {"audio": "window", "visual": "frame, its worst face", "lipsync": "mouth clip", "semantic": "frame"}


@dataclass(frozen=True)
class Subject:
    """Whose answers are measured: the verdict's, a layer's or one model's."""

    name: str
    item: str  # what it looks at many of; empty for the verdict
    probability: Callable[[Said], float | None]
    items: Callable[[Said], Sequence[float]]
    silence: Callable[[Said], str]

    def scored(self, said: Iterable[Said]) -> list[Said]:
        """The clips that have a score."""
        return [one for one in said if self.probability(one) is not None]

    def scores(self, said: Iterable[Said]) -> npt.NDArray[np.float64]:
        """Log odds of fake of clips that have a score, [n]."""
        return log_odds([p for one in said if (p := self.probability(one)) is not None])


def log_odds(probability: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Log odds of probabilities of any shape; 0 and 1 are held within what four places can tell."""
    p = np.clip(np.asarray(probability, np.float64), _SURE, 1 - _SURE)
    return np.asarray(np.log(p / (1 - p)))


def labels(said: Iterable[Said]) -> npt.NDArray[np.bool_]:
    """Which of the clips are fake, [n]."""
    return np.array([one.label for one in said], bool)


def subjects(said: Sequence[Said], calibration: Calibration) -> list[Subject]:
    """The verdict, every layer asked, and every model of a layer that has several or is calibrated to silence."""
    asked = {layer.key: {m for one in said for m in one.answers if MODELS[m].layer == layer.name} for layer in LAYERS}
    found = [_verdict()]
    for layer in LAYERS:
        if all(one.error or one.layers[layer.key].status == "skipped" for one in said):
            continue
        found.append(_layer(layer.key, _ITEMS[layer.name]))
        if len(asked[layer.key]) > 1 or calibration.silent(asked[layer.key]):
            found += [_model(name, layer.key, calibration) for name in sorted(asked[layer.key])]
    return found


def tally(said: Sequence[Said], calibration: Calibration) -> dict[str, Any]:
    """All figures, as JSON types; raises :class:`Unmeasurable` where not one clip could be analysed."""
    if all(one.error for one in said):
        raise Unmeasurable(f"none of {len(said)} clips could be analysed; the first: {said[0].error}")
    return {
        "clips": _counts(said),
        "seconds": round(sum(one.seconds or 0 for one in said), 1),
        "models": {name: sha for one in said for name, sha in one.models.items()},
        "thresholds": {"fake": calibration.thresholds.fake, "real": calibration.thresholds.real},
        "decided": decided(said),
        "subjects": {subject.name: measure(subject, said) for subject in subjects(said, calibration)},
        "errors": [{"id": one.id, "label": LABELS[one.label], "error": one.error} for one in said if one.error],
    }


def measure(subject: Subject, said: Sequence[Said]) -> dict[str, Any]:
    """Everything of one subject: what its answers are worth, and for whom they are."""
    return {
        **brief(subject, said),
        "confusion": _confusion(subject, said),
        "items": _items(subject, subject.scored(said)),
        "by": {of: _groups(subject, said, of) for of in ("kind", "source", "how")},
    }


def brief(subject: Subject, said: Sequence[Said]) -> dict[str, Any]:
    """What one subject's answers are worth over all clips, and what it did not answer."""
    silent = [one for one in said if subject.probability(one) is None]
    share = metrics.share([subject.probability(one) is None for one in said])
    return {
        "scored": _counts(subject.scored(said)),
        "without_score": {**_counts(silent), "share": share.to_dict()},
        "reasons": [
            {"reason": reason, **dict(zip(LABELS, (sum(of), len(of) - sum(of))))}
            for reason, of in sorted(_by(silent, subject.silence, lambda one: one.label == 0).items())
        ],
        **figures(subject, subject.scored(said)),
    }


def figures(subject: Subject, scored: Sequence[Said]) -> dict[str, Any]:
    """Every measure with its interval over clips, or the words why there is none."""
    try:
        found = metrics.figures(labels(scored), subject.scores(scored))
    except Unmeasurable as error:
        return {"figures": None, "unmeasurable": str(error)}
    return {"figures": {name: estimate.to_dict() for name, estimate in found.items()}}


def _items(subject: Subject, scored: Sequence[Said]) -> dict[str, Any] | None:
    """The same figures over the items of all clips, those of a clip drawn together."""
    if not subject.item:
        return None
    each = [(one, p) for one in scored for p in subject.items(one)]
    truth, clip = labels(one for one, _ in each), [one.id for one, _ in each]
    about = {"item": subject.item, "real": int((~truth).sum()), "fake": int(truth.sum())}
    try:
        found = metrics.figures(truth, log_odds([p for _, p in each]), groups=clip)
    except Unmeasurable as error:
        return {**about, "figures": None, "unmeasurable": str(error)}
    return {**about, "figures": {name: estimate.to_dict() for name, estimate in found.items()}}


def _groups(subject: Subject, said: Sequence[Said], of: str) -> list[dict[str, Any]]:
    """A row for each value of a field and label: how many scored, what was said of them, how often wrongly."""
    rows = []
    for (name, label), group in sorted(_by(said, lambda one: (getattr(one, of) or "not stated", one.label)).items()):
        scored = subject.scored(group)
        row: dict[str, Any] = {of: name, "label": LABELS[label], "clips": len(group), "scored": len(scored)}
        if scored:
            odds = subject.scores(scored)
            row["mean_fake_probability"] = round(float(np.mean(1 / (1 + np.exp(-odds)))), 4)
            row["wrong"] = metrics.share((odds >= 0) != bool(label)).to_dict()
            row["auc"] = _against(subject, scored, said)
        rows.append(row)
    return rows


def _against(subject: Subject, group: Sequence[Said], said: Sequence[Said]) -> dict[str, float] | None:
    """AUC of a group against all clips of the other label and of its kinds; None where there are none."""
    kinds = {one.kind for one in group}
    others = [one for one in subject.scored(said) if one.label != group[0].label and one.kind in kinds]
    if not others:
        return None
    both = [*group, *others]
    return metrics.interval(metrics.auc, labels(both), subject.scores(both)).to_dict()


def _confusion(subject: Subject, said: Sequence[Said]) -> dict[str, dict[str, int]]:
    """How many of each label were called what; the verdict's words are its own, of layers one half decides."""
    return {word: dict(Counter(_called(subject, one) for one in said if LABELS[one.label] == word)) for word in LABELS}


def _called(subject: Subject, one: Said) -> str:
    probability = subject.probability(one)
    if one.error:
        return "error"
    if probability is None:
        return "no score"
    return (one.label_said or "") if subject.name == VERDICT else LABELS[probability >= 0.5]


def decided(said: Sequence[Said]) -> dict[str, Any]:
    """The verdict's own words: on how many clips it says fake or real, and how often it is wrong then."""
    words = [one for one in said if one.label_said in LABELS]
    wrong = metrics.share([one.label_said != LABELS[one.label] for one in words]).to_dict() if words else None
    return {
        **_counts(words),
        "inconclusive": metrics.share([one.label_said not in LABELS for one in said]).to_dict(),
        "wrong": wrong,
    }


def _verdict() -> Subject:
    def silence(one: Said) -> str:
        return _kind_of(one.error) if one.error else "no layer scored"

    return Subject(VERDICT, "", lambda one: one.fake_probability, lambda _one: (), silence)


def _layer(key: str, item: str) -> Subject:
    def silence(one: Said) -> str:
        return _kind_of(one.error) if one.error else f"{one.layers[key].status}: {one.layers[key].reason}"

    return Subject(
        key,
        item,
        lambda one: one.layers[key].fake_probability if key in one.layers else None,
        lambda one: [span.score for span in one.layers[key].spans],
        silence,
    )


def _model(name: str, key: str, calibration: Calibration) -> Subject:
    """One model: its clip score is pooled and calibrated as the verdict does it, and raw where that is silence."""
    pool, scale = POOL[MODELS[name].pool], calibration.scale(name)
    scale = Scale() if scale.silent else scale

    def probability(one: Said) -> float | None:
        return pool(one.answers[name].answer(name), scale) if name in one.answers else None

    def items(one: Said) -> Sequence[float]:
        return [float(p) for p in scale(np.array(one.answers[name].logits))]

    return Subject(name, "item", probability, items, _layer(key, "").silence)


def _kind_of(error: str) -> str:
    return f"error: {error.partition(':')[0]}"


def _counts(said: Sequence[Said]) -> dict[str, int]:
    fake = sum(one.label for one in said)
    return {"real": len(said) - fake, "fake": fake}


def _by(
    said: Iterable[Said], key: Callable[[Said], Any], value: Callable[[Said], Any] = lambda one: one
) -> Mapping[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for one in said:
        found.setdefault(key(one), []).append(value(one))
    return found
