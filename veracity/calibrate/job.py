"""From labelled outputs to the tables of a calibration file: temperatures, the rule of fusion, thresholds."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from veracity.calibrate import statements, toml_tables
from veracity.calibrate.fit import Array, Fitted, fit, kept, thresholds
from veracity.calibrate.fusion_fit import Fusion, Table, candidates, fail_fast_threshold_of, table
from veracity.calibrate.labelled_outputs import CalibrationInputError, LabelledClip
from veracity.catalog import LAYERS, MODELS, provenance
from veracity.catalog.profiles import PROFILES
from veracity.decision.calibration import Calibration
from veracity.decision.scoring import label
from veracity_client.verdict import Label, Thresholds

# P(fake) of the voice; below it frames are always decoded, however well the voice measured
LOWEST_FAIL_FAST_THRESHOLD = 0.90


@dataclass(frozen=True)
class Job:
    """What is asked: rows to fit on, rows to measure on alone, the rates that the thresholds promise.

    ``rate`` is the share of reals called fake, ``missed`` the share of fakes called real.
    """

    rows: Sequence[LabelledClip]
    tested: Sequence[LabelledClip]
    profile: str
    models: Mapping[str, str]  # the model of each layer
    rate: float
    missed: float
    date: datetime.date
    before: Calibration  # whose evidence rules and shares of the layers stay
    repository: Path  # where the models are installed whose calibration this is

    @property
    def is_the_profiles(self) -> bool:
        """Whether the models are the profile's own: a fusion is kept for those alone."""
        own = PROFILES[self.profile]
        return all(own[layer.name] == ((self.models[layer.name], 1.0),) for layer in LAYERS)

    @property
    def films(self) -> list[LabelledClip]:
        """The videos to fit on."""
        return [row for row in self.rows if row.kind == "video"]


def calibrate(job: Job) -> dict[str, dict[str, toml_tables.Value] | None]:
    """Return the tables of calibration.toml: a model's each, the profile's, its fusion's. Raises CalibrationInputError.

    Without videos, real and fake, or with models that are not the profile's own, the models alone are calibrated, and
    the profile stays as it was. A model without clips of its own keeps the calibration that it has.
    """
    fits = {model: fit(rows, model, job.rate, job.missed) for model, rows in _rows_by_model(job).items()}
    if not fits:
        models = ", ".join(job.models.values())
        raise CalibrationInputError(f"none of {models} answered a clip whose label tells of its layer")
    tables: dict[str, dict[str, toml_tables.Value] | None] = {
        f"models.{model}": statements.model_table(fitted, job.tested, job.date, _checkpoint(job.repository, model))
        for model, fitted in fits.items()
    }
    if job.is_the_profiles and len({row.fake for row in job.films}) == 2:
        tables |= _profile(job, _kept(job, fits) | fits) | dict.fromkeys(_outdated(job, fits))
    return tables


def _kept(job: Job, fits: Mapping[str, Fitted]) -> dict[str, Fitted]:
    """The calibration that models without clips of their own have already, for the weights that are installed."""
    return {
        model: kept(model, job.before)
        for model in job.models.values()
        if model not in fits
        and any(model in row.outputs for row in job.films)
        and model in job.before.model_thresholds
        and job.before.checkpoints.get(model) == provenance.checkpoint(job.repository / model)
    }


