"""From labelled outputs to the tables of a calibration file: temperatures, fusions, thresholds."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from veracity.calibrate import statements, toml_tables
from veracity.calibrate.fit import Array, Fitted, fit, kept
from veracity.calibrate.fusion_fit import Candidate, Fit, Table, candidate, table
from veracity.calibrate.labelled_outputs import POSSIBLE, CalibrationInputError, LabelledClip
from veracity.calibrate.operating_points import Judged, operating_points
from veracity.catalog import LAYERS, MODELS, provenance
from veracity.catalog.layers import FileKind
from veracity.catalog.profiles import PROFILES
from veracity.decision.calibration import Calibration, Fusion
from veracity.decision.domain import Domain
from veracity.decision.scoring import label
from veracity.drift import reference
from veracity.drift.histogram import Histogram
from veracity_client.options import OperatingPoint
from veracity_client.verdict import Label, Rates, Thresholds


@dataclass(frozen=True)
class Job:
    """What is asked: rows to fit on, and rows to measure on alone."""

    rows: Sequence[LabelledClip]
    tested: Sequence[LabelledClip]
    profile: str
    models: Mapping[str, Sequence[str]]  # of each layer
    date: datetime.date
    before: Calibration  # whose evidence rules and shares of the layers stay
    repository: Path  # where the models are installed whose calibration this is

    @property
    def is_the_profiles(self) -> bool:
        """Whether the models are the profile's own: a fusion is kept for those alone."""
        own = PROFILES[self.profile]
        return all(own[layer.name] == tuple((name, 1.0) for name in self.models[layer.name]) for layer in LAYERS)

    @property
    def all_models(self) -> list[str]:
        """The models of all layers, in their order."""
        return [model for layer in LAYERS for model in self.models[layer.name]]

    def rows_of(self, kind: FileKind) -> list[LabelledClip]:
        """The clips of a kind of file to fit on."""
        return [row for row in self.rows if row.file_kind == kind]


@dataclass(frozen=True)
class Calibrated:
    """The tables of calibration.toml, and histograms of the clips that each fusion was fitted on."""

    tables: dict[str, dict[str, toml_tables.Value] | None]
    references: Mapping[FileKind, dict[str, Histogram]]


def calibrate(job: Job) -> Calibrated:
    """Return the tables of a model each, the profile's, its fusion's. Raises CalibrationInputError.

    A kind of file gets a fusion where there are real and fake clips of it and the models are the profile's own. A model
    without clips of its own keeps the calibration that it has.
    """
    fits = fits_of(job.rows, job.all_models, ("sound", "film"))
    stills = fits_of(job.rows, job.all_models, ("still",))
    if not fits and not stills:
        models = ", ".join(job.all_models)
        raise CalibrationInputError(
            f"none of {models} answered both real and fake clips whose label tells of its layer"
        )
    known = _kept(job, fits) | fits
    alone = {model: fitted for model, fitted in stills.items() if model not in known}
    tables: dict[str, dict[str, toml_tables.Value] | None] = {
        f"models.{model}": {
            **statements.model_table(fitted, job.tested, _checkpoint(job.repository, model)),
            **(statements.scale(fitted, job.date) if model in fits else {}),
        }
        for model, fitted in (fits | alone).items()
    }
    tables |= {f"models.{model}.still": statements.scale(fitted, job.date) for model, fitted in stills.items()}
    references: dict[FileKind, dict[str, Histogram]] = {}
    if job.is_the_profiles:
        for kind, (fusion, counted) in _fusions(job, {"sound": known, "film": known, "still": known | stills}).items():
            tables[f"profiles.{job.profile}.fusion.{kind}"], references[kind] = fusion, counted
        tables |= dict.fromkeys(_outdated(job, known | alone))
    return Calibrated(tables, references)


def fits_of(rows: Sequence[LabelledClip], models: Collection[str], kinds: Collection[str]) -> dict[str, Fitted]:
    """Each model's fit on the clips of some kinds of file that its layer's label tells of, if they are of both."""
    found: dict[str, list[LabelledClip]] = {}
    for row in rows:
        for model in row.outputs.keys() & {*models}:
            layer = MODELS[model].layer
            if layer is not None and row.file_kind in kinds and row.is_evidence_for(layer):
                found.setdefault(model, []).append(row)
    return {model: fit(own, model) for model, own in sorted(found.items()) if len({row.fake for row in own}) == 2}


def _kept(job: Job, fits: Mapping[str, Fitted]) -> dict[str, Fitted]:
    """The calibration that models without clips of their own have already, for the weights that are installed."""
    return {
        model: kept(model, job.before)
        for model in job.all_models
        if model not in fits
        and any(model in row.outputs for row in job.rows)
        and model in job.before.calibrators
        and job.before.checkpoints.get(model) == provenance.checkpoint(job.repository / model)
    }


def _outdated(job: Job, fits: Mapping[str, Fitted]) -> list[str]:
    """Tables of models that have other weights now and no clips to fit on: the fusion leaves these models out."""
    known = job.before.checkpoints
    return [
        f"models.{model}{still}"
        for model in job.all_models
        for still in (".still", "")
        if model not in fits and provenance.checkpoint(job.repository / model) not in (None, known.get(model))
    ]


