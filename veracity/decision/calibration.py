"""Reads ``calibration.toml``: temperatures, fusions, thresholds, and what they were learned on."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from veracity.catalog.layers import FileKind
from veracity.decision.domain import Cues, Domain
from veracity.decision.quality import Cue, QualityTerm, taken_off
from veracity.decision.toml_table import CalibrationError, Table
from veracity.evidence.requests import ModelOutput
from veracity_client.options import OperatingPoint
from veracity_client.verdict import Rates, Thresholds

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

V = TypeVar("V")

FILE = Path(__file__).with_name("calibration.toml")
UNMEASURED = "not measured"
OTHER_WEIGHTS = "these weights were not measured, only other weights of that name"
DEFAULT_SEES = 0.5  # of the fakes, where nobody measured how many a layer can see


@dataclass(frozen=True)
class Calibrator:
    """Calibration of one model: ``logit / temperature + bias``; an infinite temperature is silence, P(fake) 0.5.

    What ``quality`` explains of the logits is taken off before, by :meth:`of_quality_alike`.
    """

    temperature: float = 1.0
    bias: float = 0.0
    quality: tuple[QualityTerm, ...] = ()

    def __call__(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return P(fake) of logits of any shape."""
        calibrated = np.asarray(logits, np.float64) / self.temperature + self.bias
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(calibrated, -50, 50))))

    def of_quality_alike(self, output: ModelOutput) -> ModelOutput:
        """Return a model's output without what the quality of its samples explains."""
        return taken_off(self.quality, output)

    @property
    def uninformative(self) -> bool:
        """Whether the model was measured and does not separate real from fake."""
        return math.isinf(self.temperature)


@dataclass(frozen=True)
class Fusion:
    """How one kind of file is judged: ``sees`` and ``strength`` as in :mod:`veracity.decision.fusion`.

    ``reals`` and ``fakes`` are the clips that it was fitted on, ``domain`` is what these were like. An operating point
    whose rate so few clips cannot show has thresholds of None.
    """

    sees: Mapping[str, float]
    strength: float
    reals: int
    fakes: int
    thresholds: Mapping[OperatingPoint, Thresholds]
    rates: Mapping[OperatingPoint, Rates]
    domain: Domain = field(default_factory=Domain)


