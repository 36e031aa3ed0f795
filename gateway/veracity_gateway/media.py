"""The media of jobs, under the job's id: in a folder, or in a bucket of S3."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from veracity_client.errors import VeracityError
from veracity_gateway.errors import Gone, StorageFull, StoreUnavailable

CHUNK_BYTES = 1 << 20
NO_SPACE = os.strerror(errno.ENOSPC)


class MediaStore:
    """Whole files by id. What goes wrong at the store is :class:`StoreUnavailable` or :class:`StorageFull`."""

    def __init__(self, place: str | Path, *, retries: int = 5) -> None:
        """Use a folder, or ``s3://BUCKET/PREFIX`` with the keys that AWS's environment variables give."""
        self._store: ObjectStore
        if isinstance(place, Path):
            self._store = LocalStore(place, mkdir=True, automatic_cleanup=False)
        else:
            self._store = from_url(place, retry_config={"max_retries": retries})

    def put(self, id_: str, file: Path) -> None:
        """Keep a copy of a file."""
        try:
            self._store.put(id_, file)
        except BaseError as error:
            raise _unavailable(error) from error

    def read(self, id_: str) -> bytes:
        """Return the whole file; raises Gone where it is not there."""
        return b"".join(self.chunks(id_))

    def size(self, id_: str) -> int:
        """Return the bytes of a file; raises Gone where it is not there."""
        try:
            return int(self._store.head(id_)["size"])
        except FileNotFoundError:
            raise _gone() from None
        except BaseError as error:
            raise _unavailable(error) from error

    def chunks(self, id_: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from ``start`` to before ``end``; raises Gone where the file is not there."""
        end = self.size(id_) if end is None else end
        for first in range(start, end, CHUNK_BYTES):
            try:
                yield bytes(self._store.get_range(id_, start=first, end=min(first + CHUNK_BYTES, end)))
            except FileNotFoundError:
                raise _gone() from None
            except BaseError as error:
                raise _unavailable(error) from error

    def delete(self, id_: str) -> None:
        """Delete a file, if it is there."""
        try:
            self._store.delete(id_)
        except FileNotFoundError:
            return
        except BaseError as error:
            raise _unavailable(error) from error

    def older_than(self, seconds: float) -> list[str]:
        """Return the ids of files that were written before that time."""
        found: list[str] = []
        for batch in self._store.list():
            found += [each["path"] for each in batch if _written(each["last_modified"]) < seconds]
        return found

    def check(self) -> None:
        """Ask the store for anything; raises StoreUnavailable where it does not answer."""
        try:
            next(iter(self._store.list(chunk_size=1)), None)
        except BaseError as error:
            raise _unavailable(error) from error


def _written(at: datetime) -> float:
    return at.timestamp()


def _gone() -> Gone:
    return Gone("the media were deleted")


def _unavailable(error: BaseError) -> VeracityError:
    if NO_SPACE in str(error):
        return StorageFull("the store of media takes no more; nothing of this request was kept")
    return StoreUnavailable(f"the store of media does not answer: {type(error).__name__}")
