"""The tables of jobs. Times are seconds since 1970, JSON is text as it came from the server."""

from __future__ import annotations

from typing import Literal, get_args

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from veracity_gateway.database import Base

State = Literal["UPLOADING", "QUEUED", "PROCESSING", "COMPLETE", "ERROR", "CANCELLED"]
STATES: tuple[State, ...] = get_args(State)
ENDED: tuple[State, ...] = ("COMPLETE", "ERROR", "CANCELLED")


class Job(Base):
    """One file and what became of it. Its ``id`` names its media as well."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_waiting", "state", "not_before"),
        Index("jobs_of_owner", "owner", "created"),
        Index("jobs_of_content", "owner", "content"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    """The API key that made it."""
    batch: Mapped[str | None] = mapped_column(String(32), index=True)
    state: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(Text)
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    content: Mapped[str | None] = mapped_column(String(64))
    """A digest of the file, the options and the servers' fingerprint: what an answer depends on."""
    fingerprint: Mapped[str | None] = mapped_column(String(128))
    """What the servers said of themselves when it was queued."""
    options: Mapped[str] = mapped_column(Text)
    source_url: Mapped[str | None] = mapped_column(Text)
    created: Mapped[float]
    turn: Mapped[float | None]
    """What waits is taken in the order of this; None, of an older gateway: of ``created``."""
    started: Mapped[float | None]
    finished: Mapped[float | None] = mapped_column(index=True)
    not_before: Mapped[float] = mapped_column(default=0.0)
    """When it may be taken, or taken again."""
    runner: Mapped[str | None] = mapped_column(String(32))
    lease: Mapped[float | None]
    """Until when the runner has it; one that lives renews it."""
    failing_since: Mapped[float | None]
    """When it first met an error that may pass, since it was queued."""
    attempts: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    keep_media: Mapped[bool] = mapped_column(default=False)
    media: Mapped[bool] = mapped_column(default=False)
    """Whether the media are still there."""
    label: Mapped[str | None] = mapped_column(String(16))
    fake_probability: Mapped[float | None]
    verdict: Mapped[str | None] = mapped_column(Text)
    provenance: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    answered_from: Mapped[str | None] = mapped_column(String(32))
    """The job whose answer this is, where the same content was asked before."""
    analyzed: Mapped[float | None]
    """When that answer was there; the one of the job itself is there when it ``finished``."""
    traceparent: Mapped[str | None] = mapped_column(String(64))
    """The span of the request that made it, as W3C writes it; None where nobody traces."""


class Event(Base):
    """One thing that happened to a job, numbered from 1."""

    __tablename__ = "job_events"

    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    data: Mapped[str] = mapped_column(Text)


class Idempotency(Base):
    """The answer to a request that named an ``Idempotency-Key``."""

    __tablename__ = "idempotency"
    __table_args__ = (UniqueConstraint("owner", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(255))
    request: Mapped[str] = mapped_column(String(64))
    """A digest of what was asked."""
    job: Mapped[str] = mapped_column(String(32))
    created: Mapped[float] = mapped_column(index=True)


class Deletion(Base):
    """That a job was deleted: it counts in its key's quota still. Which job it was is in the audit log."""

    __tablename__ = "deletions"
    __table_args__ = (Index("deletions_of_owner", "owner", "created"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    created: Mapped[float]
