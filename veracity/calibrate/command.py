"""`python -m training calibrate SCORES…`: everything from scores to calibration.toml, and what it says on the way."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from veracity.calibrate import statements, toml_tables
from veracity.calibrate.fit import Array, Fitted, fit, thresholds
from veracity.calibrate.fusion_fit import Fusion, Table, attempts, table, voice_alone
from veracity.calibrate.labelled_outputs import CalibrationInputError, Learned, Row, read
from veracity.catalog import LAYERS, MODELS, provenance
from veracity.catalog.profiles import PROFILES
from veracity.decision.calibration import FILE, Calibration
from veracity.decision.scoring import label
from veracity.settings import Settings
from veracity_client.verdict import Label, Thresholds

LEAST_STOP = 0.90  # P(fake) of the voice under which no film goes undecoded, however well the voice measured


@dataclass(frozen=True)
class Job:
    """What is asked: rows to fit on, rows to measure on alone, the rates that the thresholds promise.

    ``rate`` is the share of reals called fake, ``missed`` the share of fakes called real.
    """

    rows: Sequence[Row]
    tested: Sequence[Row]
    profile: str
    rate: float
    missed: float
    date: datetime.date
    before: Calibration  # whose evidence rules and shares of the layers stay
    repository: Path  # where the models are installed whose calibration this is

    @property
    def models(self) -> dict[str, str]:
        """The profile's model of each layer."""
        return {layer: several[0][0] for layer, several in PROFILES[self.profile].items()}

    @property
    def films(self) -> list[Row]:
        """The videos to fit on."""
        return [row for row in self.rows if row.kind == "video"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of ``python -m training``."""
    formatter = argparse.ArgumentDefaultsHelpFormatter
    parser = commands.add_parser("calibrate", formatter_class=formatter, help="write calibration.toml from scores")
    parser.add_argument("scores", type=Path, nargs="+", metavar="SCORES",
                        help="what networks said of clips that they did not learn from")  # fmt: skip
    parser.add_argument("--learned", nargs="*", default=[], metavar="MODEL:SPLIT[:KIND]",
                        help="what a model learned from: its answers about those clips are left out")  # fmt: skip
    parser.add_argument("--tested", type=Path, nargs="*", default=[], metavar="SCORES",
                        help="of test clips: measured for the statements, never fitted on")  # fmt: skip
    parser.add_argument("--allow-test", action="store_true", help="fit on test clips: they measure nothing after it")
    parser.add_argument("--fpr", type=_rate, default=0.05, help="share of the real videos that may be called fake")
    parser.add_argument("--fnr", type=_rate, default=0.05, help="share of the fake videos that may be called real")
    parser.add_argument("--profile", default="starter", choices=sorted(PROFILES), help="whose layers are fused")
    parser.add_argument("--repository", type=Path, default=Settings().model_repository,
                        help="where the networks that ship are installed: SCORES are of others, which learned from "
                        "a part of the clips each; what is fitted holds for the weights found here")  # fmt: skip
    parser.add_argument("--out", type=Path, default=FILE, help="the file to change; other tables stay as they are")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Read, fit, write; a line a table goes to standard output. Raises CalibrationInputError."""
    before = toml_tables.present(options.out)
    learned = [Learned.parsed(text) for text in options.learned]
    rows = read(options.scores, () if options.allow_test else ("test",), learned)
    tested = read(options.tested, ("train", "validation")) if options.tested else []
    today = datetime.datetime.now(tz=datetime.timezone.utc).date()
    job = Job(rows, tested, options.profile, options.fpr, options.fnr, today, before, options.repository)
    tables = calibrate(job)
    toml_tables.replace(options.out, tables)
    for name, values in tables.items():
        sys.stdout.write(f"[{name}] {_line(values)}\n")


def calibrate(job: Job) -> dict[str, dict[str, toml_tables.Value] | None]:
    """Return the tables of calibration.toml: a model's each, the profile's, its fusion's. Raises CalibrationInputError.

    Without videos, real and fake, the models alone are calibrated, and the profile stays as it was.
    """
    fits = {model: fit(rows, model, job.rate, job.missed) for model, rows in _telling(job).items()}
    if not fits:
        models = ", ".join(job.models.values())
        raise CalibrationInputError(f"none of {models} answered a clip whose label tells of its layer")
    tables: dict[str, dict[str, toml_tables.Value] | None] = {
        f"models.{model}": statements.model_table(fitted, job.tested, job.date, _checkpoint(job.repository, model))
        for model, fitted in fits.items()
    }
    if len({row.fake for row in job.films}) == 2:
        tables |= _profile(job, fits)
    return tables


def _checkpoint(repository: Path, model: str) -> str:
    """What the installed model was made of. Raises CalibrationInputError where that is not known."""
    digest = provenance.checkpoint(repository / model)
    if not digest:
        what = "is not installed" if digest is None else f"has no checkpoint_sha256 in its {provenance.FILE}"
        raise CalibrationInputError(
            f"{model} {what} in {repository}: a calibration holds for the weights that ship; export them first"
        )
    return digest


def _telling(job: Job) -> dict[str, list[Row]]:
    """The clips that each of the profile's models can be fitted on; other models' entries stay as they are."""
    found: dict[str, list[Row]] = {}
    for row in job.rows:
        for model in row.outputs.keys() & {*job.models.values()}:
            layer = MODELS[model].layer
            if layer is not None and row.tells_of(layer):
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
    tried = attempts(data, prior)
    best = tried[0]
    bounds = thresholds(data.fakes, best.held_out, job.rate, job.missed)
    scales, own = (
        {m: fitted.calibrator for m, fitted in fits.items()},
        {m: fitted.thresholds for m, fitted in fits.items()},
    )
    judging = replace(job.before, thresholds=bounds, calibrators=scales, model_thresholds=own)
    said = labels_of(best.held_out, data, best.fusion, job.models, judging)
    stop = voice_alone(best.fusion, thresholds_of(best.fusion.weights > 0, job.models, judging).fake, LEAST_STOP)
    fusion = statements.fusion_table(
        tried, bounds, stop, (job.rate, job.missed), statements.shares(data.fakes, said), job.date, data
    )
    fitted_on = "that its networks did not learn from, and the thresholds did"
    findings = [
        statements.measured(job.films, best.held_out, said, fitted_on),
        _on(job.tested, "video", "for the test alone", job, fits, best.fusion, judging),
        _on(job.rows, "audio", "that it did not learn from", job, fits, best.fusion, judging),
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


def thresholds_of(looking: npt.NDArray[np.bool_], models: Mapping[str, str], judging: Calibration) -> Thresholds:
    """The thresholds of a clip that some layers, [layers], could look at; as the verdict has them."""
    able = [models[layer.name] for layer, looked in zip(LAYERS, looking) if looked]
    return judging.standalone_thresholds(able) if len(able) == 1 else judging.thresholds


def _on(
    rows: Sequence[Row], kind: str, which: str, job: Job, fits: Mapping[str, Fitted], fusion: Fusion,
    judging: Calibration,
) -> str:  # fmt: skip
    """How the verdict does on other clips, films or sound files, in words; nothing where they are of one class."""
    chosen = [row for row in rows if row.kind == kind]
    if len({row.fake for row in chosen}) < 2:
        return ""
    data = table(chosen, job.models, fits)
    probability = np.nan_to_num(fusion(data), nan=0.5)
    return statements.measured(chosen, probability, labels_of(probability, data, fusion, job.models, judging), which)


def _line(values: Mapping[str, toml_tables.Value] | None) -> str:
    """A table on one line, for whoever runs the command."""
    if values is None:
        return "is taken out"
    return ", ".join(f"{key} = {toml_tables.plain(value)}" for key, value in values.items() if key != "data")


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < 0.5:
        raise argparse.ArgumentTypeError(f"give a share between 0 and 0.5, not {text}")
    return rate
