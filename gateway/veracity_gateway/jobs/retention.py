"""What is deleted by itself: media after the verdict, results after some days, and what was left behind."""

from __future__ import annotations

import re
import time
from pathlib import Path

import structlog
from sqlalchemy import delete, select

from veracity_gateway.database import Database
from veracity_gateway.inbound.files import incoming, inspected, part_of
from veracity_gateway.jobs.queries import JobQueries
from veracity_gateway.jobs.store import Jobs
from veracity_gateway.jobs.tables import ENDED, Idempotency, Job
from veracity_gateway.media import MediaStore
from veracity_gateway.settings import Settings

log = structlog.get_logger()

SWEEP_SECONDS = 5.0
OURS = re.compile(r"[0-9a-f]{32}")  # other files of the place are not touched
HOUR, DAY = 3600.0, 86400.0


class Retention:
    """Deletes what need not be kept."""

    def __init__(self, database: Database, jobs: Jobs, media: MediaStore, settings: Settings) -> None:
        self._database, self._jobs, self._media, self._settings = database, jobs, media, settings
        self._queries = JobQueries(database)

    def sweep(self) -> None:
        """Delete the media of jobs that ended, unless they are to be kept."""
        ended = Job.state.in_(ENDED) & Job.media & ~Job.keep_media
        for id_ in self._ids(ended):
            self._media.delete(id_)
            self._jobs.media_gone(id_)

    def sweep_old(self) -> None:
        """Delete results that are too old, uploads that did not end, and files that belong to no job."""
        now = time.time()
        for job in self._queries.expired(now - self._settings.keep_days * DAY):
            self.delete(job.id, by="retention")
        unfinished = now - self._settings.unfinished_hours * HOUR
        sent = (Job.state == "UPLOADING") & Job.source_url.is_(None)  # an address is fetched until that fails
        for id_ in self._ids(sent & (Job.created < unfinished)):
            self._jobs.upload_failed(id_)
            part_of(self._settings, id_).unlink(missing_ok=True)
        for id_ in self._media.older_than(unfinished):
            if OURS.fullmatch(id_) and not self._ids(Job.id == id_):
                log.warning("media of no job are deleted", job=id_)
                self._media.delete(id_)
        for path in self._left_behind():
            if path.stat().st_mtime < unfinished:
                path.unlink(missing_ok=True)
        with self._database.session() as session:
            known = now - self._settings.idempotency_hours * HOUR
            session.execute(delete(Idempotency).where(Idempotency.created < known))

    def delete(self, id_: str, *, by: str) -> None:
        """Delete a job with its media, the media first: what is left of a deletion that fails can be deleted again."""
        self._media.delete(id_)
        part_of(self._settings, id_).unlink(missing_ok=True)
        self._jobs.delete(id_, by=by)

    def _ids(self, which: object) -> list[str]:
        with self._database.session() as session:
            return list(session.scalars(select(Job.id).where(which)))  # type: ignore[arg-type]

    def _left_behind(self) -> list[Path]:
        folders = (incoming(self._settings), inspected(self._settings))
        return [path for folder in folders if folder.is_dir() for path in folder.glob("*") if path.is_file()]
