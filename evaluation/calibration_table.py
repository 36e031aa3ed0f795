"""The calibration's own figures in Markdown: what was fitted, on which clips, for which weights."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from evaluation.markdown import percent, table
from evaluation.results import REPOSITORY, RefusedResult, committed_weights
from veracity.decision import calibration
from veracity_client.options import OperatingPoint

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(calibration.__file__).with_name("calibration.toml")
POINTS = ("file", "operating point", "fake from", "real up to", "real called fake", "fake called real, worst kind",
          "inconclusive")  # fmt: skip
HEAD = ("", "real + fake", "AUC", "ECE", "date", "temperature", "bias")


def calibration_rows(models: Sequence[str], fusion: str | None = None, file: Path = FILE) -> str:
    """A row a model, and of a profile's fusions one a kind of file, with their operating points.

    Raises :class:`RefusedResult` for a fit of other weights.
    """
    document = tomllib.loads(file.read_text("utf-8"))
    rows = [row for name in models for row in _rows(name, document["models"][name])]
    if fusion is None:
        return table(HEAD, rows)
    fitted = document["profiles"][fusion]["fusion"]
    rows += [_fusion(kind, entry) for kind, entry in fitted.items()]
    points = [_point(kind, point, entry[point]) for kind, entry in fitted.items() for point in get_args(OperatingPoint)]
    return f"{table(HEAD, rows)}\n\n{table(POINTS, points)}"


def _rows(name: str, entry: dict[str, Any]) -> list[tuple[str, ...]]:
    if entry["checkpoint"] != committed_weights(REPOSITORY).get(name):
        raise RefusedResult(f"`{FILE.name}` was fitted to other weights of `{name}` than the committed ones")
    others = [_row(f"`{name}`", entry)] if "temperature" in entry else []
    return [*others, *([_row(f"`{name}`, still pictures", entry["still"])] if "still" in entry else [])]


def _row(name: str, entry: dict[str, Any]) -> tuple[str, ...]:
    clips = f"{entry['real_clips']} + {entry['fake_clips']}"
    fit = (f"{entry['temperature']:.2f}", f"{entry['bias']:.2f}")
    return (name, clips, _interval(entry["auc"]), f"{entry['ece']:.2f}", str(entry["date"]), *fit)


def _fusion(kind: str, entry: dict[str, Any]) -> tuple[str, ...]:
    clips = f"{entry['reals']} + {entry['fakes']}"
    return (f"verdict, {kind}", clips, _interval(entry["auc"]), f"{entry['ece']:.2f}", str(entry["date"]), "", "")


def _point(kind: str, point: str, entry: dict[str, float]) -> tuple[str, ...]:
    bounds = (f"{entry[word]:.3f}" if word in entry else "never" for word in ("fake", "real"))
    rates = (percent(entry[rate]) for rate in ("real_called_fake", "fake_called_real", "inconclusive"))
    return (kind, point, *bounds, *rates)


def _interval(values: Sequence[float]) -> str:
    value, low, high = values
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
