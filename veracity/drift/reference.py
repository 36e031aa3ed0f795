"""What the calibration's clips were like, kept beside the calibration: ``calibration.reference.json``.

{"schema": "veracity/reference/1", "profile": "starter",
 "kinds": {"film": {"calibration": digest of what was fitted, "date": "2026-11-30", "real": 812, "fake": 640,
                    "histograms": {"verdict": {"real": [counts], "fake": [counts], "edges": [numbers]}, …}}}}
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from veracity.catalog import LAYERS, MODELS
from veracity.catalog.layers import FileKind
from veracity.catalog.profiles import PROFILES
from veracity.decision.calibration import FILE, Calibration
from veracity.drift.histogram import Histogram
from veracity.drift.observed import FACTS, VERDICT, facts_of
from veracity_client.errors import VeracityError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SUFFIX = ".reference.json"
IN_WORDS: Mapping[FileKind, str] = {"sound": "sound files", "still": "pictures", "film": "films"}
_SAID = {"statement", "data", "date"}  # of a table: what is for people


class NoReference(VeracityError):
    """There is nothing that reports could be compared with; the message says why, and what to do."""


class KindReference(msgspec.Struct, frozen=True):
    """Histograms of one kind of file, and the digest of the calibration that its scores are by."""

    calibration: str
    date: str
    real: int
    fake: int
    histograms: dict[str, Histogram]


class Reference(msgspec.Struct, frozen=True):
    """The whole file."""

    profile: str
    kinds: dict[FileKind, KindReference]
    schema: Literal["veracity/reference/1"] = "veracity/reference/1"


def path_of(calibration: Path) -> Path:
    """Return where the reference of a calibration lies."""
    return calibration.with_suffix(SUFFIX)


def of_kind(
    kind: FileKind,
    fakes: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float64],
    fused: npt.NDArray[np.float64],
    cues: Sequence[Mapping[str, float | str]],
) -> dict[str, Histogram]:
    """Count n labelled clips: ``scores`` [n, layers], NaN where a layer has none, and ``fused`` [n] are held out."""
    facts = [facts_of(each, kind) for each in cues]
    columns: dict[str, list[float | str | None]] = {VERDICT: list(map(float, fused))}
    for column, layer in zip(scores.T, LAYERS):
        columns[layer.key] = [None if np.isnan(score) else float(score) for score in column]
    for name in FACTS[kind]:
        if all(name in each for each in facts):  # else it would be compared with some of them alone
            columns[name] = [each[name] for each in facts]
    counted = {name: Histogram.of(values, fakes) for name, values in columns.items()}
    return {name: histogram for name, histogram in counted.items() if histogram is not None}


def write(
    calibration: Path, profile: str, date: str, counted: Mapping[FileKind, dict[str, Histogram]], base: Path
) -> Path:
    """Write the reference beside a calibration that was just fitted; other kinds of file keep what ``base`` has.

    What was written for other numbers than ``calibration`` holds is left out. Raises OSError.
    """
    text = calibration.read_text(encoding="utf-8")
    kinds: dict[FileKind, KindReference] = {}
    before = path_of(base)
    if before.is_file() and (old := _decoded(before)).profile == profile:
        kinds = {kind: one for kind, one in old.kinds.items() if one.calibration == digest(text, profile, kind)}
    fusions = tomllib.loads(text)["profiles"][profile]["fusion"] if counted else {}
    for kind, histograms in counted.items():
        clips = fusions[kind]["reals"], fusions[kind]["fakes"]
        kinds[kind] = KindReference(digest(text, profile, kind), date, *clips, histograms)
    target = path_of(calibration)
    part = target.with_name(target.name + ".new")
    part.write_text(_one_line_each(Reference(profile, kinds)), encoding="utf-8")
    part.replace(target)
    return target


def read(calibration: Path, profile: str) -> Reference:
    """Read what belongs to a calibration. Raises :class:`NoReference`."""
    path = path_of(calibration)
    if not path.is_file():
        raise NoReference(
            f"{calibration} has no {path.name} beside it, as calibrations before this version: run "
            "`veracity calibrate` on its clips or score files again, which writes it"
        )
    found = _decoded(path)
    if found.profile != profile:
        raise NoReference(f"{path} is of the profile {found.profile}, not of {profile}")
    text = calibration.read_text(encoding="utf-8")
    if outdated := [IN_WORDS[k] for k, one in found.kinds.items() if one.calibration != digest(text, profile, k)]:
        raise NoReference(
            f"{path.name} was written with other numbers for {', '.join(outdated)} than {calibration} has: "
            "run `veracity calibrate` again"
        )
    return found


def belonging(calibration: Path | None, profile: str) -> tuple[Calibration, Reference]:
    """Return a profile's calibration, the installed one by default, and its reference. Raises NoReference."""
    path = calibration or FILE
    return Calibration.read(path).of(profile), read(path, profile)


def digest(calibration: str, profile: str, kind: FileKind) -> str:
    """Return the digest of what was fitted for a kind of file: its fusion and its models, without words for people."""
    data = tomllib.loads(calibration)
    models = [name for models in PROFILES[profile].values() for name, _ in models if kind in MODELS[name].file_kinds]
    fusion: dict[str, Any] = data.get("profiles", {}).get(profile, {}).get("fusion", {}).get(kind, {})
    fitted = {"fusion": _fitted(fusion), "models": {name: _fitted(data["models"].get(name, {})) for name in models}}
    return hashlib.sha256(json.dumps(fitted, sort_keys=True, default=str).encode()).hexdigest()


def _fitted(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in _SAID}


def _decoded(path: Path) -> Reference:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Reference)
    except (OSError, msgspec.DecodeError) as error:
        raise NoReference(f"{path} cannot be read: {error}; run `veracity calibrate` again") from None


def _one_line_each(reference: Reference) -> str:
    """As JSON, a histogram a line, so that a change of one shows as one."""
    whole = msgspec.to_builtins(reference)
    kinds = []
    for kind, one in whole["kinds"].items():
        lines = ",\n".join(f"   {json.dumps(name)}: {json.dumps(h)}" for name, h in one.pop("histograms").items())
        kinds.append(f'  {json.dumps(kind)}: {json.dumps(one)[:-1]}, "histograms": {{\n{lines}}}}}')
    return '{{"schema": {}, "profile": {}, "kinds": {{\n{}}}}}\n'.format(
        json.dumps(reference.schema), json.dumps(reference.profile), ",\n".join(kinds)
    )
