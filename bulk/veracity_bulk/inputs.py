"""What a run is about: a folder, a prefix of a bucket, one file, or a manifest that lists files, as CSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from obstore.exceptions import BaseError

from veracity_bulk import files
from veracity_bulk.errors import Unreadable
from veracity_client.errors import BadOption, VeracityError
from veracity_client.inputs import EXTENSIONS, expand

MANIFESTS = (".csv", ".parquet")
MANIFEST_BYTES = 4 << 30


@dataclass(frozen=True)
class Entry:
    """A file of the input; ``version`` where it is known without asking its store once more."""

    uri: str
    version: str | None = None


def entries(given: str, column: str) -> tuple[list[Entry], list[str]]:
    """Return the files, each once, and a line about each thing that was left out.

    Raises :class:`BadOption` for an input that cannot be read, is no manifest or names no file.
    """
    try:
        found, notes = _of(given, column)
    except (VeracityError, BaseError, OSError) as error:
        raise BadOption(f"{given}: {files.reason(error)}") from None
    once = list({entry.uri: entry for entry in found}.values())
    if not once:
        raise BadOption(f"{given} names no file to analyse{': ' if notes else ''}{'; '.join(notes)}")
    if doubled := len(found) - len(once):
        notes.append(f"{given}: {doubled} names are given more than once; a file gets one row")
    return once, notes


def _of(given: str, column: str) -> tuple[list[Entry], list[str]]:
    if PurePosixPath(given).suffix.lower() in MANIFESTS:
        return _manifest(given, column)
    scheme, rest = files.split(given)
    if scheme in files.BUCKETS:
        return _bucket(given, scheme, rest)
    if scheme:
        return [Entry(given)], []
    if not Path(given).exists():
        raise Unreadable("there is no such file or folder")
    names, notes = expand([str(Path(given).resolve())])
    return [_local(name) for name in names if Path(name).is_file()], notes


def _bucket(given: str, scheme: str, rest: str) -> tuple[list[Entry], list[str]]:
    store, prefix = files.bucket(scheme, rest)
    place = f"{scheme}://{rest.partition('/')[0]}"
    listed = list(chain.from_iterable(store.list(prefix or None)))
    media = [found for found in listed if PurePosixPath(found["path"]).suffix.lower() in EXTENSIONS]
    skipped = len(listed) - len(media)
    notes = [f"{given}: skipped {skipped} of {len(listed)} objects, not media by name"] if skipped else []
    return [Entry(f"{place}/{found['path']}", files.object_version(found)) for found in media], notes


def _manifest(given: str, column: str) -> tuple[list[Entry], list[str]]:
    content, _ = files.read(given, MANIFEST_BYTES)
    names = [name.strip() for name in _column(content, given, column)]
    empty = names.count("")
    notes = [f"{given}: {empty} rows have nothing in the column {column!r}, and are no files"] if empty else []
    base = given.rpartition("/")[0] if files.URI.fullmatch(given) else str(Path(given).resolve().parent)
    return [_listed(name, base) for name in names if name], notes


def _column(content: bytes, given: str, column: str) -> Iterator[str]:
    buffer = pa.BufferReader(content)
    try:
        if given.lower().endswith(".parquet"):
            table = pa.parquet.read_table(buffer)
        else:  # every column as text: a name of digits alone is no number
            names = pa.csv.open_csv(pa.BufferReader(content)).schema.names
            table = pa.csv.read_csv(
                buffer, convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
            )
    except pa.ArrowException as error:
        raise Unreadable(f"it cannot be read as a manifest: {files.reason(error)}") from None
    if column not in table.column_names:
        raise Unreadable(f"it has no column {column!r} but {', '.join(table.column_names)}: --column NAME")
    return ("" if name is None else str(name) for name in table.column(column).to_pylist())


def _listed(name: str, base: str) -> Entry:
    if files.URI.fullmatch(name):
        return Entry(name)
    if files.URI.fullmatch(base):
        return Entry(f"{base}/{name}")
    return _local(str(Path(base, name)))


def _local(path: str) -> Entry:
    try:
        return Entry(path, files.local_version(Path(path).stat()))
    except (OSError, ValueError):  # its row will say so
        return Entry(path)
