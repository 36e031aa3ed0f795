"""Reviewed files as labelled clips, in the form that ``veracity calibrate`` and ``benchmarks accuracy`` read."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import PurePath
from typing import IO

from veracity_client.errors import VeracityError
from veracity_gateway.media import MediaStore
from veracity_gateway.reviews.reviews import Labelled

COLUMNS = ("video_id", "label", "split", "path", "source", "sha256", "reviewers")


def manifest(labelled: Sequence[Labelled]) -> str:
    """Return the table; ``path`` is where a file lies in the archive, ``source`` who sent it, where several did.

    With one source for all, a fit could hold nothing out: without any, ``veracity calibrate`` deals them to parts.
    """
    several = len({each.job.owner for each in labelled}) > 1
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for each in labelled:
        job = each.job
        writer.writerow({
            "video_id": job.id, "label": each.truth, "split": "val", "path": _path(each),
            "source": job.owner if several else "", "sha256": job.sha256, "reviewers": each.reviewers,
        })  # fmt: skip
    return out.getvalue()


def write_archive(labelled: Sequence[Labelled], media: MediaStore, out: IO[bytes]) -> None:
    """Write a zip of the table and the files that are kept; of others there is no row, since nothing could read it."""
    with zipfile.ZipFile(out, "w") as archive:
        kept = [each for each in labelled if each.job.media and _add(archive, each, media)]
        archive.writestr("manifest.csv", manifest(kept))


def _add(archive: zipfile.ZipFile, each: Labelled, media: MediaStore) -> bool:
    try:
        size = media.size(each.job.id)
    except VeracityError:
        return False
    entry = zipfile.ZipInfo(_path(each))
    entry.file_size = size
    with archive.open(entry, "w", force_zip64=True) as file:
        for chunk in media.chunks(each.job.id, 0, size):
            file.write(chunk)
    return True


def _path(each: Labelled) -> str:
    suffix = PurePath(each.job.name).suffix.lower()
    return f"media/{each.job.id}{suffix if re.fullmatch(r'[.][a-z0-9]{1,8}', suffix) else ''}"
