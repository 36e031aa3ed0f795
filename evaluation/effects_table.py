"""The documents' table of what each repair does alone, out of the result of ``python -m training effects``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evaluation.effects import AS_IT_IS, SEVERAL
from evaluation.markdown import NOTHING, figure, origin, percent, table
from evaluation.results import load
from evaluation.tables import block

HEAD = ("files", "what is done", "without it", "AUC", "inconclusive", "wrong, of those decided", "real called fake",
        "fake called real", "worst kind", "labels changed")  # fmt: skip
SHARES = ("inconclusive", "wrong", "real_called_fake", "fake_called_real", "worst_kind")
SAME = "same"
NOT_RECORDED = "not recorded"


@block
def effects(point: str = "screening") -> str:
    """Each kind of file as it is judged, and below it with one repair undone."""
    document = load("effects")
    return "\n\n".join(
        (table(HEAD, _rows(document, point)), _told(document), origin(document, "python -m training effects"))
    )


def _rows(document: Mapping[str, Any], point: str) -> Iterator[tuple[str, ...]]:
    wholes = [row for row in document["rows"] if row["repair"] == AS_IT_IS]
    for whole in wholes:
        yield (f"**{whole['kind']}**", f"**{AS_IT_IS}**", "", *_figures(whole, point))
        for row in document["rows"]:
            if row["kind"] == whole["kind"] and row is not whole:
                changes = row["auc"] != whole["auc"] or row["points"][point] != whole["points"][point]
                cells = _figures(row, point) if changes else (SAME,) * (len(HEAD) - 4) + ("0",)
                yield (row["kind"], row["repair"], row["without"], *cells)
    for what, why in document["not_undone"].items():
        yield ("", what, why, *(NOT_RECORDED,) + (NOTHING,) * (len(HEAD) - 4))


def _figures(row: Mapping[str, Any], point: str) -> tuple[str, ...]:
    of = row["points"][point]
    return (figure(row["auc"]), *(percent(of[share]) for share in SHARES), str(of["changed"]))


def _told(document: Mapping[str, Any]) -> str:
    """What the rows rest on, and how the score of real films goes with the number of faces in them."""
    wholes = [row for row in document["rows"] if row["repair"] == AS_IT_IS]
    drawn = ", ".join(f"{row['kind']} {row['real']} + {row['fake']} of {row['sources']} groups, {row['resampled']} "
                      "resampled" for row in wholes)  # fmt: skip
    faces = (
        f"{of['pooling']}, rank correlation {of['correlation']:+.2f}, {_mean(of['one'])} with one face and "
        f"{_mean(of['several'])} with {SEVERAL} or more"
        for of in document["faces"]
    )
    films = "".join(f" ({of['films']}, {of['films_of_several']} of them with several)" for of in document["faces"][:1])
    told = f" P(fake) of the faces of real films{films} by their number: {'; '.join(faces)}." if films else ""
    return f"Real and fake clips: {drawn}.{told}"


def _mean(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"
