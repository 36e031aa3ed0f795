"""The tables of webhooks. Times are seconds since 1970."""

from __future__ import annotations

from typing import Literal, get_args

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from veracity_gateway.database import Base

EventType = Literal["job.complete", "job.error", "job.cancelled"]
CANCELLED: EventType = "job.cancelled"
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
MessageState = Literal["WAITING", "DELIVERED", "FAILED"]


class Endpoint(Base):
    """An address that wants to be told."""

    __tablename__ = "webhook_endpoints"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), index=True)
    url: Mapped[str] = mapped_column(Text)
    events: Mapped[str] = mapped_column(Text)
    """Types of events, separated by commas."""
    secrets: Mapped[str] = mapped_column(Text)
    """Encrypted JSON: [secret, until when it signs too, or null], the newest last."""
    created: Mapped[float]
    disabled: Mapped[float | None]
    disabled_reason: Mapped[str | None] = mapped_column(Text)


class Message(Base):
    """An event for an endpoint. Its ``id`` is the same at every attempt, so that receivers can drop a repetition."""

    __tablename__ = "webhook_messages"
    __table_args__ = (
        UniqueConstraint("endpoint", "job", "type"),
        Index("webhook_messages_waiting", "state", "not_before"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    endpoint: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    job: Mapped[str] = mapped_column(String(32), index=True)
    type: Mapped[str] = mapped_column(String(32))
    payload: Mapped[str] = mapped_column(Text)
    """The body, byte for byte: signatures are of these."""
    created: Mapped[float] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(String(10), default="WAITING")
    attempts: Mapped[int] = mapped_column(default=0)
    """Since it was made or replayed."""
    not_before: Mapped[float]
    runner: Mapped[str | None] = mapped_column(String(32))
    lease: Mapped[float | None]


class Attempt(Base):
    """What an endpoint answered."""

    __tablename__ = "webhook_attempts"

    message: Mapped[str] = mapped_column(ForeignKey("webhook_messages.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    seconds: Mapped[float]
    status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)
    response: Mapped[str] = mapped_column(Text)
