"""Reads ``calibration.toml``: temperatures, weights, thresholds, and what they were learned on."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veracity_client.verdict import Thresholds

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(__file__).with_name("calibration.toml")


@dataclass(frozen=True)
class Scale:
    """Calibration of one model: ``logit / temperature + bias``."""

    temperature: float = 1.0
    bias: float = 0.0

    def __call__(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return P(fake) of logits of any shape."""
        calibrated = np.asarray(logits, np.float64) / self.temperature + self.bias
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(calibrated, -50, 50))))


@dataclass(frozen=True)
class Calibration:
    """What was learned from data that no model was trained on."""

    weights: Mapping[str, float]
    thresholds: Thresholds
    evidence_fake: float
    evidence_real: float
    stop: float
    scales: Mapping[str, Scale]
    statements: Mapping[str, str]  # of profiles
    measured: Mapping[str, str]  # of models that no profile has: how well each measured

    @classmethod
    def read(cls, path: Path = FILE) -> Calibration:
        """Read the file; raises KeyError or ValueError where it is not whole."""
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        models = data["models"].items()
        return cls(
            weights=data["weights"],
            thresholds=Thresholds(**data["thresholds"]),
            evidence_fake=data["evidence"]["fake"],
            evidence_real=data["evidence"]["real"],
            stop=data["evidence"]["stop"],
            scales={name: Scale(m["temperature"], m["bias"]) for name, m in models},
            statements={name: p["statement"] for name, p in data["profiles"].items()},
            measured={name: m["statement"] for name, m in models if "statement" in m},
        )

    def scale(self, model: str) -> Scale:
        """Return the calibration of a model, the identity where none was learned."""
        return self.scales.get(model, Scale())

    def covers(self, models: Iterable[str]) -> bool:
        """Return whether all of ``models`` were calibrated: else what they say together is no frequency."""
        return all(model in self.scales for model in models)
