"""Which of several people is fake: how often the face of the fake one has the highest P(fake), out of scored clips.

A manifest's `places` say where people are seen side by side. A place's person is the face that was followed there for
the most frames; a film counts where every place has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.aggregate import counts
from evaluation.outputs import VERDICT, labels, log_odds, model_scale
from veracity.calibrate import metrics
from veracity.calibrate.bootstrap import resamples
from veracity.calibrate.metrics import MEASURES, Estimate, Unmeasurable
from veracity.calibrate.scores import FaceScore, ScoredClip
from veracity.catalog import MODELS
from veracity.decision.calibration import Calibration
from veracity.evidence.detector import detector

Score = Callable[[ScoredClip, FaceScore], float | None]
"""P(fake) of one person of a film."""


@dataclass(frozen=True, eq=False)
class Film:
    """The log odds of a film's people, [n], and which of them is fake, [n]."""

    source: str
    odds: npt.NDArray[np.float64]
    fake: npt.NDArray[np.bool_]


def persons(clips: Sequence[ScoredClip], calibration: Calibration) -> dict[str, Any] | None:
    """Figures of the verdict and of every model that scores faces, as JSON types; None where no people are stated.

    The clip's own figure, ``clip``, is the AUC of its P(fake): films with a fake person against films without.
    """
    stated = [one for one in clips if one.places]
    if not stated:
        return None
    seen = {one.id: people for one in stated if (people := people_of(one))}
    measured = [one for one in stated if one.id in seen]
    scores: dict[str, Score] = {VERDICT: lambda _one, face: face.fake_probability}
    scores |= {name: _by_model(name, calibration) for name in _models(measured)}
    outputs = {}
    for name, score in scores.items():
        films = [film for one in measured if (film := _film(one, seen[one.id], score))]
        outputs[name] = _figures(films)
    scored = [one for one in measured if one.fake_probability is not None]
    odds = log_odds([p for one in scored if (p := one.fake_probability) is not None])
    return {
        "films": counts(stated),
        "measured": counts(measured),
        "outputs": outputs,
        "clip": {**counts(scored), **_by_source(labels(scored), odds, [one.source for one in scored], "auc")},
    }


def people_of(one: ScoredClip) -> list[FaceScore] | None:
    """The face of each place, in their order; None where one has none, or the film could not be analysed."""
    there = [[face for face in one.faces if left <= face.x < right] for left, right in one.places]
    return [max(faces, key=lambda face: face.seen) for faces in there] if all(there) else None


def _models(clips: Sequence[ScoredClip]) -> list[str]:
    """Those that score faces, in the catalog's order."""
    found = ((name, item.face) for one in clips for name, item in one.outputs.items())
    scoring = {name for name, faces in found if any(face is not None for face in faces)}
    return [name for name in MODELS if name in scoring]


def _by_model(name: str, calibration: Calibration) -> Score:
    """A model's P(fake) of a face: its samples pooled as those of a whole clip are."""
    pool = detector(name).pool

    def probability(one: ScoredClip, face: FaceScore) -> float | None:
        if name not in one.outputs:
            return None
        output = one.outputs[name].output(name)
        own = [k for k, item in enumerate(output.items) if item.face == face.id]
        details = None if output.details is None else output.details[own]
        items, scale = tuple(output.items[k] for k in own), model_scale(name, calibration, one)
        of_face = replace(output, items=items, logits=output.logits[own], details=details)
        return pool(scale.of_quality_alike(of_face), scale) if own else None

    return probability


def _film(one: ScoredClip, people: Sequence[FaceScore], score: Score) -> Film | None:
    """None where somebody has no score."""
    chances = [chance for face in people if (chance := score(one, face)) is not None]
    fake = np.array([place in one.fake_person for place in one.places])
    return Film(one.source, log_odds(chances), fake) if len(chances) == len(people) else None


def _figures(films: Sequence[Film]) -> dict[str, Any]:
    """Of one output: who is highest, pairs within a film, and all people of all films; sources are resampled.

    ``chance`` is how often the fake person would be the highest by chance.
    """
    with_fake = [film for film in films if film.fake.any()]
    odds = np.array([odd for film in films for odd in film.odds], np.float64)
    fake = np.array([one for film in films for one in film.fake], bool)
    sources = [film.source for film in films for _ in film.odds]
    figures = _by_source(fake, odds, sources, "auc", "average_precision")
    if figures["figures"]:
        of = [film.source for film in with_fake]
        figures["figures"] |= {
            "highest": _share([_highest(film) for film in with_fake], of).to_dict(),
            "pairs": _share([_pairs(film) for film in with_fake], of).to_dict(),
        }
    return {
        "films": len(with_fake),
        "sources": len({film.source for film in with_fake}),
        "people": {"real": int((~fake).sum()), "fake": int(fake.sum())},
        "chance": round(float(np.mean([1 / len(film.odds) for film in with_fake])), 4) if with_fake else None,
        **figures,
    }


def _highest(film: Film) -> tuple[float, int]:
    """Whether the fake person has the highest score, 1 or 0, and 1; of k who share it one k-th."""
    highest = film.odds == film.odds.max()
    return float(film.fake[highest].sum() / highest.sum()), 1


def _pairs(film: Film) -> tuple[float, int]:
    """In how many pairs with a real person the fake one is higher, ties half; and how many pairs there are."""
    above = film.odds[film.fake][:, None] - film.odds[~film.fake]
    return float((above > 0).sum() + (above == 0).sum() / 2), above.size


def _share(counted: Sequence[tuple[float, int]], sources: Sequence[str]) -> Estimate:
    """The sum of the firsts over the sum of the seconds, with its 95 % interval from resampling sources."""
    part, whole = np.array(counted, np.float64).T
    members = np.unique(sources, return_inverse=True)[1]
    draws = resamples(np.ones(len(part), bool), members, np.random.default_rng(0))
    drawn = np.concatenate([weights @ part / (weights @ whole) for weights in draws])
    return Estimate(float(part.sum() / whole.sum()), *map(float, np.percentile(drawn, (2.5, 97.5))))


def _by_source(
    fake: npt.NDArray[np.bool_], odds: npt.NDArray[np.float64], sources: Sequence[str], *names: str
) -> dict[str, Any]:
    try:
        found = metrics.figures(fake, odds, groups=sources, measures={name: MEASURES[name] for name in names})
    except Unmeasurable as error:
        return {"figures": None, "unmeasurable": str(error)}
    return {"figures": {name: found[name].to_dict() for name in names}}
