"""Reads ``calibration.toml``: temperatures, the rule of fusion, thresholds, and what they were learned on."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from veracity.decision.fusion import Rule
from veracity_client.errors import VeracityError
from veracity_client.verdict import LayerName, Thresholds

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(__file__).with_name("calibration.toml")
UNMEASURED = "not measured"
OTHER_WEIGHTS = "these weights were not measured, only other weights of that name"
LAYER_NAMES = get_args(LayerName)


class CalibrationError(VeracityError):
    """calibration.toml cannot be used; the message says which key of it, and why."""


@dataclass(frozen=True)
class Calibrator:
    """Calibration of one model: ``logit / temperature + bias``; an infinite temperature is silence, P(fake) 0.5."""

    temperature: float = 1.0
    bias: float = 0.0

    def __call__(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return P(fake) of logits of any shape."""
        calibrated = np.asarray(logits, np.float64) / self.temperature + self.bias
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(calibrated, -50, 50))))

    @property
    def uninformative(self) -> bool:
        """Whether the model was measured and does not separate real from fake."""
        return math.isinf(self.temperature)


@dataclass(frozen=True)
class Calibration:
    """What was fitted on data that no model was trained on.

    ``weights`` of the layers and ``strength`` belong to the ``rule`` of fusion (:mod:`veracity.decision.fusion`);
    ``evidence_weights`` say how much of the evidence each layer is, however well it measured. ``model_thresholds``
    judge a layer by itself. ``checkpoints`` are the digests of the weights that were measured
    (:func:`veracity.catalog.provenance.checkpoint`); ``unmeasured`` are the models that have other weights.
    ``profiles`` holds what replaces the general values where exactly a profile's own models are used. ``thresholds``
    hold for those alone: without a fusion of their own, models get no label.
    """

    weights: Mapping[str, float]
    evidence_weights: Mapping[str, float]
    evidence_fake: float
    evidence_real: float
    calibrators: Mapping[str, Calibrator]
    statements: Mapping[str, str]  # of profiles
    measurements: Mapping[str, str]  # how well each model measured
    rule: Rule = "mean"
    strength: float = 1.0
    thresholds: Thresholds | None = None
    fail_fast_threshold: float = math.inf
    model_thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    unmeasured: frozenset[str] = frozenset()
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

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
        models, profiles = _Table(data).tables("models"), _Table(data).tables("profiles")
        if "thresholds" in data:
            raise _Table(data).fault(
                "thresholds", "belongs to models: give it in [models.NAME] or [profiles.NAME.fusion]"
            )
        evidence, weights = _Table(data).table("evidence"), _Table(data).table("weights").weights()
        return cls(
            weights=weights,
            evidence_weights=weights,
            evidence_fake=evidence.number("fake", 0, 1),
            evidence_real=evidence.number("real", 0, 1),
            calibrators={name: _scale(model) for name, model in models.items()},
            statements={name: profile.text("statement") for name, profile in profiles.items()},
            measurements={name: model.text("statement") for name, model in models.items() if "statement" in model.data},
            model_thresholds={name: model.thresholds() for name, model in models.items() if "fake" in model.data},
            checkpoints={name: m.text("checkpoint") for name, m in models.items() if "checkpoint" in m.data},
            profiles={name: _fusion(p.table("fusion")) for name, p in profiles.items() if "fusion" in p.data},
        )

    def of(self, profile: str) -> Calibration:
        """Return what holds where exactly this profile's models are asked: its own fusion, if one was fitted."""
        return replace(self, **self.profiles.get(profile, {}))

    def without(self, unmeasured: Iterable[str]) -> Calibration:
        """Return what holds where models have other weights than were measured: of those nothing is known."""
        others = frozenset(unmeasured)
        return replace(
            self,
            calibrators={model: scale for model, scale in self.calibrators.items() if model not in others},
            model_thresholds={model: bounds for model, bounds in self.model_thresholds.items() if model not in others},
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


@dataclass(frozen=True)
class _Table:
    """A table of the file that names itself in whatever it raises."""

    data: Mapping[str, Any]
    name: str = ""

    def fault(self, key: str, words: str) -> CalibrationError:
        return CalibrationError(f"calibration.toml: {key} of [{self.name}] {words}" if self.name else
                                f"calibration.toml: [{key}] {words}")  # fmt: skip

    def table(self, key: str) -> _Table:
        found = self.data.get(key)
        if not isinstance(found, dict):
            raise self.fault(key, "is missing")
        return _Table(found, f"{self.name}.{key}" if self.name else key)

    def tables(self, key: str) -> dict[str, _Table]:
        outer = self.table(key)
        return {name: outer.table(name) for name in outer.data}

    def number(self, key: str, low: float, high: float = math.inf) -> float:
        found = self.data.get(key)
        if type(found) not in (int, float) or not low <= float(found or 0) <= high:
            raise self.fault(key, f"must be a number from {low:g} to {high:g}, not {found!r}")
        return float(found or 0)

    def text(self, key: str) -> str:
        found = self.data.get(key)
        if not isinstance(found, str):
            raise self.fault(key, f"must be words, not {found!r}")
        return found

    def weights(self) -> dict[str, float]:
        if set(self.data) != set(LAYER_NAMES):
            raise self.fault("the layers", f"must be {', '.join(LAYER_NAMES)}, not {', '.join(self.data) or 'none'}")
        return {layer: self.number(layer, 0, 1) for layer in self.data}

    def thresholds(self) -> Thresholds:
        bounds = Thresholds(self.number("fake", 0, 1), self.number("real", 0, 1))
        if bounds.real > bounds.fake:
            raise self.fault("real", f"is over fake: {bounds.real:g} > {bounds.fake:g}")
        return bounds


def _scale(model: _Table) -> Calibrator:
    scale = Calibrator(model.number("temperature", 1e-6), model.number("bias", -math.inf))
    if not math.isfinite(scale.bias) or (scale.uninformative and scale.bias):
        raise model.fault("bias", f"must be a finite number, and 0 where temperature is inf, not {scale.bias:g}")
    return scale


def _fusion(table: _Table) -> Mapping[str, Any]:
    """Return the fields of a :class:`Calibration` that a profile's own fusion replaces."""
    if table.text("rule") not in get_args(Rule):
        raise table.fault("rule", f"must be one of {', '.join(get_args(Rule))}, not {table.text('rule')!r}")
    return {
        "rule": table.text("rule"),
        "strength": table.number("strength", 0),
        "weights": table.table("weights").weights(),
        "thresholds": table.thresholds(),
        "fail_fast_threshold": table.number("fail_fast_threshold", 0),
    }
