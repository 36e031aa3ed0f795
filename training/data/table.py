"""The table of items: ``sources.toml`` says what each set of items is, ``items.csv`` names the items.

A set shares origin, label, licence and part, so that a person can read and judge 200 sets instead of 3,000 items; the
items themselves are a CSV because that many rows are quicker to read, and easier to compare, than TOML.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from veracity.calibrate.errors import ManifestError
from veracity.install.files import write

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
Part = Literal["train", "development", "test"]
PARTS: tuple[Part, ...] = ("train", "development", "test")

_HEAD = """\
# What the media are, where they come from and which part they are in: `python -m training data summary`.
# Written by `python -m training data sources --write`; docs/training.md explains it. The items are in items.csv.
"""
_COLUMNS = ("set", "path", "at", "sha256", "recipe", "links")


@dataclass(frozen=True)
class Set:
    """Items of one origin that are alike; ``batch`` is the folder they are assembled in.

    ``origin`` is ``github:owner/name@commit``, ``pypi:``, ``npm:`` or ``debian:`` with package and version, or
    ``generated: how``. ``system`` made the fakes, ``era`` is its kind of method; ``groups`` are the voices, people and
    corpora that all of its items share, as ``links`` are those of one item.
    """

    id: str
    batch: str
    origin: str
    kind: str
    label: str
    how: str
    licence: str
    use: str
    system: str
    era: str
    groups: tuple[str, ...]
    part: Part = "train"


@dataclass(frozen=True)
class Item:
    """One file: ``at`` is its place at the origin, ``recipe`` how it is made of what lies there (:mod:`recipes`)."""

    set: Set
    path: str
    at: str
    sha256: str
    recipe: str
    links: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Its place in the assembled folder."""
        return f"{self.set.batch}/{self.path}"

    @property
    def groups(self) -> tuple[str, ...]:
        """All that it shares with other items: what may be in one part only."""
        system = (f"system:{self.set.system}",) if self.set.system else ()
        return (*system, *self.set.groups, *self.links)


def read(folder: Path = HERE) -> list[Item]:
    """Return the items of a table; raises ManifestError where it is damaged."""
    try:
        document = tomllib.loads((folder / "sources.toml").read_text(encoding="utf-8"))
        sets = {each["id"]: Set(**{**each, "groups": tuple(each["groups"])}) for each in document["set"]}
        with (folder / "items.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [
            Item(sets[row["set"]], row["path"], row["at"], row["sha256"], row["recipe"], tuple(row["links"].split()))
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(f"the table in {folder} cannot be read: {type(error).__name__}: {error}") from error


def written(items: Sequence[Item], folder: Path = HERE) -> dict[Path, bytes]:
    """Return the files of a table and their contents."""
    sets = sorted({item.set for item in items}, key=lambda each: each.id)
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for item in sorted(items, key=lambda each: (each.set.id, each.path)):
        writer.writerow((item.set.id, item.path, item.at, item.sha256, item.recipe, " ".join(item.links)))
    document = _HEAD + "".join(f"\n[[set]]\n{_fields(each)}" for each in sets)
    return {folder / "sources.toml": document.encode(), folder / "items.csv": rows.getvalue().encode()}


def save(items: Sequence[Item], folder: Path = HERE) -> None:
    """Write the table, whole or not at all."""
    write(written(items, folder))


def _fields(each: Set) -> str:
    """As TOML, whose strings and lists of strings JSON writes too."""
    values = ((field.name, getattr(each, field.name)) for field in fields(each))
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values)


def with_parts(items: Iterable[Item], parts: Iterable[Part]) -> list[Item]:
    """Return the items with the part of each put into its set."""
    return [replace(item, set=replace(item.set, part=part)) for item, part in zip(items, parts, strict=True)]
