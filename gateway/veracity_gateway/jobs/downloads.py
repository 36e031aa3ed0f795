"""Fetches the files of jobs that named an address."""

from __future__ import annotations

import errno
import time
from functools import partial

import anyio.to_thread

from veracity_client.verdict import StageEvent, StageStatus
from veracity_gateway.errors import NotFound, StorageFull
from veracity_gateway.inbound.files import Received
from veracity_gateway.inbound.urls import fetch
from veracity_gateway.jobs.intake import Intake
from veracity_gateway.jobs.store import Jobs
from veracity_gateway.jobs.tables import Job
from veracity_gateway.outbound import Outbound
from veracity_gateway.settings import Settings

STAGE = "download"
STEP = 0.1  # of the file, between two events


class Downloads:
    """Fetches files under the lease of a runner."""

    def __init__(self, jobs: Jobs, intake: Intake, outbound: Outbound, settings: Settings) -> None:
        self._jobs, self._intake, self._outbound, self._settings = jobs, intake, outbound, settings

    async def fetch(self, job: Job, runner: str) -> None:
        """Fetch the file of a job and let the job wait for its analysis; raises what :func:`fetch` raises."""
        said = _Said(self._jobs, job.id, runner)
        await said.happened("started")
        try:
            file = await fetch(
                job.source_url or "", self._intake.folder, self._settings,
                outbound=self._outbound, progress=said.progress,
            )  # fmt: skip
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("the disk of the gateway is full") from None
            raise
        try:
            if await said.happened("done"):  # else another has the job, or it was deleted
                await anyio.to_thread.run_sync(self._finish, job, file)
        finally:
            file.discard()

    def _finish(self, job: Job, file: Received) -> None:
        try:
            self._intake.finish(job, file)
        except NotFound:
            return  # deleted a moment ago


class _Said:
    """Notes how far a download is, at most every tenth of it."""

    def __init__(self, jobs: Jobs, id_: str, runner: str) -> None:
        self._jobs, self._id, self._runner = jobs, id_, runner
        self._begun = time.monotonic()
        self._fraction = 0.0

    async def happened(self, status: StageStatus, progress: float | None = None) -> bool:
        seconds = round(time.monotonic() - self._begun, 3)
        event = StageEvent(STAGE, status, seconds, progress)
        return await anyio.to_thread.run_sync(partial(self._jobs.happened, self._id, self._runner, event))

    async def progress(self, fraction: float) -> None:
        if fraction - self._fraction >= STEP:
            self._fraction = fraction
            await self.happened("progress", round(fraction, 3))
