"""The model repository of an installed package: its own files, copied to where graphs can be built beside them.

Triton serves one folder. What comes with the package lies in ``site-packages``, which may be read-only and belongs to
everybody; what is built belongs to one user. In a checkout both are ``model_repository/`` already.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from veracity import __version__
from veracity.install import locations
from veracity.install.files import WeightsError, write
from veracity.install.graphs.recipe import BUILDERS, is_current
from veracity.install.lock import exclusive

STAMP = ".veracity.json"  # in a repository that we copy to: which version it is of, and the copied files


def is_ours(repository: Path) -> bool:
    """Return whether the folder is one that we fill: the default one, or one that was filled before."""
    return repository == locations.MODEL_REPOSITORY or (repository / STAMP).is_file()


def is_prepared(repository: Path) -> bool:
    """Return whether the folder holds what comes with this version, with nothing left of another."""
    source = locations.packaged_repository()
    return repository == source or _stamp(repository) == _contents(source)


def is_read_only(repository: Path) -> bool:
    """Return whether the folder is there and not ours to write: a volume that somebody else has filled."""
    return repository.is_dir() and not os.access(repository, os.W_OK)


def prepare(repository: Path) -> None:
    """Copy what comes with this version into ``repository``; take out what only another version had.

    Graphs that were built of another version's parts go as well, and are built anew. What else lies there stays.
    A folder with files of somebody else's is left alone. Raises :class:`WeightsError` where it cannot be written.
    """
    if is_prepared(repository) or not (is_ours(repository) or _is_empty(repository)):
        return
    make_folder(repository, "VERACITY_MODEL_REPOSITORY")
    source = locations.packaged_repository()
    try:
        with exclusive(repository):
            if not is_prepared(repository):
                _copy(source, repository)
    except OSError as error:
        raise not_writable(repository, error, "VERACITY_MODEL_REPOSITORY") from error


def make_folder(folder: Path, variable: str) -> None:
    """Make a folder with its parents; raises :class:`WeightsError` that says which variable names another."""
    try:
        if not folder.is_absolute() and str(folder).startswith("~"):  # platformdirs found no home
            raise FileNotFoundError(2, "this user has no home directory")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error, variable) from error


def not_writable(folder: Path, error: OSError, variable: str) -> WeightsError:
    """Say that a folder cannot be written, and which variables move it."""
    return WeightsError(
        f"{folder} cannot be written ({error.strerror or error}): set {variable} to a folder of yours, or "
        "XDG_DATA_HOME, under which both VERACITY_MODEL_REPOSITORY and VERACITY_WEIGHTS lie by default"
    )


def _copy(source: Path, repository: Path) -> None:
    contents, before = _contents(source), _stamp(repository)
    for path in set(before["files"]) - set(contents["files"]):
        (repository / path).unlink(missing_ok=True)
    write({repository / path: (source / path).read_bytes() for path in contents["files"]})
    for name in BUILDERS:
        if not is_current(name, repository):
            (repository / name / "1" / "model.onnx").unlink(missing_ok=True)
            (repository / name / "provenance.json").unlink(missing_ok=True)
    write({repository / STAMP: json.dumps(contents, indent=1).encode()})  # at the end: what broke off is done again


def _contents(source: Path) -> dict[str, Any]:
    files = sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    digests = {str(path.relative_to(source)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return {"version": __version__, "files": digests}


def _stamp(repository: Path) -> dict[str, Any]:
    try:
        stamp = json.loads((repository / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"files": {}}
    return stamp if isinstance(stamp, dict) and isinstance(stamp.get("files"), dict) else {"files": {}}


def _is_empty(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
