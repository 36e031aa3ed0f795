"""Jobs in the database. Every method is one transaction, so that a gateway may die between any two."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from veracity_client import telemetry
from veracity_client.errors import Overloaded, VeracityError
from veracity_client.verdict import StageEvent, Verdict, event_to_json
from veracity_gateway.audit import DELETED, log_in, moment
from veracity_gateway.database import Database
from veracity_gateway.errors import Conflict, NotFound, TooManyRequests
from veracity_gateway.jobs.servers import content_of, options_of
from veracity_gateway.jobs.tables import ENDED, Deletion, Event, Idempotency, Job, State
from veracity_gateway.problems import problem

MOST_UPLOADS = 100  # of an owner, that are not complete
RETRY_SECONDS = 60.0
BULK_SECONDS = 3600.0  # a bulk job has the turn of an interactive one that came so much later: it never waits for ever

Begun = Callable[[Session, Job], None]
"""Called in the transaction that makes a job, where it is no repeated request; what it raises is why there is none."""

Changed = Callable[[Session, Job], None]
"""Called in the transaction that ends or deletes a job: what has to happen exactly once."""


def new_id() -> str:
    """Return an id that nobody can guess."""
    return uuid4().hex


@dataclass(frozen=True)
class NewJob:
    """What is known of a job when it is asked for."""

    owner: str
    name: str
    options: str
    keep_media: bool = False
    batch: str | None = None
    source_url: str | None = None
    bytes: int | None = None
    """How many are going to come, where that is known."""


@dataclass(frozen=True)
class Once:
    """An ``Idempotency-Key``, and a digest of the request that named it."""

    key: str
    request: str


class Jobs:
    """The jobs of all owners."""

    def __init__(self, database: Database, *, max_queued: int, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._max_queued = max_queued
        self._clock = clock
        self.on_begin: list[Begun] = []
        self.on_end: list[Changed] = []
        self.on_delete: list[Changed] = []

    def begin(self, new: NewJob, once: Once | None = None) -> Job:
        """Make a job whose media are still on their way, or return the one that the same request made before.

        Raises Overloaded where too many wait, Conflict where the key of ``once`` was another request's.
        """
        try:
            return self._begin(new, once)
        except IntegrityError:
            if once is None or (job := self.made_by(new.owner, once)) is None:
                raise
            return job

    def made_by(self, owner: str, once: Once) -> Job | None:
        """Return the job that a request with this key made; None where it is the first.

        Raises Conflict where that was another request.
        """
        with self._database.session() as session:
            row = session.scalar(select(Idempotency).where(Idempotency.owner == owner, Idempotency.key == once.key))
            if row is None:
                return None
            if row.request != once.request:
                raise Conflict("this Idempotency-Key was used for another file or other options")
            return session.get(Job, row.job)

    def _begin(self, new: NewJob, once: Once | None) -> Job:
        with self._database.session() as session:
            waits = (Job.state == "QUEUED") | ((Job.state == "UPLOADING") & Job.source_url.is_not(None))
            waiting = session.scalar(select(func.count()).where(waits)) or 0
            if waiting >= self._max_queued:
                raise Overloaded(f"{waiting} jobs wait; try again later")
            sends = (Job.state == "UPLOADING") & Job.source_url.is_(None) & (Job.owner == new.owner)
            if (session.scalar(select(func.count()).where(sends)) or 0) >= MOST_UPLOADS:
                raise TooManyRequests(f"{MOST_UPLOADS} uploads are not complete; end some of them first", RETRY_SECONDS)
            trace = telemetry.headers().get("traceparent")
            now = self._clock()
            turn = now + BULK_SECONDS * (options_of(new.options).priority == "bulk")
            job = Job(id=new_id(), state="UPLOADING", created=now, turn=turn, traceparent=trace, **vars(new))
            session.add(job)
            if once:
                session.add(Idempotency(owner=new.owner, job=job.id, created=self._clock(), **vars(once)))
            session.flush()
            for begun in self.on_begin:
                begun(session, job)
            _add(session, job, "state", {"state": "UPLOADING"})
            return job

    def queue(
        self, id_: str, *, name: str, size: int, sha256: str, content: str | None, fingerprint: str | None
    ) -> Job:
        """Say that the media are there. A job that was asked before, with the same models, ends with that answer."""
        with self._database.session() as session:
            job = _locked(session, id_)
            if job.state != "UPLOADING":  # the same request came twice
                return job
            job.runner, job.lease, job.attempts, job.failing_since = None, None, 0, None
            job.name, job.bytes, job.sha256, job.media = name, size, sha256, True
            job.content, job.fingerprint = content, fingerprint
            if not self._answer_from_store(session, job):
                self._to(session, job, "QUEUED")
            return job

    def claim(self, runner: str, seconds: float) -> Job | None:
        """Give the runner the job whose turn it is, for so long; None where none waits."""
        now = self._clock()
        with self._database.session() as session:
            waits = (Job.state == "QUEUED") & (Job.not_before <= now)
            job = session.scalar(_first(waits))
            if job is None or self._answer_from_store(session, job):
                return job
            job.runner, job.lease, job.attempts = runner, now + seconds, job.attempts + 1
            job.started = job.started or now
            self._to(session, job, "PROCESSING")
            return job

    def claim_download(self, runner: str, seconds: float) -> Job | None:
        """Give the runner the next job whose file is still to be fetched; None where there is none."""
        now = self._clock()
        with self._database.session() as session:
            waits = (Job.state == "UPLOADING") & Job.source_url.is_not(None) & Job.runner.is_(None)
            job = session.scalar(_first(waits & (Job.not_before <= now)))
            if job is not None:
                job.runner, job.lease, job.attempts = runner, now + seconds, job.attempts + 1
            return job

    def renew(self, id_: str, runner: str, seconds: float) -> bool:
        """Keep a job for so long; False where it is no longer the runner's."""
        with self._database.session() as session:
            done = session.execute(update(Job).where(*_held(id_, runner)).values(lease=self._clock() + seconds))
            return bool(done.rowcount)  # type: ignore[attr-defined]

    def happened(self, id_: str, runner: str, event: StageEvent) -> bool:
        """Note a stage; False where the job is no longer the runner's."""
        with self._database.session() as session:
            job = session.scalar(select(Job).where(*_held(id_, runner)).with_for_update())
            if job is not None:
                _add(session, job, "stage", json.loads(event_to_json(event))["stage"])
            return job is not None

    def complete(self, id_: str, runner: str, verdict: Verdict, fingerprint: str | None) -> bool:
        """End a job with its verdict; False where it is no longer the runner's, and nothing happened.

        Where the servers changed since the job was queued, its answer is that of the present ones.
        """
        with self._database.session() as session:
            job = session.scalar(select(Job).where(*_held(id_, runner)).with_for_update())
            if job is None:
                return False
            if fingerprint != job.fingerprint:
                job.fingerprint = fingerprint
                job.content = content_of(job.sha256 or "", options_of(job.options), fingerprint)
            job.verdict, job.label = verdict.to_json(), verdict.label
            job.fake_probability = verdict.fake_probability
            job.runner, job.lease = None, None
            self._to(session, job, "COMPLETE")
            return True

    def fail(self, id_: str, runner: str, error: VeracityError) -> bool:
        """End a job with an error; False as :meth:`complete`."""
        with self._database.session() as session:
            job = session.scalar(select(Job).where(*_held(id_, runner)).with_for_update())
            if job is not None:
                job.error, job.runner, job.lease = json.dumps(problem(error)), None, None
                self._to(session, job, "ERROR")
            return job is not None

    def give_back(self, id_: str, runner: str, seconds: float, *, failed: bool = False) -> bool:
        """Let a job wait again, for so long at least, because it ``failed`` or not; False as :meth:`complete`."""
        with self._database.session() as session:
            job = session.scalar(select(Job).where(*_held(id_, runner)).with_for_update())
            if job is not None:
                job.runner, job.lease, job.not_before = None, None, self._clock() + seconds
                if failed and job.failing_since is None:
                    job.failing_since = self._clock()
                self._to(session, job, "QUEUED" if job.media else "UPLOADING")
            return job is not None

    def take_over(self, max_crashes: int) -> list[str]:
        """Let the jobs of gateways that died wait again; one that was there too often ends. Return their ids."""
        with self._database.session() as session:
            lost = Job.state.in_(("PROCESSING", "UPLOADING")) & (Job.lease < self._clock())
            jobs = session.scalars(select(Job).where(lost).with_for_update(skip_locked=True)).all()
            for job in jobs:
                job.runner, job.lease, job.crashes = None, None, job.crashes + 1
                if job.crashes < max_crashes:
                    self._to(session, job, "QUEUED" if job.media else "UPLOADING")
                else:
                    error = VeracityError(f"the gateway died {job.crashes} times with this job under way")
                    job.error = json.dumps(problem(error))
                    self._to(session, job, "ERROR")
            return [job.id for job in jobs]

    def upload_failed(self, id_: str, error: VeracityError | None = None) -> None:
        """End a job whose media did not come; without an error, as if it had never been."""
        with self._database.session() as session:
            job = session.scalar(select(Job).where(Job.id == id_, Job.state == "UPLOADING").with_for_update())
            if job is not None and error is None:
                _forget(session, job)
            elif job is not None and error is not None:
                job.error = json.dumps(problem(error))
                self._to(session, job, "ERROR")

    def delete(self, id_: str, *, by: str) -> None:
        """Delete a job, its result and its events; that it was, and who deleted it, stays. Its media are another's."""
        with self._database.session() as session:
            job = _locked(session, id_)
            if job.state not in ENDED:
                self._to(session, job, "CANCELLED")
            log_in(session).append(DELETED, f"{job.id} by {by}", None, moment(self._clock()))
            session.add(Deletion(owner=job.owner, created=job.created))
            for deleted in self.on_delete:
                deleted(session, job)
            session.execute(update(Job).where(Job.answered_from == job.id).values(answered_from=None))
            _forget(session, job)

    def waits_for_media(self, id_: str) -> bool:
        """Say whether the media of a job are still on their way, or it is gone."""
        with self._database.reading() as session:
            job = session.get(Job, id_)
            return job is None or job.state == "UPLOADING"

    def media_gone(self, id_: str) -> None:
        """Note that the media were deleted."""
        with self._database.session() as session:
            session.execute(update(Job).where(Job.id == id_).values(media=False))

    def found_out(self, id_: str, provenance: Mapping[str, Any]) -> None:
        """Keep what the file says of itself."""
        with self._database.session() as session:
            session.execute(update(Job).where(Job.id == id_).values(provenance=json.dumps(provenance)))

    def _answer_from_store(self, session: Session, job: Job) -> bool:
        if job.content is None:
            return False
        same = (Job.owner == job.owner) & (Job.content == job.content) & (Job.state == "COMPLETE")
        before = session.scalar(select(Job).where(same).order_by(Job.created).limit(1))
        if before is None:
            return False
        job.verdict, job.label, job.fake_probability = before.verdict, before.label, before.fake_probability
        job.answered_from, job.provenance = before.answered_from or before.id, before.provenance
        job.started, job.analyzed = before.started, before.analyzed or before.finished
        self._to(session, job, "COMPLETE")
        return True

    def _to(self, session: Session, job: Job, state: State) -> None:
        job.state = state
        _add(session, job, "state", {"state": state})
        if state in ENDED:
            job.finished = self._clock()
            _add(session, job, "end", {"state": state})
            for ended in self.on_end:
                ended(session, job)


def _first(waits: ColumnElement[bool]) -> Select[Job]:
    turn = func.coalesce(Job.turn, Job.created)
    return select(Job).where(waits).order_by(turn, Job.created).limit(1).with_for_update(skip_locked=True)


def _held(id_: str, runner: str) -> tuple[ColumnElement[bool], ...]:
    return Job.id == id_, Job.runner == runner


def _locked(session: Session, id_: str, *more: ColumnElement[bool]) -> Job:
    job = session.scalar(select(Job).where(Job.id == id_, *more).with_for_update())
    if job is None:
        raise NotFound(f"there is no job {id_}")
    return job


def _forget(session: Session, job: Job) -> None:
    session.execute(delete(Idempotency).where(Idempotency.job == job.id))
    session.delete(job)


def _add(session: Session, job: Job, kind: str, data: Mapping[str, Any]) -> None:
    last = session.scalar(select(func.max(Event.number)).where(Event.job == job.id)) or 0
    session.add(Event(job=job.id, number=last + 1, kind=kind, data=json.dumps(data)))
    session.flush()
