"""What is read of jobs: one, a page of many, events, counts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone

from sqlalchemy import ColumnElement, func, or_, select, tuple_

from veracity_gateway.database import Database
from veracity_gateway.errors import BadRequest, NotFound
from veracity_gateway.jobs.tables import Event, Job


@dataclass(frozen=True)
class Filter:
    """Which jobs: of an ``owner`` (None: of all), in a state, with a label, with a text in the name or a digest."""

    owner: str | None
    state: str | None = None
    label: str | None = None
    text: str | None = None
    batch: str | None = None

    def clauses(self) -> list[ColumnElement[bool]]:
        """Return what SQL asks."""
        wanted = [(Job.owner, self.owner), (Job.state, self.state), (Job.label, self.label), (Job.batch, self.batch)]
        clauses: list[ColumnElement[bool]] = [column == value for column, value in wanted if value is not None]
        if self.text:
            clauses.append(or_(Job.name.icontains(self.text, autoescape=True), Job.sha256 == self.text.lower()))
        return clauses


class JobQueries:
    """Reads jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def job(self, id_: str, owner: str | None) -> Job:
        """Return a job of an owner, None for any; raises NotFound, also for one of someone else."""
        with self._database.reading() as session:
            job = session.scalar(select(Job).where(Job.id == id_, *Filter(owner).clauses()))
        if job is None:
            raise NotFound(f"there is no job {id_[:64]}")
        return job

    def page(self, wanted: Filter, *, limit: int, after: str | None) -> tuple[list[Job], str | None]:
        """Return jobs, the newest first, and the cursor of those that follow."""
        query = select(Job).where(*wanted.clauses())
        if after:
            query = query.where(tuple_(Job.created, Job.id) < _cursor(after))
        with self._database.reading() as session:
            jobs = list(session.scalars(query.order_by(Job.created.desc(), Job.id.desc()).limit(limit + 1)))
        more = len(jobs) > limit
        jobs = jobs[:limit]
        return jobs, f"{jobs[-1].created!r}_{jobs[-1].id}" if more else None

    def states(self, wanted: Filter) -> dict[str, int]:
        """Count jobs by state."""
        with self._database.reading() as session:
            found = session.execute(select(Job.state, func.count()).where(*wanted.clauses()).group_by(Job.state))
            return {str(row[0]): int(row[1]) for row in found}

    def events(self, id_: str, after: int = 0) -> list[Event]:
        """Return what happened to a job after the event of that number."""
        with self._database.reading() as session:
            query = select(Event).where(Event.job == id_, Event.number > after).order_by(Event.number)
            return list(session.scalars(query))

    def news(self, id_: str, after: int) -> tuple[list[Event], str | None]:
        """Return what happened to a job after the event of that number, and its state; None where it was deleted."""
        with self._database.reading() as session:
            state = session.scalar(select(Job.state).where(Job.id == id_))  # before the events: its last is among them
            query = select(Event).where(Event.job == id_, Event.number > after).order_by(Event.number)
            return list(session.scalars(query)), state

    def expired(self, before: float) -> list[Job]:
        """Return the jobs that ended before a time."""
        with self._database.reading() as session:
            return list(session.scalars(select(Job).where(Job.finished < before)))

    def waiting_bytes(self) -> int:
        """Return how many bytes the files of jobs that wait have together."""
        with self._database.reading() as session:
            return int(session.scalar(select(func.sum(Job.bytes)).where(Job.state == "QUEUED")) or 0)

    def waiting_seconds(self) -> float:
        """Return how long the oldest job waits; 0 where none does."""
        with self._database.reading() as session:
            oldest = session.scalar(select(func.min(Job.created)).where(Job.state == "QUEUED"))
        return 0.0 if oldest is None else max(0.0, time.time() - oldest)


def rfc3339(seconds: float | None) -> str | None:
    """Return a time as HTTP's bodies have it."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cursor(text: str) -> tuple[float, str]:
    created, _, id_ = text.partition("_")
    try:
        return float(created), id_
    except ValueError:
        raise BadRequest("after: give the `next` of an answer of this address") from None
