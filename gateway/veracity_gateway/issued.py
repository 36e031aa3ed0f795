"""The signed reports of jobs: made when they are first asked for, and kept, so that a second copy is the same."""

from __future__ import annotations

import json
import time
from functools import cached_property

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from veracity_client import Verdict
from veracity_gateway.audit import REPORTED, log_in, moment
from veracity_gateway.database import Base, Database
from veracity_gateway.errors import Conflict
from veracity_gateway.jobs.servers import options_of
from veracity_gateway.jobs.tables import Job
from veracity_gateway.report import evidence as reported
from veracity_gateway.report.canonical import digest
from veracity_gateway.report.document import Report, sign_report
from veracity_gateway.report.signing import SigningKey
from veracity_gateway.report.timestamps import TimestampService
from veracity_gateway.reviews.reviews import Review, Reviews
from veracity_gateway.settings import Settings


class IssuedReport(Base):
    """A signed report, as it was first given out. ``reviews`` is how many the job had then."""

    __tablename__ = "reports"

    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    reviews: Mapped[int] = mapped_column(primary_key=True)
    document: Mapped[bytes] = mapped_column(LargeBinary)


class Reports:
    """Makes reports and keeps them."""

    def __init__(self, database: Database, reviews: Reviews, settings: Settings) -> None:
        self._database, self._reviews, self._settings = database, reviews, settings

    @cached_property
    def key(self) -> SigningKey:
        """The key that signs: the one that is set, or one of the data folder."""
        if self._settings.signing_key:
            return SigningKey.from_pem(self._settings.signing_key)
        return SigningKey.in_folder(self._settings.data / "keys")

    def of(self, job: Job) -> Report:
        """Return the report of a job: the same until another review is added. Raises Conflict without a verdict."""
        if job.state != "COMPLETE" or job.verdict is None:
            raise Conflict(f"the job is {job.state}: there is no verdict to report")
        reviews = self._reviews.of(job.id)
        return self._kept(job.id, len(reviews)) or self._issue(job, reviews)

    def _kept(self, job: str, reviews: int) -> Report | None:
        with self._database.reading() as session:
            row = session.get(IssuedReport, (job, reviews))
            return Report.from_json(row.document) if row else None

    def _issue(self, job: Job, reviews: list[Review]) -> Report:
        made = _evidence(job, reviews)
        service = TimestampService(self._settings.timestamp_url) if self._settings.timestamp_url else None
        with self._database.session() as session:
            chain = log_in(session).append(REPORTED, job.id, digest(made), moment(time.time()))
        report = sign_report(made, self.key, chain, service)
        try:
            with self._database.session() as session:
                session.add(IssuedReport(job=job.id, reviews=len(reviews), document=report.to_json()))
        except IntegrityError:  # another request made it meanwhile, or the job was deleted
            if (kept := self._kept(job.id, len(reviews))) is None:
                raise Conflict("the job was deleted") from None
            return kept
        return report


def _evidence(job: Job, reviews: list[Review]) -> reported.Evidence:
    times = reported.Times(moment(job.created), moment(job.started or job.created), moment(job.finished or 0.0))
    circumstances = reported.Circumstances(job.name, options_of(job.options), times, job.fingerprint)
    said = (reported.Review(each.reviewer, moment(each.created), each.opinion, each.note) for each in reviews)
    return reported.make_evidence(
        Verdict.from_json(job.verdict or ""),
        circumstances,
        provenance=json.loads(job.provenance) if job.provenance else None,
        reviews=tuple(said),
    )
