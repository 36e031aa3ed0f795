"""What a command line names: files, folders with all files below them, and patterns like ``clips/*.mp4``."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from veracity_client.errors import BadOption, BadVideo

STANDARD_INPUT = "-"
NAMES = """
    3g2 3gp asf avi dv f4v flv gif m2ts m2v m4v mka mkv mov mp4 mpeg mpg mts mxf ogv rm rmvb ts vob webm wmv y4m
    aac aif aiff amr caf flac m4a mp3 oga ogg opus wav wma
    avif bmp heic heif jp2 jpeg jpg png tif tiff webp
"""
EXTENSIONS = frozenset(f".{name}" for name in NAMES.split())
"""Of the files in a folder that are analysed. A file that is named itself may be called anything."""


def expand(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the files in the order given, those of a folder sorted, and a line about each folder's other files.

    What cannot be found stays as it is, so that its error is reported under the name given.
    """
    files: list[str] = []
    notes: list[str] = []
    for name in names:
        for found in _matches(name):
            if os.path.isdir(found):  # noqa: PTH112 - Path.is_dir() raises for a name that is too long
                below, note = _folder(found)
                files += below
                notes += [note] if note else []
            else:
                files.append(found)
    return files, notes


def without(names: Iterable[str], results: str) -> list[str]:
    """Return each name once, and not that of the file of results, which a pattern like ``*`` finds beside the others.

    Raises :class:`BadOption` where that leaves none.
    """
    found = [name for name in dict.fromkeys(names) if os.path.abspath(name) != os.path.abspath(results)]  # noqa: PTH100 - Path.absolute() keeps ``..``
    if not found:
        raise BadOption(f"there is nothing to analyse but the file of results, {results}")
    return found


def open_input(name: str) -> str | BinaryIO:
    """Return the path, or standard input as a file of bytes; raises :class:`BadVideo` where that is closed."""
    if name != STANDARD_INPUT:
        return name
    try:  # not sys.stdin, whose lock a thread that still reads would hold when the process ends
        return os.fdopen(os.dup(0), "rb")
    except OSError as error:
        raise BadVideo(f"cannot read standard input: {error.strerror}") from None


def _matches(name: str) -> list[str]:
    if name == STANDARD_INPUT or os.path.lexists(name) or not glob.has_magic(name):
        return [name]
    return sorted(glob.glob(name, recursive=True)) or [name]  # noqa: PTH207 - Path.glob() takes no absolute pattern


def _folder(folder: str) -> tuple[list[str], str]:
    """Return a folder's media files; the folder itself where there is none, which is an error when it is read."""
    found: list[str] = []
    skipped: Counter[str] = Counter()
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            extension = Path(name).suffix.lower()
            if extension in EXTENSIONS:
                found.append(str(Path(place, name)))
            else:
                skipped[extension or "no extension"] += 1
    kinds = ", ".join(f"{count} {extension}" for extension, count in sorted(skipped.items()))
    note = f"{folder}: skipped {skipped.total()} of {skipped.total() + len(found)} files, not media by name ({kinds})"
    return found or [folder], note if skipped else ""