def _outdated(job: Job, fits: Mapping[str, Fitted]) -> list[str]:
    """Tables of models that have other weights now and no clips to fit on: the fusion leaves these models out."""
    known = job.before.checkpoints
    return [
        f"models.{model}"
        for model in job.models.values()
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


def _rows_by_model(job: Job) -> dict[str, list[LabelledClip]]:
    """The clips that each of the profile's models can be fitted on; other models' entries stay as they are."""
    found: dict[str, list[LabelledClip]] = {}
    for row in job.rows:
        for model in row.outputs.keys() & {*job.models.values()}:
            layer = MODELS[model].layer
            if layer is not None and row.is_evidence_for(layer):
                found.setdefault(model, []).append(row)
    return dict(sorted(found.items()))


def _profile(job: Job, fits: Mapping[str, Fitted]) -> dict[str, dict[str, toml_tables.Value] | None]:
    """The profile's statement and fusion; without a layer that separates it has none."""
    known = {model for model, fitted in fits.items() if not fitted.calibrator.uninformative}
    prior = np.array([job.before.evidence_weights[layer.name] * (job.models[layer.name] in known) for layer in LAYERS])
    name = f"profiles.{job.profile}"
    if not prior.any():
        statement = f"no layer separates real from fake: on {statements.clips(job.films)} every one measured as silent"
        return {name: {"statement": statement}, f"{name}.fusion": None}
    data = table(job.films, job.models, fits)
    tried = candidates(data, prior)
    best = tried[0]
    bounds = thresholds(data.fakes, best.held_out, job.rate, job.missed)
    scales, own = (
        {m: fitted.calibrator for m, fitted in fits.items()},
        {m: fitted.thresholds for m, fitted in fits.items()},
    )
    judging = replace(job.before, thresholds=bounds, calibrators=scales, model_thresholds=own)
    verdicts = labels_of(best.held_out, data, best.fusion, job.models, judging)
    holding = thresholds_of(best.fusion.weights > 0, job.models, judging) or bounds
    stop = fail_fast_threshold_of(best.fusion, holding.fake, LOWEST_FAIL_FAST_THRESHOLD)
    fusion = statements.fusion_table(
        tried, bounds, stop, (job.rate, job.missed), statements.shares(data.fakes, verdicts), job.date, data
    )
    fitted_on = "that its networks were not trained on (its thresholds were set on them)"
    findings = [
        statements.measured(job.films, best.held_out, verdicts, fitted_on),
        _on(job.tested, "video", "held out for testing", job, fits, best.fusion, judging),
        _on(job.rows, "audio", "that it was not trained on", job, fits, best.fusion, judging),
    ]
    return {name: {"statement": ". ".join(filter(None, findings))}, f"{name}.fusion": fusion}


def labels_of(
    probability: Array, data: Table, fusion: Fusion, models: Mapping[str, str], judging: Calibration
) -> list[Label]:
    """What the verdict would call each clip: its fused probability, and how much of the evidence was weighed."""
    heavy = data.able & (fusion.weights > 0)
    shares = np.array([judging.evidence_weights[layer.name] for layer in LAYERS]) * data.able
    weighed = (shares * ~np.isnan(data.scores) * heavy).sum(axis=1) / np.maximum(shares.sum(axis=1), 1e-9)
    bounds = [replace(judging, thresholds=thresholds_of(looking, models, judging)) for looking in heavy]
    return [label(float(p), float(share), own) for p, share, own in zip(probability, weighed, bounds)]


def thresholds_of(looking: npt.NDArray[np.bool_], models: Mapping[str, str], judging: Calibration) -> Thresholds | None:
    """The thresholds of a clip that some layers, [layers], could look at; as the verdict has them."""
    able = [models[layer.name] for layer, looked in zip(LAYERS, looking) if looked]
    return judging.standalone_thresholds(able) if len(able) == 1 else judging.thresholds


def _on(
    rows: Sequence[LabelledClip], kind: str, which: str, job: Job, fits: Mapping[str, Fitted], fusion: Fusion,
    judging: Calibration,
) -> str:  # fmt: skip
    """How the verdict does on other clips, films or sound files, in words; nothing where they are of one class."""
    chosen = [row for row in rows if row.kind == kind]
    if len({row.fake for row in chosen}) < 2:
        return ""
    data = table(chosen, job.models, fits)
    probability = np.nan_to_num(fusion(data), nan=0.5)
    return statements.measured(chosen, probability, labels_of(probability, data, fusion, job.models, judging), which)
