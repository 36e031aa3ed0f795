"""Keeps a second run out of an output: a folder by the system's lock of a file, a bucket by an object that is renewed.

No clock is compared with another one's. Whoever finds the object watches it: if it changes, its owner lives; if it
does not for ``LEASE_SECONDS``, its owner was killed, and the object is taken over. Each of these writes is conditional
(``If-None-Match``, ``If-Match``), so that of several runs one succeeds.
"""

from __future__ import annotations

import fcntl
import json
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from obstore.exceptions import AlreadyExistsError, BaseError, GenericError, PreconditionError
from obstore.store import ObjectStore, from_url

from veracity_bulk.errors import OutputError

if TYPE_CHECKING:
    from obstore import UpdateVersion
    from obstore.store import RetryConfig

Change = Callable[[Callable[[], object]], object]
"""Makes a change of the output while it is ours."""

NAME = "lock.json"
LEASE_SECONDS = 60.0
RENEW_SECONDS = 15.0
LOOK_SECONDS = 1.0
RETRIES: RetryConfig = {"retry_timeout": timedelta(seconds=25)}  # with a request's own 30 s less than the lease
TRIES = 6  # of a change, each of so many retries, before a store that does not answer ends the run
WATCHED = f"another run writes to it or was killed; which of them shows within {LEASE_SECONDS:.0f} s"
TAKEN = "another run writes to it; wait for its end or give another place"


@contextmanager
def folder(path: Path) -> Iterator[None]:
    """Hold a folder. Raises OSError where another run has it."""
    with (path / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(TAKEN) from None
        yield


class Lease:
    """Holds the prefix ``place`` of a bucket. Raises OSError where another run has it, and obstore's errors."""

    def __init__(self, place: str) -> None:
        self.store: ObjectStore = from_url(place, retry_config=RETRIES)
        self._place, self._run, self._renewed = place, uuid.uuid4().hex, 0
        self._version: UpdateVersion = {}
        self._writing, self._ended = threading.Lock(), threading.Event()
        self._take()
        self._renewer = threading.Thread(target=self._renew_often, daemon=True)
        self._renewer.start()

    def change(self, make: Callable[[], object]) -> None:
        """Change something in the bucket while it is ours. A store that does not answer is asked again.

        Raises :class:`OutputError` where another run took the bucket over, and obstore's errors.
        """
        for left in reversed(range(TRIES)):
            try:
                self._renew()
                make()
                return
            except GenericError:
                if not left:
                    raise

    def close(self) -> None:
        """Let others have it. What cannot be deleted they take over."""
        self._ended.set()
        self._renewer.join()
        with suppress(OSError, BaseError, OutputError):
            self.change(lambda: self.store.delete(NAME))

    def _take(self) -> None:
        seen, since = None, 0.0
        while not self._write("create"):
            found = self._there()
            if seen is None and found:
                sys.stderr.write(f"{self._place}: {WATCHED}\n")
                seen, since = found, time.monotonic()
            elif found and found != seen:
                raise OSError(TAKEN)
            elif seen and time.monotonic() - since >= LEASE_SECONDS and self._write(seen):
                return
            time.sleep(LOOK_SECONDS)
        with suppress(AlreadyExistsError):
            self.store.put(NAME, b"", mode="create")
            with suppress(BaseError):
                self.store.delete(NAME)
            raise OSError("the store ignores conditional writes, which keep a second run out: give a folder")

    def _renew_often(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            with suppress(OSError, BaseError, OutputError):  # the next change says so
                self._renew()

    def _renew(self) -> None:
        with self._writing:
            ours = self._write(self._version)
        if not ours:
            raise OutputError(f"{self._place}: another run took it over, or {NAME} was deleted there")

    def _write(self, mode: UpdateVersion | Literal["create"]) -> bool:
        """Write the object under a condition, and say whether it is ours then."""
        self._renewed += 1
        said = {"run": self._run, "host": socket.gethostname(), "renewed": self._renewed}
        try:
            self._version = _version(self.store.put(NAME, json.dumps(said).encode(), mode=mode))
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            return self._is_ours()
        return True

    def _is_ours(self) -> bool:
        """Whether a write that was refused had been done already, and its answer was lost."""
        try:
            found = self.store.get(NAME)
            ours = self._run.encode() in bytes(found.bytes())
        except FileNotFoundError:
            return False
        if ours:
            self._version = _version(found.meta)
        return ours

    def _there(self) -> UpdateVersion | None:
        try:
            return _version(self.store.head(NAME))
        except FileNotFoundError:
            return None


def _version(found: Any) -> UpdateVersion:
    """Return what a conditional write names: S3 has an ETag, Google a generation as well."""
    version: UpdateVersion = {"e_tag": found["e_tag"]}
    return version | {"version": found["version"]} if found.get("version") else version
