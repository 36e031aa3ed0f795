"""The signed reports of jobs: made when they are first asked for, and kept, so that a second copy is the same."""

from __future__ import annotations

import json
import time
from functools import cached_property

from sqlalchemy import ForeignKey, LargeBinary, update
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
from veracity_gateway.report.document import Report, sign_report, stamp_report
from veracity_gateway.report.signing import SigningKey
from veracity_gateway.report.timestamps import TimestampService
from veracity_gateway.reviews.reviews import Review, Reviews
from veracity_gateway.settings import Settings

UNSTAMPED = b"unstamped:"  # how a report begins that is in the log and still wants its time stamp


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
        document = self._kept(job.id, len(reviews)) or self._enter(job, reviews)
        if document.startswith(UNSTAMPED):
            document = self._stamp(job.id, len(reviews), document)
        return Report.from_json(document)

    def _kept(self, job: str, reviews: int) -> bytes | None:
        with self._database.reading() as session:
            row = session.get(IssuedReport, (job, reviews))
            return row.document if row else None

    def _enter(self, job: Job, reviews: list[Review]) -> bytes:
        """Enter a report in the log and keep it, both in one transaction: of two requests at a time one does."""
        made = _evidence(job, reviews)
        try:
            with self._database.session() as session:
                chain = log_in(session).append(REPORTED, job.id, digest(made), moment(time.time()))
                document = sign_report(made, self.key, chain).to_json()
                if self._settings.timestamp_url:
                    document = UNSTAMPED + document
                session.add(IssuedReport(job=job.id, reviews=len(reviews), document=document))
            return document
        except IntegrityError:  # another request entered it meanwhile, or the job was deleted
            return self._still_kept(job.id, len(reviews))

    def _stamp(self, job: str, reviews: int, unstamped: bytes) -> bytes:
        """Have a report stamped, outside any transaction: the service may be slow."""
        report = Report.from_json(unstamped.removeprefix(UNSTAMPED))
        if self._settings.timestamp_url:
            report = stamp_report(report, TimestampService(self._settings.timestamp_url))
        row = (IssuedReport.job == job) & (IssuedReport.reviews == reviews)
        with self._database.session() as session:  # of two requests the first one's stamp stays
            first = update(IssuedReport).where(row, IssuedReport.document == unstamped)
            session.execute(first.values(document=report.to_json()))
        return self._still_kept(job, reviews)

    def _still_kept(self, job: str, reviews: int) -> bytes:
        if (document := self._kept(job, reviews)) is None:
            raise Conflict("the job was deleted")
        return document


def _evidence(job: Job, reviews: list[Review]) -> reported.Evidence:
    finished = (
        job.analyzed or job.finished or 0.0
    )  # of an analysis that was there before the job: before it was created
    times = reported.Times(moment(job.created), moment(job.started or job.created), moment(finished))
    circumstances = reported.Circumstances(job.name, options_of(job.options), times, job.fingerprint)
    said = (reported.Review(each.reviewer, moment(each.created), each.opinion, each.note) for each in reviews)
    return reported.make_evidence(
        Verdict.from_json(job.verdict or ""),
        circumstances,
        provenance=json.loads(job.provenance) if job.provenance else None,
        reviews=tuple(said),
    )
