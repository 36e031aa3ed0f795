"""The addresses that want to be told, and the messages for them."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from veracity_gateway.database import Database
from veracity_gateway.errors import Conflict, NotFound
from veracity_gateway.jobs.queries import rfc3339
from veracity_gateway.jobs.store import new_id
from veracity_gateway.jobs.tables import Job
from veracity_gateway.webhooks.secrets import Secrets
from veracity_gateway.webhooks.tables import CANCELLED, Attempt, Endpoint, EventType, Message

TYPES: dict[str, EventType] = {"COMPLETE": "job.complete", "ERROR": "job.error", "CANCELLED": CANCELLED}
SECRET_BYTES = 32
OLD_SECRETS = 2  # that sign beside the new one
ROTATION_SECONDS = 24 * 3600.0  # how long an old secret signs beside the new one
MOST_ENDPOINTS = 20  # of an owner


@dataclass(frozen=True)
class Sent:
    """A message and what became of it."""

    message: Message
    attempts: Sequence[Attempt]


class Webhooks:
    """Endpoints of all owners. Every method is one transaction."""

    def __init__(self, database: Database, keys: Secrets, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock

    def add(self, owner: str, url: str, events: Sequence[EventType]) -> tuple[Endpoint, str]:
        """Make an endpoint; return it and its secret, which is not shown again. Raises Conflict at too many."""
        secret = new_secret()
        with self._database.session() as session:
            count = session.scalar(select(func.count()).where(Endpoint.owner == owner)) or 0
            if count >= MOST_ENDPOINTS:
                raise Conflict(f"there are {count} webhooks, which is the most")
            endpoint = Endpoint(
                id=new_id(), owner=owner, url=url, events=",".join(events),
                secrets=self._keys.seal(json.dumps([(secret, None)])), created=self._clock(),
            )  # fmt: skip
            session.add(endpoint)
            return endpoint, secret

    def of(self, owner: str) -> list[Endpoint]:
        """Return the endpoints of an owner, the oldest first."""
        with self._database.session() as session:
            return list(session.scalars(select(Endpoint).where(Endpoint.owner == owner).order_by(Endpoint.created)))

    def remove(self, id_: str, owner: str) -> None:
        """Delete an endpoint with its messages; raises NotFound, as all that follow."""
        with self._database.session() as session:
            session.delete(_found(session, id_, owner))

    def rotate(self, id_: str, owner: str) -> tuple[Endpoint, str]:
        """Give an endpoint a new secret and return both; the one before signs too for a day."""
        secret, now = new_secret(), self._clock()
        with self._database.session() as session:
            endpoint = _found(session, id_, owner)
            before = [(old, until or now + ROTATION_SECONDS) for old, until in _secrets(self._keys, endpoint, now)]
            endpoint.secrets = self._keys.seal(json.dumps([*before[-OLD_SECRETS:], (secret, None)]))
            return endpoint, secret

    def enable(self, id_: str, owner: str) -> Endpoint:
        """Let an endpoint be told again; messages that waited for it go out now."""
        with self._database.session() as session:
            endpoint = _found(session, id_, owner)
            endpoint.disabled, endpoint.disabled_reason = None, None
            return endpoint

    def messages(self, id_: str, owner: str, limit: int) -> list[Sent]:
        """Return an endpoint's messages, the newest first."""
        with self._database.session() as session:
            _found(session, id_, owner)
            query = select(Message).where(Message.endpoint == id_).order_by(Message.created.desc(), Message.id)
            return [_sent(session, message) for message in session.scalars(query.limit(limit))]

    def replay(self, id_: str, message_id: str, owner: str) -> Sent:
        """Send a message again, with all its attempts before it; raises Conflict where the endpoint is disabled."""
        with self._database.session() as session:
            if _found(session, id_, owner).disabled is not None:
                raise Conflict("the webhook is disabled; enable it first")
            query = select(Message).where(Message.id == message_id, Message.endpoint == id_)
            message = session.scalar(query.with_for_update())
            if message is None:
                raise NotFound(f"there is no message {message_id}")
            message.state, message.attempts, message.not_before = "WAITING", 0, self._clock()
            message.runner, message.lease = None, None
            return _sent(session, message)

    def job_ended(self, session: Session, job: Job) -> None:
        """Write the messages about a job, in the transaction that ends it."""
        type_, now = TYPES[job.state], self._clock()
        wanted = (Endpoint.owner == job.owner) & Endpoint.disabled.is_(None)
        for endpoint in session.scalars(select(Endpoint).where(wanted)):
            if type_ in endpoint.events.split(","):
                session.add(_message(endpoint, job, type_, now))

    def job_deleted(self, session: Session, job: Job) -> None:
        """Delete the messages about a job, but that it was cancelled; the outbox deletes what is still to be sent."""
        off = select(Endpoint.id).where(Endpoint.disabled.is_not(None))
        gone = (Message.state != "WAITING") | Message.endpoint.in_(off)
        session.execute(delete(Message).where(Message.job == job.id, Message.type != CANCELLED, gone))

    def delete_before(self, before: float) -> None:
        """Delete messages that were made before a time."""
        with self._database.session() as session:
            session.execute(delete(Message).where(Message.created < before))


def new_secret() -> str:
    """Return a secret as Standard Webhooks writes them."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signing(keys: Secrets, endpoint: Endpoint, now: float) -> list[str]:
    """Return the secrets that sign now."""
    return [secret for secret, _ in _secrets(keys, endpoint, now)]


def _secrets(keys: Secrets, endpoint: Endpoint, now: float) -> list[tuple[str, float | None]]:
    known = json.loads(keys.open(endpoint.secrets))
    return [(secret, until) for secret, until in known if until is None or until > now]


def _message(endpoint: Endpoint, job: Job, type_: EventType, now: float) -> Message:
    return Message(
        id=f"msg_{new_id()}", endpoint=endpoint.id, job=job.id, type=type_, payload=_payload(job, type_),
        created=now, not_before=now,
    )  # fmt: skip


def _payload(job: Job, type_: EventType) -> str:
    """Return what is said of a job; of one that is deleted no more than that, since the message stays."""
    data: dict[str, Any] = {"job_id": job.id, "state": job.state}
    if type_ != CANCELLED:
        data |= {
            "name": job.name,
            "sha256": job.sha256,
            "label": job.label,
            "fake_probability": job.fake_probability,
            "status_url": f"/jobs/{job.id}",
            "error": json.loads(job.error) if job.error else None,
        }
    body = {"type": type_, "timestamp": rfc3339(job.finished), "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _found(session: Session, id_: str, owner: str) -> Endpoint:
    endpoint = session.scalar(select(Endpoint).where(Endpoint.id == id_, Endpoint.owner == owner).with_for_update())
    if endpoint is None:
        raise NotFound(f"there is no webhook {id_}")
    return endpoint


def _sent(session: Session, message: Message) -> Sent:
    query = select(Attempt).where(Attempt.message == message.id).order_by(Attempt.number)
    return Sent(message, session.scalars(query).all())
