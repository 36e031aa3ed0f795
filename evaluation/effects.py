"""What each repair of how clips are judged does alone: the product's figures, and those with one repair undone.

Counted from recorded outputs of development clips (score files), each clip judged by what was fitted without its
source and its maker, as the calibration does it. No model is asked.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from evaluation import record
from evaluation.practice import FEWEST_SOURCES
from evaluation.repairs import KINDS, NOT_UNDONE, REPAIRS, Fits, Flags, Rows, Steps, all_heard, unchanged
from veracity.calibrate import job, labelled_outputs, metrics
from veracity.calibrate.errors import ManifestError
from veracity.calibrate.fit import Array, balanced
from veracity.calibrate.fusion_fit import Table, table
from veracity.calibrate.labelled_outputs import LabelledClip
from veracity.calibrate.operating_points import MANY, RATE, Judged, Words
from veracity.catalog import LAYERS, MODELS
from veracity.catalog.layers import FileKind
from veracity.catalog.profiles import choose
from veracity.decision.calibration import Calibration
from veracity.decision.domain import Domain
from veracity.decision.fusion import log_odds
from veracity.decision.scoring import fake_part, score_layer
from veracity.settings import Settings
from veracity_client.options import OperatingPoint
from veracity_client.verdict import ModelInfo, Thresholds

POINTS: tuple[OperatingPoint, ...] = ("balanced", "screening")
AS_IT_IS = "as it is"
Models = Mapping[str, Sequence[str]]  # of each layer
AUDIO = 0
SEVERAL = 2  # faces of a film, and more


@dataclass(frozen=True)
class Scored:
    """Clips, and what is fitted to each model's answers on sound files and films, and on still pictures."""

    rows: Rows
    models: Models
    moving: Fits
    still: Fits

    @classmethod
    def of(cls, rows: Rows, models: Models) -> Scored:
        """Fit them."""
        names = [name for own in models.values() for name in own]
        return cls(rows, models, job.fits_of(rows, names, ("sound", "film")), job.fits_of(rows, names, ("still",)))


@dataclass(frozen=True)
class Outcome:
    """Clips of one kind of file as they are judged: P(fake), and their labels at each operating point."""

    rows: Rows
    data: Table
    judged: Judged
    thresholds: Mapping[OperatingPoint, Thresholds]
    words: Mapping[OperatingPoint, Words]


def outcomes(scored: Scored, steps: Steps, kinds: Sequence[FileKind] = KINDS) -> dict[FileKind, Outcome]:
    """Judge the clips of these kinds of file, where there are real and fake ones."""
    moving = steps.fits(scored.moving)
    fits: Mapping[FileKind, Fits] = {
        "sound": moving, "film": moving, "still": {**moving, **steps.fits(scored.still)}
    }  # fmt: skip
    found: dict[FileKind, Outcome] = {}
    for kind in KINDS:  # sound first: a film can be fake by its voice
        own = [row for row in scored.rows if row.file_kind == kind]
        wanted = kind in kinds or (kind == "sound" and "film" in kinds)
        if wanted and len({row.fake for row in own}) == 2:
            found[kind] = _outcome(own, scored.models, fits[kind], steps, found.get("sound"))
    return {kind: one for kind, one in found.items() if kind in kinds}


def _outcome(rows: Rows, models: Models, fits: Fits, steps: Steps, sound: Outcome | None) -> Outcome:
    data = steps.data(table(rows, models, fits))
    chances, counted = steps.fuse(data, job.informative(models, fits))
    judged = job.judged(rows, data, chances)
    before = Calibration.read()
    shares = job.evidence_shares(data, counted, before)
    outside = _outside(rows, judged) if steps.domain else np.zeros(len(rows), bool)
    found = {point: steps.call(rows, judged, RATE[point]) for point in POINTS}
    words = {}
    for point, (_, said) in found.items():
        enough = np.where(said == "fake", shares >= before.evidence_fake, shares >= before.evidence_real)
        said = np.where(enough & ~outside, said, "inconclusive")
        if steps.parts:
            said = np.where((said == "real") & _part_fake(rows, models, fits, said == "real"), "inconclusive", said)
        if steps.voice and sound is not None and rows[0].file_kind == "film":
            said = np.where(_fake_by_voice(rows, data, sound, point, steps.domain), "fake", said)
        words[point] = said
    return Outcome(rows, data, judged, {point: bounds for point, (bounds, _) in found.items()}, words)


def _outside(rows: Rows, judged: Judged) -> Flags:
    """Which clips are unlike all clips of other groups."""
    kind, outside = rows[0].file_kind, np.zeros(len(rows), bool)
    for group in np.unique(judged.groups):
        domain = Domain.of((row.cues for row, other in zip(rows, judged.groups) if other != group), kind)
        for k in np.flatnonzero(judged.groups == group):
            outside[k] = bool(domain.why_outside(rows[k].cues, kind))
    return outside


def _part_fake(rows: Rows, models: Models, fits: Fits, asked: Flags) -> Flags:
    """Of which of the clips that are ``asked`` a part alone would be fake, by the thresholds of a layer by itself."""
    judging = replace(
        Calibration.read(),
        calibrators={model: fitted.calibrator for model, fitted in fits.items()},
        model_thresholds={model: fitted.thresholds for model, fitted in fits.items()},
    )
    found = np.zeros(len(rows), bool)
    for k in np.flatnonzero(asked):
        answers = {layer: [m for m in models[layer.name] if m in rows[k].outputs and m in fits] for layer in LAYERS}
        layers = {
            layer.key: score_layer(
                layer, [(rows[k].outputs[m], 1.0) for m in own], judging, [ModelInfo(m, "", "", "", "") for m in own]
            )
            for layer, own in answers.items()
            if own
        }
        found[k] = fake_part(layers, judging) is not None
    return found