def _checkpoint(repository: Path, model: str) -> str:
    """What the installed model was made of. Raises CalibrationInputError where that is not known."""
    digest = provenance.checkpoint(repository / model)
    if not digest:
        what = "is not installed" if digest is None else f"has no checkpoint_sha256 in its {provenance.FILE}"
        raise CalibrationInputError(
            f"{model} {what} in {repository}: a calibration holds for the weights that ship; export them first"
        )
    return digest


_Fused = tuple[dict[str, toml_tables.Value], dict[str, Histogram]]


def _fusions(job: Job, fits: Mapping[FileKind, Mapping[str, Fitted]]) -> dict[FileKind, _Fused]:
    """The profile's fusion for each kind of file that has clips of both labels; the others stay as they were."""
    kinds: tuple[FileKind, ...] = get_args(FileKind)
    rows = {kind: job.rows_of(kind) for kind in kinds}
    return {kind: _fusion(job, some, fits[kind]) for kind, some in rows.items() if len({row.fake for row in some}) == 2}


def _fusion(job: Job, rows: Sequence[LabelledClip], fits: Mapping[str, Fitted]) -> _Fused:
    """The fusion of one kind of file, and what its clips were like."""
    data = table(rows, job.models, fits)
    best = candidate(data, informative(job.models, fits))
    counted = reference.of_kind(rows[0].file_kind, data.fakes, data.scores, best.held_out, [row.cues for row in rows])
    return _fusion_table(job, rows, fits, data, best), counted


def _fusion_table(
    job: Job, rows: Sequence[LabelledClip], fits: Mapping[str, Fitted], data: Table, best: Candidate
) -> dict[str, toml_tables.Value]:
    """Without a layer that separates, nothing is heard and no file gets a label."""
    points = operating_points(judged(rows, data, best.held_out))
    domain = Domain.of((row.cues for row in rows), rows[0].file_kind)
    if not best.fit.sees.any():
        nothing = Thresholds(None, None)
        points = {point: (nothing, rates) for point, (_, rates) in points.items()}
        statement = f"no layer separates real from fake: on {statements.clips(rows)} every one measured as silent"
        return statements.fusion_table(best, points, job.date, data, statement, domain)
    judging = _judging(job.before, best.fit, points, data)
    tested = [row for row in job.tested if row.file_kind == rows[0].file_kind]
    found = [
        statements.measured(rows, best.held_out, labels_of(best.held_out, data, best.fit, judging), APART),
        _on(tested, job, fits, best.fit, judging),
    ]
    return statements.fusion_table(best, points, job.date, data, ". ".join(filter(None, found)), domain)


def informative(models: Mapping[str, Sequence[str]], fits: Mapping[str, Fitted]) -> npt.NDArray[np.bool_]:
    """Which layers have a model that separates, [layers]."""
    known = {model for model, fitted in fits.items() if not fitted.calibrator.uninformative}
    return np.array([not known.isdisjoint(models[layer.name]) for layer in LAYERS])


def judged(rows: Sequence[LabelledClip], data: Table, probability: Array) -> Judged:
    """Clips of one kind of file as thresholds are set on them."""
    kinds = np.array([row.kind_of_fake for row in rows])
    said = (kinds[data.fakes] != "").any()  # how they were made; of a user's folder nobody says
    return Judged(probability, data.fakes, kinds, data.groups, POSSIBLE[rows[0].file_kind] if said else ())


APART = "that its networks were not trained on, each judged by a fit without its source and its maker"


def _judging(
    before: Calibration, found: Fit, points: Mapping[OperatingPoint, tuple[Thresholds, Rates]], data: Table
) -> Calibration:
    """What the verdict would read of these tables."""
    fusion = Fusion(
        sees={layer.name: float(share) for layer, share in zip(LAYERS, found.sees)},
        strength=found.strength,
        reals=int((~data.fakes).sum()),
        fakes=int(data.fakes.sum()),
        thresholds={point: bounds for point, (bounds, _) in points.items()},
        rates={point: rates for point, (_, rates) in points.items()},
    )
    return replace(before, fusion=fusion)


def labels_of(probability: Array, data: Table, found: Fit, judging: Calibration) -> list[Label]:
    """What the verdict would call each clip: its fused probability, and how much of the evidence was weighed."""
    weighed = evidence_shares(data, found.sees > 0, judging)
    return [label(float(p), float(share), judging) for p, share in zip(probability, weighed)]


def evidence_shares(data: Table, counted: npt.NDArray[np.bool_], judging: Calibration) -> Array:
    """The share of the evidence that each clip's scores are, [n], of layers that are ``counted``, [layers]."""
    shares = np.array([judging.evidence_weights[layer.name] for layer in LAYERS]) * data.able
    weighed = (shares * ~np.isnan(data.scores) * counted).sum(axis=1)
    return np.asarray(weighed / np.maximum(shares.sum(axis=1), 1e-9))


def _on(chosen: Sequence[LabelledClip], job: Job, fits: Mapping[str, Fitted], found: Fit, judging: Calibration) -> str:
    """How the verdict does on test clips, in words; nothing where they are of one class."""
    if len({row.fake for row in chosen}) < 2:
        return ""
    data = table(chosen, job.models, fits)
    probability = np.nan_to_num(found(data), nan=0.5)
    return statements.measured(
        chosen, probability, labels_of(probability, data, found, judging), "held out for testing"
    )
