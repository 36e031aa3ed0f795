"""Works on jobs: as many at a time as the servers analyse, each under a lease that is renewed while it lives."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import anyio
import anyio.to_thread
import structlog

from veracity_client import telemetry
from veracity_client.errors import InternalError, ModelUnavailable, Overloaded, ServerUnavailable, VeracityError
from veracity_client.verdict import Verdict
from veracity_gateway import provenance
from veracity_gateway.background import AGAIN_SECONDS, safely
from veracity_gateway.database import AWAY
from veracity_gateway.errors import StoreUnavailable, UrlTimeout, UrlUnavailable
from veracity_gateway.inbound.files import inspected
from veracity_gateway.jobs.downloads import Downloads
from veracity_gateway.jobs.servers import INFO_SECONDS, Servers, options_of
from veracity_gateway.jobs.store import Jobs
from veracity_gateway.jobs.tables import ENDED, Job
from veracity_gateway.media import MediaStore
from veracity_gateway.settings import Settings

log = structlog.get_logger()

LOOK_SECONDS = 1.0  # how often a free worker looks for jobs that another gateway took in
FIRST_PAUSE = 2.0  # seconds before a job is tried again whose server was away; doubles
LONGEST_PAUSE, MOST_DOUBLINGS = 60.0, 6
THREADS = 64
PROVENANCE_SECONDS, PROVENANCE_BYTES_A_SECOND = 20.0, 20e6
PASSING = (Overloaded, ModelUnavailable, ServerUnavailable, StoreUnavailable)  # errors that another try may not meet

URL_PASSING = (UrlTimeout, UrlUnavailable)
DOWNLOADS_AT_ONCE = 2
MOST_DOWNLOADS = 3  # times that an address is asked which does not answer

Result = TypeVar("Result")
Claim = Callable[[str, float], "Job | None"]
Work = Callable[[Job, str], Awaitable[None]]


class Runner:
    """Takes jobs until it is cancelled; those under way are given back then."""

    def __init__(
        self, jobs: Jobs, media: MediaStore, servers: Servers, settings: Settings, downloads: Downloads
    ) -> None:
        self._jobs, self._media, self._servers, self._settings = jobs, media, servers, settings
        self._downloads = downloads
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._limiter = anyio.CapacityLimiter(THREADS)  # apart from that of requests, which may be slow
        self._wake = anyio.Event()
        self._answers_since = time.monotonic()  # the database

    async def run(self) -> None:
        """Work."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._take_over)
            for _ in range(DOWNLOADS_AT_ONCE):
                group.start_soon(self._work, self._jobs.claim_download, self._download)
            workers = 0
            while True:  # servers that come later may analyse more at a time
                wanted = self._settings.jobs_at_once or await self._call(self._servers.at_once) or 1
                for _ in range(workers, wanted):
                    group.start_soon(self._work, self._jobs.claim, self._analyze)
                workers = max(workers, wanted)
                await anyio.sleep(INFO_SECONDS)

    def wake(self) -> None:
        """Say that there is a new job."""
        self._wake.set()
        self._wake = anyio.Event()

    def cancel(self, id_: str) -> None:
        """Stop working on a job at once, if it is this runner's; another's notices when it renews its lease."""
        if scope := self._scopes.get(id_):
            scope.cancel()

    @property
    def under_way(self) -> int:
        """How many jobs it works on."""
        return len(self._scopes)

    async def _take_over(self) -> None:
        """Take jobs over whose lease ran out; not before those that live could renew theirs after an outage."""
        while True:
            if time.monotonic() - self._answers_since > self._settings.lease_seconds:
                for id_ in await self._call(self._jobs.take_over, self._settings.max_crashes) or ():
                    log.warning("a job is taken over from a gateway that died", job=id_)
            await anyio.sleep(self._settings.lease_seconds / 2)

    async def _work(self, claim: Claim, work: Work) -> None:
        while True:
            wake, lease = self._wake, uuid4().hex
            job = await self._call(claim, lease, self._settings.lease_seconds)
            if job is None:
                with anyio.move_on_after(LOOK_SECONDS):
                    await wake.wait()
            elif job.state not in ENDED:  # else it was answered from the store
                await self._process(job, lease, work)

    async def _process(self, job: Job, lease: str, work: Work) -> None:
        """Work on a job under a lease that is this claim's alone: who lost one and took the job again has another."""
        with anyio.CancelScope() as scope:
            self._scopes[job.id] = scope
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._renew, job.id, lease, scope)
                    await self._try(job, lease, work)
                    group.cancel_scope.cancel()
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):  # nothing happens where the job was deleted
                    await self._call(self._jobs.give_back, job.id, lease, 0.0)
                raise
            finally:
                if self._scopes.get(job.id) is scope:
                    del self._scopes[job.id]

    async def _renew(self, id_: str, lease: str, scope: anyio.CancelScope) -> None:
        while True:
            await anyio.sleep(self._settings.lease_seconds / 3)
            while (held := await self._call(self._jobs.renew, id_, lease, self._settings.lease_seconds)) is None:
                pass  # after an outage before others take it for lost
            if not held:
                scope.cancel()

    async def _analyze(self, job: Job, lease: str) -> None:
        video = await self._in_thread(self._media.read, job.id)
        if job.provenance is None:
            await self._insist(self._jobs.found_out, job.id, await self._in_thread(self._provenance_of, job, video))
        async with aclosing(self._servers.stages(video, options_of(job.options))) as events:
            async for event in events:
                if isinstance(event, Verdict):
                    said = await self._in_thread(self._servers.fingerprint)
                    await self._insist(self._jobs.complete, job.id, lease, event, said)
                elif await self._call(self._jobs.happened, job.id, lease, event) is False:
                    return

    async def _download(self, job: Job, lease: str) -> None:
        await self._downloads.fetch(job, lease)
        self.wake()

    async def _try(self, job: Job, lease: str, work: Work) -> None:
        parent = {"traceparent": job.traceparent} if job.traceparent else None
        try:
            with telemetry.span("job", parent, job=job.id, attempt=job.attempts):
                await work(job, lease)
        except VeracityError as error:
            await self._failed(job, lease, error)
        except AWAY:
            await self._failed(job, lease, StoreUnavailable("the database does not answer"))
        except Exception:
            log.exception("a job failed", job=job.id)
            await self._failed(job, lease, InternalError(f"a fault of ours; the log has it under the job {job.id}"))

    def _provenance_of(self, job: Job, video: bytes) -> dict[str, Any]:
        """Return what the file says of itself: it is kept beside the verdict, which it does not touch."""
        folder = inspected(self._settings)
        seconds = PROVENANCE_SECONDS + len(video) / PROVENANCE_BYTES_A_SECOND
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder) as file:
                file.write(video)
                file.flush()
                return provenance.read(Path(file.name), seconds=seconds).to_dict()
        except OSError as error:  # the verdict does not wait for it
            log.exception("provenance could not be read", job=job.id)
            return {"state": "unreadable", "reason": f"it could not be looked at: {error.strerror}"}

    async def _failed(self, job: Job, lease: str, error: VeracityError) -> None:
        log.info("a job met an error", job=job.id, error=error.to_wire(), attempt=job.attempts)
        try:
            if self._may_pass(job, error):
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(job.attempts - 1, MOST_DOUBLINGS))
                await self._insist(partial(self._jobs.give_back, failed=True), job.id, lease, pause)
            else:
                await self._insist(self._jobs.fail, job.id, lease, error)
        except Exception:
            log.exception("a job's error could not be kept", job=job.id)

    def _may_pass(self, job: Job, error: VeracityError) -> bool:
        if isinstance(error, URL_PASSING):
            return job.attempts < MOST_DOWNLOADS
        failing = 0.0 if job.failing_since is None else time.time() - job.failing_since
        return isinstance(error, PASSING) and failing < self._settings.retry_seconds

    async def _call(self, call: Callable[..., Result], *args: object) -> Result | None:
        return await safely(call, *args, limiter=self._limiter, away=self._database_is_away)

    async def _insist(self, call: Callable[..., Result], *args: object) -> Result:
        """Call until the database answers: an outage loses no job's end, nor does it look like a gateway's death."""
        while True:
            try:
                return await self._in_thread(call, *args)
            except AWAY as error:
                self._database_is_away()
                log.warning("the database does not answer", error=type(error).__name__)
                await anyio.sleep(AGAIN_SECONDS)

    def _database_is_away(self) -> None:
        self._answers_since = time.monotonic()

    async def _in_thread(self, call: Callable[..., Result], *args: object) -> Result:
        return await anyio.to_thread.run_sync(partial(call, *args), limiter=self._limiter)