def _fake_by_voice(rows: Rows, data: Table, sound: Outcome, point: OperatingPoint, domain: bool) -> Flags:
    """Which films would be fake as sound files."""
    least = sound.thresholds[point].fake
    if least is None:
        return np.zeros(len(rows), bool)
    met = Domain.of((row.cues for row in sound.rows), "sound")
    unlike = np.array([domain and bool(met.why_outside(row.cues, "sound")) for row in rows])
    return np.asarray((np.nan_to_num(data.scores[:, AUDIO]) >= least) & ~unlike)


def figures(one: Outcome, product: Outcome) -> dict[str, Any]:
    """AUC, sources resampled where there are enough, and of each operating point the shares and what is ``changed``."""
    fakes, groups = one.judged.fakes, one.judged.groups
    several = min(len(np.unique(groups[fakes == label])) for label in (False, True)) >= FEWEST_SOURCES
    auc = metrics.interval(metrics.auc, fakes, log_odds(one.judged.probability), groups=groups if several else None)
    return {
        "real": int((~fakes).sum()), "fake": int(fakes.sum()), "sources": len(np.unique(groups)),
        "auc": auc.to_dict(), "resampled": "sources" if several else "clips",
        "points": {
            point: _shares(one.judged, words) | {"changed": int((words != product.words[point]).sum())}
            for point, words in one.words.items()
        },
    }  # fmt: skip


def _shares(judged: Judged, words: Words) -> dict[str, float | None]:
    """Reals and fakes weigh alike. ``worst_kind`` is that of the fakes of which there are enough to tell."""
    fakes, weights = judged.fakes, balanced(judged.fakes)
    decided = words != "inconclusive"
    wrong = weights @ (words == np.where(fakes, "real", "fake"))
    kinds = [judged.called(kind) for kind in np.unique(judged.kinds[fakes])]
    many = [float((words[of] == "real").mean()) for of in kinds if of.sum() >= MANY]
    shares = {
        "inconclusive": float(weights @ ~decided),
        "wrong": float(wrong / (weights @ decided)) if decided.any() else None,
        "real_called_fake": float((words[~fakes] == "fake").mean()),
        "fake_called_real": float((words[fakes] == "real").mean()),
        "worst_kind": max(many, default=None),
    }
    return {name: None if share is None else round(share, 4) for name, share in shares.items()}


def effects(rows: Rows, models: Models) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A row a kind of file as it is, and one a repair undone; and real films by the number of faces in them."""
    whole = Scored.of(rows, models)
    product = outcomes(whole, Steps())
    found = [{"kind": kind, "repair": AS_IT_IS, "without": "", **figures(one, one)} for kind, one in product.items()]
    films = {row.id: _faces(row) for row in rows if row.file_kind == "film" and not row.fake}
    faces = [by_faces(whole, films, AS_IT_IS)]
    for repair in REPAIRS:
        given = whole if repair.steps.rows is unchanged else Scored.of(repair.steps.rows(rows), models)
        for kind, one in outcomes(given, repair.steps, repair.kinds).items():
            what = {"kind": kind, "repair": repair.name, "without": repair.without}
            found.append({**what, **figures(one, product[kind])})
        if given is not whole:
            faces.append(by_faces(given, films, repair.without))
    return found, [one for one in faces if one]


def by_faces(scored: Scored, films: Mapping[str, int], pooling: str) -> dict[str, Any]:
    """P(fake) of the faces, held out, of real films by how many faces each has; empty where that cannot be told."""
    fits = [one for model, one in all_heard(scored.moving).items() if model in scored.models["visual"]]
    pairs = [(films[row.id], p) for one in fits for row, p in zip(one.rows, one.held_out) if films.get(row.id)]
    number, chances = np.array(pairs).reshape(-1, 2).T
    if len(np.unique(number)) < 2 or len(np.unique(chances)) < 2:
        return {}
    return {
        "pooling": pooling, "films": len(number), "films_of_several": int((number >= SEVERAL).sum()),
        "correlation": round(float(spearmanr(number, chances)[0]), 4),
        "one": _mean(chances[number == 1]), "several": _mean(chances[number >= SEVERAL]),
    }  # fmt: skip


def _faces(row: LabelledClip) -> int:
    """How many faces were followed in a film."""
    visual = [output for model, output in row.outputs.items() if MODELS[model].layer == "visual"]
    return max((len({item.face for item in output.items}) for output in visual), default=0)


def _mean(values: Array) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def run(options: argparse.Namespace) -> None:
    """Print and write what each repair does to the labels of the clips in ``options.scores``."""
    settings = Settings.from_env()
    chosen = choose(settings.profile, settings.models)
    models: Models = {layer.name: [name for name, _ in chosen[layer.name]] for layer in LAYERS}
    rows = labelled_outputs.read(options.scores)
    found, faces = effects(rows, models)
    if not found:
        raise ManifestError("no kind of file has both real and fake clips: there is nothing to tell apart")
    measured = sorted({model for row in rows for model in row.outputs})
    record.write(
        "effects",
        {"models": dict.fromkeys(measured), "rows": found, "faces": faces, "not_undone": NOT_UNDONE},
        options.out,
    )
    for row in found:
        said = " ".join(f"{point}: {_line(of)}" for point, of in row["points"].items())
        sys.stdout.write(f"{row['kind']} | {row['repair']} | AUC {row['auc']['value']:.2f} | {said}\n")


def _line(shares: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {'-' if share is None else f'{share:g}'}" for name, share in shares.items())
