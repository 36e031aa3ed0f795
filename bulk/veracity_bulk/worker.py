"""What runs on every Ray node: read a file, ask a server about it, say how that ended. Errors are answers as well."""

from __future__ import annotations

import hashlib
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from veracity_bulk import files, schema
from veracity_bulk.errors import NOT_RETRIED
from veracity_client import Detector, Options
from veracity_client.errors import InternalError, VeracityError

LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True)
class Job:
    """What is asked, of whom. ``server`` and ``asked`` are what rows say of it; ``threads``: requests at once."""

    urls: tuple[str, ...]
    api_key: str | None
    options: Options
    server: str | None
    asked: str
    attempts: int
    seconds: float
    max_bytes: int
    threads: int
    places: float


@dataclass
class _File:
    """A file under way. ``content`` is kept between attempts."""

    uri: str
    content: bytes | None = None
    sha256: str | None = None
    version: str | None = None


class Worker:
    """Answers tables of files, ``job.threads`` files at once over all tables. Ray Data makes one a node."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._detector = Detector(list(job.urls), api_key=job.api_key, retries=0, timeout=job.seconds)
        self._pool = ThreadPoolExecutor(job.threads)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Take columns ``uri`` and ``earlier``; return ``uri`` and ``answer``, which is a row as JSON.

        ``earlier`` is JSON, ``[version, sha256, id]`` of each row that stands; ``{"kept": id}`` answers with it.
        """
        given = table.to_pylist()
        answers = list(self._pool.map(self._answer, [(item["uri"], json.loads(item["earlier"])) for item in given]))
        return pa.table({"uri": table["uri"], "answer": [json.dumps(answer) for answer in answers]})

    def _answer(self, item: tuple[str, list[list[str | None]]]) -> dict[str, Any]:
        file, earlier = _File(item[0]), item[1]
        for attempt in range(1, self._job.attempts + 1):
            try:
                found = self._kept(file, earlier) or schema.of_verdict(self._ask(file), self._job.places)
                break
            except VeracityError as error:
                found = schema.of_error(error)
                if isinstance(error, NOT_RETRIED):
                    break
            except Exception as error:  # a fault of ours costs this file alone
                found = schema.of_error(InternalError(f"{type(error).__name__}: {error}"))
            if attempt < self._job.attempts:
                time.sleep(min(LONGEST_PAUSE_SECONDS, 2.0 ** (attempt - 1)) * random.uniform(0.5, 1))  # noqa: S311 - nothing secret
        return found if "kept" in found else self._row(file, attempt) | found

    def _kept(self, file: _File, earlier: list[list[str | None]]) -> dict[str, Any] | None:
        """Read the file, if need be, and return the row that an earlier run has of this content."""
        if earlier and file.version is None:
            file.version = files.version(file.uri)
            for version, _, kept in earlier:
                if version is not None and version == file.version:
                    return {"kept": kept}
        if file.content is None:
            file.content, file.version = files.read(file.uri, self._job.max_bytes)
            file.sha256 = hashlib.sha256(file.content).hexdigest()
        return next(({"kept": kept} for _, sha256, kept in earlier if sha256 == file.sha256), None)

    def _ask(self, file: _File) -> Any:
        return self._detector.analyze(file.content or b"", self._job.options)

    def _row(self, file: _File, attempts: int) -> schema.Row:
        return {
            "id": schema.identity(file.sha256, self._job.server, self._job.asked),
            "uri": file.uri,
            "content_sha256": file.sha256,
            "bytes": None if file.content is None else len(file.content),
            "file_version": file.version,
            "server": self._job.server,
            "options": self._job.asked,
            "attempts": attempts,
            "finished": time.time(),
        }
