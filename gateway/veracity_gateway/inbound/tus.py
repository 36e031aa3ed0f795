"""Uploads that may be interrupted, as https://tus.io has them. A job in the state UPLOADING is the upload; how far it
is is the size of its file.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect

from veracity_client.errors import TooLarge, VeracityError
from veracity_gateway.errors import BadRequest, ChecksumMismatch, Conflict, Gone, NotFound, UploadBusy, UploadTimeout
from veracity_gateway.inbound.files import Received, cleaned, part_of
from veracity_gateway.jobs.asked import Asked
from veracity_gateway.jobs.intake import Intake
from veracity_gateway.jobs.queries import JobQueries
from veracity_gateway.jobs.store import NewJob
from veracity_gateway.jobs.tables import Job
from veracity_gateway.settings import Settings

CHECKSUMS = ("sha1", "sha256")
IDLE_SECONDS = 60.0  # without a byte; the upload is free for the next request then
WRITTEN_AT_ONCE = 1 << 20
FILE_NAME = ("filename", "name")
NOT_ASKED = (*FILE_NAME, "filetype", "type", "relativePath")  # what clients say of files by themselves


@dataclass(frozen=True)
class Checksum:
    """What a part was sent with."""

    algorithm: str
    digest: bytes


class Uploads:
    """Takes parts of files; the last one makes the job wait for its analysis."""

    def __init__(self, queries: JobQueries, intake: Intake, settings: Settings) -> None:
        self._queries, self._intake, self._settings = queries, intake, settings

    def begin(self, owner: str, length: int, metadata: str) -> Job:
        """Make the job of a file that is going to come. Raises TooLarge, and BadRequest for its metadata."""
        if length > self._settings.max_bytes:
            raise TooLarge(f"a file may have {self._settings.max_bytes:,} bytes")
        said = metadata_of(metadata)
        name = cleaned(next((said[key] for key in FILE_NAME if key in said), ""))
        asked = Asked.from_fields({key: value for key, value in said.items() if key not in NOT_ASKED})
        job = self._intake.begin(NewJob(owner, name, asked.options.to_json(), asked.keep_media, bytes=length))
        path = part_of(self._settings, job.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        return job

    def find(self, id_: str, owner: str) -> Job:
        """Return an upload of an owner, also one that is complete; raises NotFound."""
        job = self._queries.job(id_, owner)
        if job.source_url is not None or job.bytes is None:  # its file comes on another way
            raise NotFound(f"there is no upload {id_}")
        return job

    def offset(self, job: Job) -> int:
        """Return how many bytes are there."""
        if job.state != "UPLOADING":
            return job.bytes or 0
        try:
            return part_of(self._settings, job.id).stat().st_size
        except FileNotFoundError:
            return self._complete_or_gone(job)

    async def append(self, job: Job, body: AsyncIterator[bytes], offset: int, checksum: Checksum | None = None) -> int:
        """Add a part that begins at an offset and return the offset after it. What came of a part that was cut stays,
        unless it was sent with a checksum; of one that the disk did not take nothing does, or the disk stayed full.
        """
        if job.state != "UPLOADING":
            raise Conflict("the upload is complete")
        with self._opened(job) as file:
            size = os.fstat(file.fileno()).st_size
            if offset != size:
                raise Conflict(f"the upload is at {size:,} bytes, and not at {offset:,}")
            try:
                await _write(file, body, (job.bytes or 0) - size, checksum, self._settings.upload_seconds)
            except BaseException as error:
                if checksum or isinstance(error, OSError):
                    file.truncate(size)
                raise
            return await anyio.to_thread.run_sync(self._look, job, file)

    async def complete(self, job: Job) -> None:
        """Let a job wait for its analysis whose bytes are all there, where a gateway could not do so before."""
        if job.state == "UPLOADING" and self.offset(job) == job.bytes:
            with self._opened(job) as file:
                await anyio.to_thread.run_sync(self._look, job, file)

    def _look(self, job: Job, file: BinaryIO) -> int:
        size = os.fstat(file.fileno()).st_size
        if size == job.bytes:
            self._finish(job)
        return size

    def _finish(self, job: Job) -> None:
        path = part_of(self._settings, job.id)
        try:
            self._intake.finish(job, Received(job.name, path, job.bytes or 0, _sha256(path)))
        except (FileNotFoundError, NotFound):
            path.unlink(missing_ok=True)
            raise NotFound(f"the upload {job.id} was deleted") from None

    @contextmanager
    def _opened(self, job: Job) -> Generator[BinaryIO, None, None]:
        """Give the file to one request at a time, of all processes of this machine."""
        try:
            number = os.open(part_of(self._settings, job.id), os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            self._complete_or_gone(job)
            raise Conflict("the upload is complete") from None
        with os.fdopen(number, "ab", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UploadBusy("another request writes to this upload; try again") from None
            yield file

    def _complete_or_gone(self, job: Job) -> int:
        """Return the size of an upload that was completed a moment ago."""
        now = self._queries.job(job.id, job.owner)
        if now.state == "UPLOADING":
            raise Gone("what came of this upload is not here; begin it again")
        return now.bytes or 0


def metadata_of(header: str) -> dict[str, str]:
    """Read ``Upload-Metadata``: names, each with a value in base64, separated by commas. Raises BadRequest."""
    found: dict[str, str] = {}
    for pair in filter(None, (each.strip() for each in header.split(","))):
        name, _, value = pair.partition(" ")
        if name in found:
            raise BadRequest(f"Upload-Metadata has {name[:64]!r} twice")
        try:
            found[name] = base64.b64decode(value.strip(), validate=True).decode()
        except ValueError:
            raise BadRequest(f"Upload-Metadata: {name[:64]!r} is no UTF-8 in base64") from None
    return found


def checksum_of(header: str) -> Checksum | None:
    """Read ``Upload-Checksum``: an algorithm and a digest in base64; None where there is none."""
    algorithm, _, digest = header.partition(" ")
    return Checksum(algorithm, base64.b64decode(digest)) if header else None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(WRITTEN_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()


async def _write(
    file: BinaryIO, body: AsyncIterator[bytes], most: int, checksum: Checksum | None, seconds: float
) -> None:
    digest = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
    async for block in _blocks(body, anyio.current_time() + seconds):
        if len(block) > most:
            raise TooLarge("the part is longer than what the upload lacks")
        most -= len(block)
        if digest:
            digest.update(block)
        await anyio.to_thread.run_sync(file.write, block)
    if checksum and digest and digest.digest() != checksum.digest:
        raise ChecksumMismatch("the part does not have the checksum that it was sent with; send it again")


async def _blocks(body: AsyncIterator[bytes], until: float) -> AsyncGenerator[bytes, None]:
    """Yield a body in larger blocks, also the last one of a body that is cut."""
    waiting = bytearray()
    cut: VeracityError | None = None
    try:
        while True:
            with anyio.fail_after(min(IDLE_SECONDS, until - anyio.current_time())):
                waiting += await anext(body)
            if len(waiting) >= WRITTEN_AT_ONCE:
                yield bytes(waiting)
                waiting.clear()
    except StopAsyncIteration:
        pass
    except TimeoutError:
        cut = UploadTimeout("the part did not come in time; go on with the rest")
    except ClientDisconnect:
        cut = BadRequest("the body ended before it was complete")
    if waiting:
        yield bytes(waiting)
    if cut:
        raise cut
