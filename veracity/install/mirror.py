"""A mirror: a folder that holds fetched files as ``sha256/DIGEST``, or a web server that shows such a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from veracity.catalog import Source
from veracity.install.files import WeightsError, atomic, sha256
from veracity.install.store import digest_of, require


def put(source: Source, weights: Path, mirror: Path) -> Path:
    """Copy a file of the weights folder into a mirror; returns its place there.

    Raises :class:`WeightsError` for a file that is missing or another one, and where the mirror cannot be written.
    """
    file, digest = require(source.name, weights), str(digest_of(source, weights))
    copy = mirror / "sha256" / digest
    try:
        if not copy.is_file() or sha256(copy) != digest:
            with atomic(copy) as out, file.open("rb") as whole:
                shutil.copyfileobj(whole, out)
    except OSError as error:
        raise WeightsError(f"{copy} cannot be written: {error.strerror or error}") from error
    return copy
