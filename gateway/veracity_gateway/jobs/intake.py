"""How a file becomes a job, and a repeated request the job that it made before."""

from __future__ import annotations

import hashlib
from pathlib import Path

from veracity_gateway.inbound.files import Received, incoming
from veracity_gateway.jobs.asked import Asked
from veracity_gateway.jobs.servers import Servers, content_of, options_of
from veracity_gateway.jobs.store import Jobs, NewJob, Once
from veracity_gateway.jobs.tables import Job
from veracity_gateway.media import MediaStore
from veracity_gateway.settings import Settings


class Intake:
    """Makes jobs."""

    def __init__(self, jobs: Jobs, media: MediaStore, servers: Servers, settings: Settings) -> None:
        self._jobs, self._media, self._servers, self._settings = jobs, media, servers, settings

    @property
    def folder(self) -> Path:
        """Where files lie while they come in."""
        return incoming(self._settings)

    def begin(self, new: NewJob, once: Once | None = None) -> Job:
        """Make a job whose file is still to come, or return the one that the same request made before."""
        return self._jobs.begin(new, once)

    def finish(self, job: Job, file: Received) -> Job:
        """Keep the file of a job and let it wait for a worker. Where this raises, the file lies where it lay."""
        try:
            self._media.put(job.id, file.path)
            said = self._servers.fingerprint()
            content = content_of(file.sha256, options_of(job.options), said)
            done = self._jobs.queue(
                job.id, name=file.name, size=file.size, sha256=file.sha256, content=content, fingerprint=said
            )
        except BaseException:
            if self._jobs.waits_for_media(job.id):  # else the same request, sent twice, has queued it
                self._media.delete(job.id)
            raise
        file.discard()
        return done

    def take(self, new: NewJob, file: Received, once: Once | None = None) -> Job:
        """Make a job of a file that is there; the same request gives the same job."""
        try:
            job = self.begin(new, once)
        except BaseException:
            file.discard()
            raise
        if job.state != "UPLOADING":
            file.discard()
            return job
        try:
            return self.finish(job, file)
        except BaseException:
            file.discard()
            self._jobs.upload_failed(job.id)
            raise


def once_of(key: str | None, asked: Asked, what: str) -> Once | None:
    """Return what tells one request from another: the file's digest or its address, and the options."""
    if key is None:
        return None
    said = f"{what} {asked.options.to_json()} {asked.keep_media}"
    return Once(key, hashlib.sha256(said.encode()).hexdigest())