@dataclass(frozen=True)
class Calibration:
    """What was fitted on data that no model was trained on.

    ``evidence_weights`` say how much of the evidence each layer is, however well it measured. ``model_thresholds``
    judge a layer by itself, ``still_calibrators`` and ``still_thresholds`` are those for still pictures.
    ``checkpoints`` are the digests of the weights that were measured (:func:`veracity.catalog.provenance.checkpoint`);
    ``dates`` say when, ``unmeasured`` are the models that have other weights. ``profiles`` holds the fusions of each
    profile, by kind of file: they hold where exactly a profile's own models are used. Without a fusion of their own,
    models get no label.

    :meth:`of` chooses the profile, :meth:`for_file` the kind of file and the operating point: ``fusion``, of a film
    also the ``voice_fusion`` that sound files have, and ``operating_point``. :meth:`met` takes the labels away from a
    file that is unlike all clips of the fit: ``outside`` says how.
    """

    evidence_weights: Mapping[str, float]
    evidence_fake: float
    evidence_real: float
    calibrators: Mapping[str, Calibrator]
    statements: Mapping[str, str]  # of profiles
    measurements: Mapping[str, str]  # how well each model measured
    model_thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    still_calibrators: Mapping[str, Calibrator] = field(default_factory=dict)
    still_thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    dates: Mapping[str, date] = field(default_factory=dict)
    unmeasured: frozenset[str] = frozenset()
    profiles: Mapping[str, Mapping[FileKind, Fusion]] = field(default_factory=dict)
    fusions: Mapping[FileKind, Fusion] = field(default_factory=dict)
    fusion: Fusion | None = None
    voice_fusion: Fusion | None = None
    operating_point: OperatingPoint = "balanced"
    outside: str = ""

    @classmethod
    def read(cls, path: Path = FILE) -> Calibration:
        """Read the file; raises :class:`CalibrationError` where it is not whole."""
        try:
            return cls.parsed(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise CalibrationError(f"{path.name} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise CalibrationError(f"{path.name} is no UTF-8 text: {error.reason} at byte {error.start}") from None

    @classmethod
    def parsed(cls, text: str) -> Calibration:
        """Read the file's text; raises :class:`CalibrationError`."""
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise CalibrationError(f"calibration.toml is no TOML: {error}") from None
        models, profiles = Table(data).tables("models"), Table(data).tables("profiles")
        evidence = Table(data).table("evidence")
        stills = {name: model.table("still") for name, model in models.items() if "still" in model.data}
        return cls(
            evidence_weights=Table(data).table("weights").layers(),
            evidence_fake=evidence.number("fake", 0, 1),
            evidence_real=evidence.number("real", 0, 1),
            calibrators={
                name: _scale(m) for name, m in models.items() if "temperature" in m.data or name not in stills
            },
            statements={name: _statement(profile) for name, profile in profiles.items()},
            measurements={name: model.text("statement") for name, model in models.items() if "statement" in model.data},
            model_thresholds={name: m.thresholds() for name, m in models.items() if {"fake", "real"} & m.data.keys()},
            dates={name: m.date("date") for name, m in (*stills.items(), *models.items()) if "date" in m.data},
            checkpoints={name: m.text("checkpoint") for name, m in models.items() if "checkpoint" in m.data},
            still_calibrators={name: _scale(model) for name, model in stills.items()},
            still_thresholds={name: model.thresholds() for name, model in stills.items()},
            profiles={name: _fusions(p.table("fusion")) for name, p in profiles.items() if "fusion" in p.data},
        )

    def of(self, profile: str) -> Calibration:
        """Return what holds where exactly this profile's models are asked: its own fusions, if any were fitted."""
        return replace(self, fusions=self.profiles.get(profile, {}))

    def for_file(self, kind: FileKind, point: OperatingPoint) -> Calibration:
        """Return what holds for a kind of file at an operating point."""
        voice = self.fusions.get("sound") if kind == "film" else None
        chosen = replace(self, fusion=self.fusions.get(kind), voice_fusion=voice, operating_point=point)
        if kind != "still":
            return chosen
        return replace(
            chosen,
            calibrators={**self.calibrators, **self.still_calibrators},
            model_thresholds={**self.model_thresholds, **self.still_thresholds},
        )

    def met(self, kind: FileKind, cues: Cues) -> Calibration:
        """Return what holds for a file with these cues: no rate was measured on what is unlike every clip of the fit.

        A file that gets no label anyway has a better reason for that.
        """
        chosen = self
        if self.fusion and self.thresholds != Thresholds(None, None):
            why = self.fusion.domain.why_outside(cues, kind)
            chosen = replace(self, fusion=_unlabelled(self.fusion), outside=why) if why else self
        if self.voice_fusion and self.voice_fusion.domain.why_outside(cues, "sound"):
            chosen = replace(chosen, voice_fusion=None)
        return chosen

    def of_the_voice(self) -> Calibration | None:
        """Return what judges a film by its voice alone, as if it were a sound file; None for all other files."""
        if self.voice_fusion is None:
            return None
        return replace(self, fusion=self.voice_fusion, voice_fusion=None)

    @property
    def thresholds(self) -> Thresholds | None:
        """Those of the kind of file at the operating point; None where no fusion was fitted."""
        return None if self.fusion is None else self.fusion.thresholds[self.operating_point]

    @property
    def rates(self) -> Rates | None:
        """How the verdict measured for such files at the operating point; None where it did not."""
        return None if self.fusion is None or self.outside else self.fusion.rates[self.operating_point]

    def sees(self, layer: str) -> float:
        """Return which share of the fakes a layer can see."""
        return DEFAULT_SEES if self.fusion is None else self.fusion.sees[layer]

    def without(self, unmeasured: Iterable[str]) -> Calibration:
        """Return what holds where models have other weights than were measured: of those nothing is known."""
        others = frozenset(unmeasured)
        return replace(
            self,
            calibrators=_but(self.calibrators, others),
            model_thresholds=_but(self.model_thresholds, others),
            still_calibrators=_but(self.still_calibrators, others),
            still_thresholds=_but(self.still_thresholds, others),
            measurements={**self.measurements, **dict.fromkeys(others, OTHER_WEIGHTS)},
            unmeasured=others,
        )

    def calibrator(self, model: str) -> Calibrator:
        """Return the calibration of a model, the identity where none was learned."""
        return self.calibrators.get(model, Calibrator())

    def is_calibrated(self, models: Iterable[str]) -> bool:
        """Return whether all of ``models`` were calibrated: else what they say together is no frequency."""
        return all(model in self.calibrators for model in models)

    def uninformative(self, models: Iterable[str]) -> bool:
        """Return whether all of ``models`` were measured and none of them separates real from fake."""
        return all(self.calibrator(model).uninformative for model in models)

    def standalone_thresholds(self, models: Iterable[str]) -> Thresholds | None:
        """Return the thresholds of a layer by itself: those of its one informative model; None where it has none."""
        informative = [model for model in models if not self.calibrator(model).uninformative]
        return self.model_thresholds.get(informative[0]) if len(informative) == 1 else None

    def measurement(self, model: str) -> str:
        """Return how well a model measured, in words."""
        return self.measurements.get(model, UNMEASURED)


def _unlabelled(fusion: Fusion) -> Fusion:
    return replace(fusion, thresholds=dict.fromkeys(fusion.thresholds, Thresholds(None, None)))


def _scale(model: Table) -> Calibrator:
    terms = tuple(map(_quality, model.listed("quality")))
    scale = Calibrator(model.number("temperature", 1e-6), model.number("bias", -math.inf), terms)
    if not math.isfinite(scale.bias) or (scale.uninformative and scale.bias):
        raise model.fault("bias", f"must be a finite number, and 0 where temperature is inf, not {scale.bias:g}")
    return scale


def _quality(table: Table) -> QualityTerm:
    known: tuple[Cue, ...] = get_args(Cue)
    cue = next((one for one in known if one == table.data.get("cue")), None)
    if cue is None:
        raise table.fault("cue", f"must be one of {', '.join(known)}, not {table.data.get('cue')!r}")
    slope, middle = (table.number(key, -math.inf) for key in ("slope", "middle"))
    return QualityTerm(cue, slope, middle, *table.range("within"))


def _but(values: Mapping[str, V], left_out: Collection[str]) -> dict[str, V]:
    return {name: value for name, value in values.items() if name not in left_out}


def _statement(profile: Table) -> str:
    """Return how a profile measured: what is said of it as a whole, or of each kind of file."""
    if "fusion" not in profile.data:
        return profile.text("statement")
    kinds = profile.table("fusion").tables_of(get_args(FileKind))
    return ". ".join(kind.text("statement") for kind in kinds.values())


def _fusions(table: Table) -> dict[FileKind, Fusion]:
    """Return a profile's fusions by kind of file."""
    kinds: tuple[FileKind, ...] = get_args(FileKind)
    if unknown := table.data.keys() - set(kinds):
        raise table.fault(sorted(unknown)[0], f"is no kind of file: {', '.join(kinds)}")
    return {kind: _fusion(found) for kind, found in table.tables_of(kinds).items()}


def _fusion(table: Table) -> Fusion:
    points = {point: table.table(point) for point in get_args(OperatingPoint)}
    reals, fakes = (int(table.number(key, 1)) for key in ("reals", "fakes"))
    return Fusion(
        sees=table.table("sees").layers(),
        strength=table.number("strength", 0),
        reals=reals,
        fakes=fakes,
        thresholds={point: at.thresholds() for point, at in points.items()},
        rates={point: at.rates(reals, fakes) for point, at in points.items()},
        domain=_domain(table.table("domain")) if "domain" in table.data else Domain(),
    )


def _domain(table: Table) -> Domain:
    """Read lists: two numbers are a range, words are all that there were."""
    told = [name for name, of in table.data.items() if isinstance(of, list) and of and isinstance(of[0], str)]
    words = {name: frozenset(table.words(name)) for name in told}
    return Domain({name: table.range(name) for name in table.data if name not in words}, words)
