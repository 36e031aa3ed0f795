"""Reviews: added and never changed, and what they say of each file together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ForeignKey, String, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from veracity_gateway.database import Base, Database
from veracity_gateway.errors import Conflict
from veracity_gateway.jobs.tables import Job

Opinion = Literal["agree", "disagree", "cannot_tell"]
Truth = Literal["real", "fake"]
OPPOSITE: dict[str, Truth] = {"real": "fake", "fake": "real"}


class Review(Base):
    """What one analyst said of a job at one time."""

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    reviewer: Mapped[str] = mapped_column(String(64))
    opinion: Mapped[str] = mapped_column(String(12))
    truth: Mapped[str | None] = mapped_column(String(4))
    """What the file is in the analyst's opinion; None where they cannot tell."""
    note: Mapped[str] = mapped_column(Text)
    created: Mapped[float]


@dataclass(frozen=True)
class Labelled:
    """A job on whose truth all of its reviewers agree."""

    job: Job
    truth: str
    reviewers: int


class Reviews:
    """Adds and reads reviews."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job: Job, reviewer: str, opinion: Opinion, truth: Truth | None, note: str) -> Review:
        """Add a review. An earlier one of the same analyst stays, and counts no more.

        Raises Conflict where the job has no verdict, or opinion and truth do not go with its label.
        """
        if job.state != "COMPLETE" or job.label is None:
            raise Conflict(f"the job is {job.state}: there is no verdict to review")
        said = _truth(job.label, opinion, truth)
        review = Review(job=job.id, reviewer=reviewer, opinion=opinion, truth=said, note=note, created=time.time())
        with self._database.session() as session:
            session.add(review)
        return review

    def of(self, job: str) -> list[Review]:
        """Return the reviews of a job, the oldest first."""
        with self._database.reading() as session:
            return list(session.scalars(select(Review).where(Review.job == job).order_by(Review.id)))

    def labelled(self, owner: str | None) -> list[Labelled]:
        """Return the jobs of an owner (None: of all) whose reviewers all say the same, by their last words."""
        with self._database.reading() as session:
            query = select(Review, Job).join(Job, Job.id == Review.job).order_by(Review.id)
            rows = session.execute(query if owner is None else query.where(Job.owner == owner)).all()
        last = {(row.Review.job, row.Review.reviewer): row.Review for row in rows}
        jobs: dict[str, Job] = {row.Job.id: row.Job for row in rows}
        said_of: dict[str, list[str | None]] = {}
        for (id_, _), review in last.items():
            said_of.setdefault(id_, []).append(review.truth)
        found = []
        for id_, job in jobs.items():
            said = said_of[id_]
            truths = {truth for truth in said if truth}
            if len(truths) == 1:
                found.append(Labelled(job, truths.pop(), sum(truth is not None for truth in said)))
        return found


def _truth(label: str, opinion: Opinion, truth: Truth | None) -> Truth | None:
    if opinion == "cannot_tell":
        follows = None
    elif label in OPPOSITE:
        follows = OPPOSITE[label] if opinion == "disagree" else OPPOSITE[OPPOSITE[label]]
    elif opinion == "disagree" and truth is None:
        raise Conflict("the verdict is inconclusive: say with truth, real or fake, what it should have been")
    else:
        return truth
    if truth is not None and truth != follows:
        raise Conflict(f"the verdict is {label}: who says {opinion} does not say {truth}")
    return follows
