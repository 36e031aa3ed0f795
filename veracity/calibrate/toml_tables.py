"""Puts tables into calibration.toml and leaves every other line of it as it is."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

from veracity.calibrate.labelled_outputs import CalibrationInputError
from veracity.decision.calibration import Calibration
from veracity.decision.toml_table import CalibrationError

Value = str | float | int | datetime.date | tuple["Value", ...] | Mapping[str, "Value"]
_HEADER = re.compile(r"^\[([^\[\]]+)\]", re.MULTILINE)


def put(text: str, tables: Mapping[str, Mapping[str, Value] | None]) -> str:
    """Return the file's text with these tables (dotted name → its keys) replaced or added; None takes one out.

    A new table stands after the last of its family, ``models`` or ``profiles``.
    """
    parts = _parts(text)
    before = tuple(parts)
    for name, values in tables.items():
        header = parts.pop(name, f"[{name}]").partition("\n")[0]  # with the comment that a person put there
        if values is not None:
            parts[name] = "\n".join((header, *(f"{key} = {plain(value)}" for key, value in values.items())))
    order = list(dict.fromkeys((*before, *tables)))
    families = list(dict.fromkeys(name.partition(".")[0] for name in order))
    ordered = sorted(parts, key=lambda name: (families.index(name.partition(".")[0]), order.index(name)))
    return "\n\n".join(parts[name].strip("\n") for name in ordered) + "\n"


def present(path: Path) -> Calibration:
    """What the file holds now. Raises CalibrationInputError."""
    try:
        return Calibration.read(path)
    except CalibrationError as error:
        raise CalibrationInputError(f"{path}: {error.message}") from error


def replace(path: Path, tables: Mapping[str, Mapping[str, Value] | None], base: Path | None = None) -> Calibration:
    """Write ``base`` (the file itself by default) with these tables changed, or leave the file untouched.

    What is written was read back whole. Raises CalibrationInputError.
    """
    try:
        text = put((base or path).read_text(encoding="utf-8"), tables)
        calibration = Calibration.parsed(text)
        unfinished = path.with_name(path.name + ".new")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise CalibrationInputError(f"{path} cannot be written: {error.strerror}") from error
    except CalibrationError as error:
        raise CalibrationInputError(f"{path} is left as it was: {error.message}") from error
    return calibration


def _parts(text: str) -> dict[str, str]:
    """The text by its tables, what stands before the first of them under an empty name."""
    cut = _HEADER.split(text)
    found = {"": cut[0]}
    for name, body in zip(cut[1::2], cut[2::2]):
        found[name] = f"[{name}]{body}"
    return found


def plain(value: Value) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return f"[{', '.join(map(plain, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {plain(one)}' for key, one in value.items())} }}"
    return "inf" if math.isinf(value) else repr(round(value, 4))
