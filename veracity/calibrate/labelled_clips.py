"""A user's own labelled clips: a folder with real/ and fake/, or a CSV."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from veracity.calibrate.errors import ManifestError
from veracity.calibrate.scores import Split

LABELS = {"real": False, "0": False, "fake": True, "1": True}
PARTS = 10  # of a collection whose sources are not known: each is scored by a fit on the others


@dataclass(frozen=True)
class FolderClip:
    """One labelled file. ``kind`` is known once the file was analysed; ``source`` is the collection that it is of."""

    path: Path
    fake: bool
    source: str
    kind: str = ""
    how: str = ""
    person: str = ""
    maker: str = ""
    fake_seconds: tuple[tuple[float, float], ...] = ()
    places: tuple[tuple[float, float], ...] = ()
    fake_person: tuple[tuple[float, float], ...] = ()
    original: str = ""

    @property
    def id(self) -> str:
        """The path, by which a second run finds what the first one scored."""
        return str(self.path)

    @property
    def split(self) -> Split:
        """A user's clips are for calibration."""
        return "validation"


def read_clips(where: Path) -> list[FolderClip]:
    """Read a folder or a CSV with the columns path, label and source (optional).

    In a folder, the first folder below real/ or fake/ is the source. Raises :class:`ManifestError`.
    """
    clips = list(_folder(where) if where.is_dir() else _table(where))
    found = {clip.fake for clip in clips}
    if len(found) < 2:
        missing = "real or fake clips" if not found else "fake clips" if False in found else "real clips"
        raise ManifestError(f"{where} holds no {missing}: put files below real/ and fake/, or name them in a CSV")
    return clips


def _folder(where: Path) -> Iterator[FolderClip]:
    for label, fake in (("real", False), ("fake", True)):
        for path in sorted(path for path in (where / label).rglob("*") if path.is_file() and path.name[0] != "."):
            below = path.relative_to(where / label).parts
            yield FolderClip(path, fake, below[0] if len(below) > 1 else _part(path))


def _table(where: Path) -> Iterator[FolderClip]:
    for number, row in enumerate(_rows(where), start=2):
        label, path = str(row.get("label", "")).strip().lower(), where.parent / str(row.get("path") or "")
        if label not in LABELS:
            raise ManifestError(f"{where} line {number}: label is {label!r}, not one of {', '.join(LABELS)}")
        if not path.is_file():
            raise ManifestError(f"{where} line {number}: no file {row.get('path')!r}")
        yield FolderClip(path, LABELS[label], row.get("source") or _part(path))


def _rows(where: Path) -> Sequence[dict[str, str]]:
    try:
        with where.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{where} cannot be read: {error}") from error
    if not {"path", "label"} <= set(reader.fieldnames or ()):
        raise ManifestError(f"{where} needs the columns path and label; it has {', '.join(reader.fieldnames or ())}")
    return rows


def _part(path: Path) -> str:
    """One of PARTS by the file's name, the same in every run."""
    return f"part {hashlib.sha256(path.name.encode()).digest()[0] % PARTS + 1}"
