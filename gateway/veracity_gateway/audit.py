"""The gateway's audit log: reports that were made and jobs that were deleted, chained by their digests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime, timezone

from sqlalchemy import String, Text, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from veracity_gateway.database import Base
from veracity_gateway.report.audit import AuditLog, Entry

REPORTED, DELETED = "report", "deleted"


class AuditRow(Base):
    """One entry, as :class:`veracity_gateway.report.audit.Entry` has it."""

    __tablename__ = "audit"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    time: Mapped[str] = mapped_column(String(40))
    event: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str | None] = mapped_column(String(64))
    previous: Mapped[str] = mapped_column(String(64))
    entry: Mapped[str] = mapped_column(String(64))


class SessionRows:
    """Entries in the database, within a transaction: what is logged happened, and nothing happened unlogged."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, make: Callable[[Entry | None], Entry]) -> Entry:
        """Keep what follows the last entry; until the transaction ends nobody else adds one."""
        if self._session.get_bind().dialect.name == "postgresql":  # SQLite has one writer anyway
            self._session.execute(text("LOCK TABLE audit IN EXCLUSIVE MODE"))
        last = self._session.scalar(select(AuditRow).order_by(AuditRow.sequence.desc()).limit(1))
        entry = make(_entry(last) if last else None)
        self._session.add(AuditRow(**asdict(entry)))
        self._session.flush()
        return entry

    def entries(self) -> Iterator[Entry]:
        """Return all in their order."""
        for row in self._session.scalars(select(AuditRow).order_by(AuditRow.sequence)):
            yield _entry(row)


def log_in(session: Session) -> AuditLog:
    """Return the log, for what happens in a transaction."""
    return AuditLog(SessionRows(session))


def moment(seconds: float) -> datetime:
    """Return a time of the database with its zone."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def _entry(row: AuditRow) -> Entry:
    return Entry(row.sequence, row.time, row.event, row.subject, row.sha256, row.previous, row.entry)
