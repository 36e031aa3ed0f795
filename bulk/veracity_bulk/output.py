"""The folder or prefix of the rows. One process writes it, in whole files: that is what makes each row be there once.

OUT/rows/part-….parquet   the rows
OUT/dead-letters.csv      the files of the last run's input that have no verdict, with the reason
OUT/report.json           what the last run did, and its cost
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import obstore
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from veracity_bulk import files, lock, schema
from veracity_bulk.errors import OF_THE_FILE, OutputError
from veracity_client.errors import BadOption

ROWS = "rows"
NO_SPACE = os.strerror(errno.ENOSPC)
STANDING = frozenset(error.__name__ for kind in OF_THE_FILE for error in (kind, *kind.__subclasses__()))
INDEX = ["id", "uri", "content_sha256", "file_version", "server", "options", "error_class", "error", "attempts"]


@dataclass(frozen=True)
class Earlier:
    """A row of an earlier run that was asked for in the same way. ``part`` is its file."""

    part: str
    id: str
    content_sha256: str | None
    file_version: str | None
    error_class: str | None
    error: str | None
    attempts: int

    @property
    def stands(self) -> bool:
        """Whether another try would say the same again."""
        return self.content_sha256 is not None and (self.error_class is None or self.error_class in STANDING)


class Output:
    """The output at ``place``, a folder or ``s3://`` or ``gs://`` with a prefix. It is locked until the end.

    Raises :class:`BadOption` for a place that cannot be written or that another run writes.
    """

    def __init__(self, place: str) -> None:
        self._place, self._held = place.rstrip("/"), ExitStack()
        self._names = (f"{ROWS}/part-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}", 0)
        self.written = 0  # rows
        try:
            self._store, self._change = self._open()
        except (OSError, BaseError, ValueError) as error:
            self._held.close()
            raise BadOption(f"{place}: rows cannot be written there: {files.reason(error)}") from None

    def __enter__(self) -> Output:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._held.close()

    def earlier(self, server: str | None, options: str) -> dict[str, list[Earlier]]:
        """Return what is there of each file that was asked about in this way.

        Raises :class:`BadOption` where there are rows of another schema: nothing is written beside them.
        """
        found: dict[str, list[Earlier]] = defaultdict(list)
        for part in self._parts():
            for row in self._read(part, INDEX).to_pylist():
                if (row.pop("server"), row.pop("options")) == (server, options):
                    found[row.pop("uri")].append(Earlier(part, **row))
        return dict(found)

    def drop(self, rows: Mapping[str, Collection[str]]) -> None:
        """Take rows out of their files, ``{part: uris}``: errors that another try may mend, before it is made.

        A part is of one run, and has a file once.
        """
        for part, uris in rows.items():
            table = self._read(part)
            left = table.filter(pa.compute.invert(pa.compute.is_in(table["uri"], pa.array(list(uris), pa.string()))))
            if len(left):
                self._put(part, _parquet(left))
            else:
                self._delete(part)

    def write(self, rows: list[schema.Row]) -> None:
        """Write rows as one file, whole or not at all. Raises :class:`OutputError`."""
        if rows:
            prefix, number = self._names
            self._put(f"{prefix}-{number:06}.parquet", _parquet(schema.to_table(rows)))
            self._names = prefix, number + 1
            self.written += len(rows)

    def finish(self, dead: Iterable[tuple[str, str, str, int]], report: Mapping[str, Any]) -> None:
        """Write the dead letters and the report in place of those of an earlier run."""
        text = io.StringIO()
        lines = csv.writer(text)
        lines.writerow(("uri", "error_class", "error", "attempts"))
        lines.writerows(dead)
        self._put("dead-letters.csv", text.getvalue().encode(errors="surrogateescape"))
        self._put("report.json", json.dumps(report, indent=2).encode() + b"\n")

    def _open(self) -> tuple[ObjectStore, lock.Change]:
        if files.URI.fullmatch(self._place):
            next(iter(from_url(self._place).list(ROWS, chunk_size=1)), None)
            lease = self._held.enter_context(closing(lock.Lease(self._place)))
            return lease.store, lease.change
        folder = Path(self._place)
        (folder / ROWS).mkdir(parents=True, exist_ok=True)
        self._held.enter_context(lock.folder(folder))
        for half in (folder / ROWS).glob("*#*"):  # of a run that was ended
            half.unlink()
        return LocalStore(folder), lambda make: make()

    def _parts(self) -> list[str]:
        try:
            listed = [found["path"] for batch in self._store.list(ROWS) for found in batch]
        except (OSError, BaseError) as error:
            raise BadOption(f"{self._place}: {files.reason(error)}") from None
        return sorted(path for path in listed if path.endswith(".parquet"))

    def _read(self, part: str, columns: list[str] | None = None) -> pa.Table:
        try:
            with pa.parquet.ParquetFile(_Part(self._store, part)) as file:
                found = schema.version_of(file.schema_arrow.metadata)
                if found == schema.VERSION:
                    return file.read(columns)
        except (OSError, BaseError, pa.ArrowException) as error:
            raise BadOption(f"{self._place}/{part} cannot be read: {files.reason(error)}") from None
        raise BadOption(
            f"{self._place}/{part} has {f'the schema {found}' if found else 'no schema of ours'}, this command writes "
            f"{schema.VERSION}: nothing was changed; give another place"
        )

    def _put(self, name: str, content: bytes) -> None:
        """Write a file; on a disk it has another name until it is whole."""
        with self._said(name):
            self._change(lambda: self._store.put(name, content))

    def _delete(self, name: str) -> None:
        with self._said(name):
            self._change(lambda: self._store.delete(name))

    @contextmanager
    def _said(self, name: str) -> Iterator[None]:
        try:
            yield
        except (OSError, BaseError) as error:
            self._clean(name)
            reason = NO_SPACE if NO_SPACE in str(error) else files.reason(error)
            raise OutputError(
                f"{self._place}: {reason}; the {self.written} rows that this run wrote stay: "
                "give it room or rights and run the command again"
            ) from None

    def _clean(self, name: str) -> None:
        with suppress(OSError):
            for half in Path(self._place).glob(f"{name}#*"):
                half.unlink()


class _Part(io.RawIOBase):
    """A file of the store for pyarrow, which reads those pieces of it that it needs."""

    def __init__(self, store: ObjectStore, name: str) -> None:
        self._reader = obstore.open_reader(store, name)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = bytes(self._reader.read(len(buffer)))
        buffer[: len(found)] = found
        return len(found)

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())
