"""Messages that wait: each is lent to one gateway at a time, and what was answered is written down."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, aliased

from veracity_gateway.database import Database
from veracity_gateway.jobs.tables import Job
from veracity_gateway.webhooks.endpoints import signing
from veracity_gateway.webhooks.secrets import Secrets
from veracity_gateway.webhooks.tables import CANCELLED, Attempt, Endpoint, Message

MINUTE, HOUR = 60.0, 3600.0
PAUSES = (5.0, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR)
JITTER = 0.2  # of a pause, at most, on top of it: receivers that come back are not met by all at once
GONE = 410


@dataclass(frozen=True)
class Delivery:
    """What is sent where, and the secrets that sign it."""

    id: str
    url: str
    payload: str
    secrets: Sequence[str]


@dataclass(frozen=True)
class Answer:
    """What came back: a status, or the error in its place."""

    seconds: float
    status: int | None
    error: str | None
    response: str

    @property
    def taken(self) -> bool:
        """Whether the receiver has the message."""
        return self.status is not None and 200 <= self.status < 300


class Outbox:
    """The messages of all endpoints. Every method is one transaction."""

    def __init__(
        self,
        database: Database,
        keys: Secrets,
        *,
        pauses: Sequence[float] = PAUSES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._keys, self._pauses, self._clock = database, keys, pauses, clock

    def claim(self, runner: str, seconds: float) -> Delivery | None:
        """Give the oldest message that is due, for so long; one at a time of an endpoint, whose others wait."""
        now = self._clock()
        other = aliased(Message)
        busy = select(other.endpoint).where(other.state == "WAITING", other.lease > now)
        query = (
            select(Message, Endpoint)
            .join(Endpoint, Endpoint.id == Message.endpoint)
            .where(Message.state == "WAITING", Message.not_before <= now, Endpoint.disabled.is_(None))
            .where(Message.endpoint.not_in(busy))
            .order_by(Message.not_before)
            .limit(1)
        )
        with self._database.session() as session:
            found = session.execute(query.with_for_update(of=Message, skip_locked=True)).first()
            if found is None:
                return None
            message, endpoint = found
            message.runner, message.lease = runner, now + seconds
            return Delivery(message.id, endpoint.url, message.payload, signing(self._keys, endpoint, now))

    def answered(self, runner: str, id_: str, answer: Answer) -> None:
        """Note an attempt and what follows from it; nothing where the message is no longer the runner's."""
        with self._database.session() as session:
            held = (Message.id == id_) & (Message.runner == runner)
            message = session.scalar(select(Message).where(held).with_for_update())
            if message is not None:
                message.runner, message.lease, message.attempts = None, None, message.attempts + 1
                self._note(session, message, answer)
                self._follow(session, message, answer)
                _forget_deleted(session, message)

    def give_back(self, runner: str, id_: str) -> None:
        """Let a message that could not be sent wait again."""
        with self._database.session() as session:
            held = (Message.id == id_) & (Message.runner == runner)
            session.execute(update(Message).where(held).values(runner=None, lease=None))

    def _note(self, session: Session, message: Message, answer: Answer) -> None:
        last = session.scalar(select(func.max(Attempt.number)).where(Attempt.message == message.id)) or 0
        session.add(Attempt(message=message.id, number=last + 1, at=self._clock(), **vars(answer)))

    def _follow(self, session: Session, message: Message, answer: Answer) -> None:
        if answer.taken:
            message.state = "DELIVERED"
        elif answer.status == GONE:
            self._give_up(session, message, "the address answered that it is gone: status 410")
        elif message.attempts > len(self._pauses):
            self._give_up(session, message, f"a message was not taken in {message.attempts} attempts: {message.id}")
        else:
            pause = self._pauses[message.attempts - 1]
            message.not_before = self._clock() + pause * (1 + JITTER * random.random())  # noqa: S311

    def _give_up(self, session: Session, message: Message, reason: str) -> None:
        message.state = "FAILED"
        off = {"disabled": self._clock(), "disabled_reason": reason}
        session.execute(update(Endpoint).where(Endpoint.id == message.endpoint).values(off))


def _forget_deleted(session: Session, message: Message) -> None:
    """Delete what need not be sent any more, of jobs that are deleted."""
    session.flush()
    kept = select(Job.id).where(Job.id == Message.job).exists()
    ended = (Message.id == message.id) & (Message.state != "WAITING")
    off = select(Endpoint.id).where(Endpoint.id == message.endpoint, Endpoint.disabled.is_not(None))
    session.execute(delete(Message).where(~kept, Message.type != CANCELLED, ended | Message.endpoint.in_(off)))
