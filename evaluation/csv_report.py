"""The figures of a measurement as one long CSV: a row a figure, for spreadsheets and for comparing runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from evaluation.aggregate import BOTH

HEAD = ("condition", "subject", "per", "by", "group", "label", "clips", "without_score", "measure", "value", "low",
        "high")  # fmt: skip
ALL = "all"
Row = tuple[Any, ...]


def write(conditions: Mapping[str, Mapping[str, Mapping[str, Any]]], forensic: Mapping[str, Any] | None = None) -> str:
    """A header and the rows of every condition's subjects, as ``evaluation.aggregate`` measures them.

    ``per`` is clip or item, ``label`` of a row of one label is held against all clips of the other and of its kinds;
    counts of a confusion matrix are measures called ``called …`` without an interval. ``forensic`` are the further
    measures of the first condition, as ``evaluation.practice`` has them.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEAD)
    for condition, subjects in conditions.items():
        for subject, found in subjects.items():
            writer.writerows((condition, subject, *row) for row in _rows(found))
    for subject, rows in (forensic or {"measures": {}})["measures"].items():
        first = next(iter(conditions))
        writer.writerows((first, subject, *row) for found in rows for row in _measures(found))
    return file.getvalue()


def _measures(found: Mapping[str, Any]) -> Iterator[Row]:
    by, group = (ALL, "") if found["kind"] == ALL else ("kind", found["kind"])
    yield from _figures(("clip", by, group, BOTH, found["real"] + found["fake"], 0), found)


def _rows(found: Mapping[str, Any]) -> Iterator[Row]:
    scored, missing = sum(found["scored"].values()), found["without_score"]
    clips = scored + missing["real"] + missing["fake"]
    yield from _figures(("clip", ALL, "", BOTH, clips, clips - scored), found)
    yield from _confusion(("clip", ALL, ""), found.get("confusion", {}))
    if items := found.get("items"):
        yield from _figures(("item", ALL, "", BOTH, clips, clips - scored), items)
        yield from _confusion(("item", ALL, ""), items["confusion"])
    for of, groups in found.get("by", {}).items():
        for group in groups:
            yield from _group(of, group)


def _group(of: str, group: Mapping[str, Any]) -> Iterator[Row]:
    about = (of, group[of], group["label"], group["clips"], group["clips"] - group["scored"])
    for word, count in group["called"].items():
        yield "clip", *about, f"called {word}", count, "", ""
    for per, found in (("clip", group), ("item", group.get("items"))):
        if found:
            yield from _figures((per, *about), found)


def _figures(about: Row, found: Mapping[str, Any]) -> Iterator[Row]:
    for name, figure in (found.get("figures") or {}).items():
        if figure:
            yield *about, name, figure["value"], figure["low"], figure["high"]


def _confusion(about: Row, confusion: Mapping[str, Mapping[str, int]]) -> Iterator[Row]:
    for label, row in confusion.items():
        for word, count in row.items():
            yield *about, label, "", "", f"called {word}", count, "", ""
