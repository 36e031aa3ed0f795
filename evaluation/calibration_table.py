"""The calibration's own figures in Markdown: what was fitted, on which clips, for which weights."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation.markdown import percent, table
from evaluation.results import REPOSITORY, RefusedResult, committed_weights
from veracity.decision import calibration

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(calibration.__file__).with_name("calibration.toml")
HEAD = ("", "real + fake", "AUC", "ECE", "date", "temperature", "bias")


def calibration_rows(models: Sequence[str], fusion: str | None = None, file: Path = FILE) -> str:
    """A row a model, and one of a profile's fusion; raises :class:`RefusedResult` for a fit of other weights."""
    document = tomllib.loads(file.read_text("utf-8"))
    rows = [_row(name, document["models"][name]) for name in models]
    if fusion is None:
        return table(HEAD, rows)
    fitted = document["profiles"][fusion]["fusion"]
    return f"{table(HEAD, [*rows, _fusion(fitted)])}\n\n{_verdicts(fitted['verdicts'])}"


def _row(name: str, entry: dict[str, Any]) -> tuple[str, ...]:
    if entry["checkpoint"] != committed_weights(REPOSITORY).get(name):
        raise RefusedResult(f"`{FILE.name}` was fitted to other weights of `{name}` than the committed ones")
    clips = f"{entry['real_clips']} + {entry['fake_clips']}"
    fit = (f"{entry['temperature']:.2f}", f"{entry['bias']:.2f}")
    return (f"`{name}`", clips, _interval(entry["auc"]), f"{entry['ece']:.2f}", str(entry["date"]), *fit)


def _fusion(entry: dict[str, Any]) -> tuple[str, ...]:
    return ("verdict", "", _interval(entry["auc"]), f"{entry['ece']:.2f}", str(entry["date"]), "", "")


def _verdicts(shares: dict[str, float]) -> str:
    def called(label: str) -> str:
        words = ("fake", "real", "inconclusive")
        return ", ".join(f"{percent(shares[f'{label}_called_{word}'])} {word}" for word in words)

    return f"Films at the fitted thresholds: of the real ones {called('real')}; of the fake ones {called('fake')}."


def _interval(values: Sequence[float]) -> str:
    value, low, high = values
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
