"""Webhooks: which addresses are told that jobs ended, what they were told, and what they answered."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from veracity_gateway.jobs.queries import rfc3339
from veracity_gateway.outbound import LONGEST_URL, check_url
from veracity_gateway.routes.parts import Analyst, TheGateway
from veracity_gateway.webhooks.endpoints import Sent
from veracity_gateway.webhooks.tables import EVENT_TYPES, Attempt, Endpoint, EventType, MessageState

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

WebhookId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
MessageId = Annotated[str, Path(pattern="^msg_[0-9a-f]{32}$")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Limit = Annotated[int, Query(ge=1, le=500)]


class WebhookAsked(BaseModel):
    """An address that wants to be told."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"url": "https://example.org/hook", "events": ["job.complete", "job.error"]}]},
    )

    url: str = Field(max_length=LONGEST_URL, pattern="^[Hh][Tt][Tt][Pp][Ss]?://", description="public")
    events: list[EventType] = Field(list(EVENT_TYPES), min_length=1, max_length=16)


class WebhookShown(BaseModel):
    """A webhook. Times are RFC 3339."""

    webhook_id: str
    url: str
    events: list[EventType]
    created: Time
    disabled: Time | None = Field(description="since when nothing is sent")
    disabled_reason: str | None


class WebhookSecret(WebhookShown):
    """A webhook with its new secret, which is shown this once."""

    secret: str = Field(description="whsec_ and base64, as Standard Webhooks has it")


class Webhooks(BaseModel):
    """Your webhooks, the oldest first."""

    webhooks: list[WebhookShown]


class AttemptShown(BaseModel):
    """A request to the address and what it answered, of which 1 KiB is kept."""

    at: Time
    seconds: float
    status: int | None
    error: str | None
    response: str


class MessageShown(BaseModel):
    """A message; ``payload`` is the body that was sent."""

    message_id: str
    job_id: str
    type: EventType
    created: Time
    state: MessageState
    next_attempt: Time | None
    attempts: list[AttemptShown]
    payload: dict[str, Any]


class Messages(BaseModel):
    """Messages, the newest first."""

    messages: list[MessageShown]


@router.get("")
def webhooks(gateway: TheGateway, caller: Analyst) -> Webhooks:
    """Return your webhooks, without their secrets."""
    return Webhooks(webhooks=[_shown(endpoint) for endpoint in gateway.webhooks.of(caller.id)])


@router.post("", status_code=201)
def add_webhook(asked: WebhookAsked, response: Response, gateway: TheGateway, caller: Analyst) -> WebhookSecret:
    """Have an address told when your jobs end. The answer has the secret that signs what it is sent."""
    url = check_url(asked.url, private=gateway.settings.fetch_private)
    endpoint, secret = gateway.webhooks.add(caller.id, url, list(dict.fromkeys(asked.events)))
    response.headers["Location"] = f"/webhooks/{endpoint.id}"
    return _with_secret(endpoint, secret)


@router.delete("/{webhook_id}", status_code=204)
def delete_webhook(webhook_id: WebhookId, gateway: TheGateway, caller: Analyst) -> None:
    """Delete a webhook with its messages; those that wait are not sent."""
    gateway.webhooks.remove(webhook_id, caller.id)


@router.post("/{webhook_id}/rotate")
def rotate_webhook(webhook_id: WebhookId, gateway: TheGateway, caller: Analyst) -> WebhookSecret:
    """Give a webhook a new secret. For 24 hours messages are signed with the old one too."""
    return _with_secret(*gateway.webhooks.rotate(webhook_id, caller.id))


@router.post("/{webhook_id}/enable")
def enable_webhook(webhook_id: WebhookId, gateway: TheGateway, caller: Analyst) -> WebhookShown:
    """Send to a webhook again that was disabled. Messages that failed are sent when they are replayed."""
    return _shown(gateway.webhooks.enable(webhook_id, caller.id))


@router.get("/{webhook_id}/messages")
def webhook_messages(webhook_id: WebhookId, gateway: TheGateway, caller: Analyst, limit: Limit = 50) -> Messages:
    """Return what a webhook was sent, or is going to be, and what it answered."""
    return Messages(messages=[_message(sent) for sent in gateway.webhooks.messages(webhook_id, caller.id, limit)])


@router.post("/{webhook_id}/messages/{message_id}/replay", status_code=202)
def replay_message(webhook_id: WebhookId, message_id: MessageId, gateway: TheGateway, caller: Analyst) -> MessageShown:
    """Send a message again, with the same id and body."""
    return _message(gateway.webhooks.replay(webhook_id, message_id, caller.id))


def _shown(endpoint: Endpoint) -> WebhookShown:
    return WebhookShown(**_fields(endpoint))


def _with_secret(endpoint: Endpoint, secret: str) -> WebhookSecret:
    return WebhookSecret(**_fields(endpoint), secret=secret)


def _fields(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "webhook_id": endpoint.id,
        "url": endpoint.url,
        "events": endpoint.events.split(","),
        "created": rfc3339(endpoint.created),
        "disabled": rfc3339(endpoint.disabled),
        "disabled_reason": endpoint.disabled_reason,
    }


def _message(sent: Sent) -> MessageShown:
    message = sent.message
    return MessageShown(
        message_id=message.id,
        job_id=message.job,
        type=message.type,
        created=rfc3339(message.created),
        state=message.state,
        next_attempt=rfc3339(message.not_before) if message.state == "WAITING" else None,
        attempts=[_attempt(attempt) for attempt in sent.attempts],
        payload=json.loads(message.payload),
    )


def _attempt(attempt: Attempt) -> AttemptShown:
    return AttemptShown(
        at=rfc3339(attempt.at), seconds=attempt.seconds, status=attempt.status, error=attempt.error,
        response=attempt.response,
    )  # fmt: skip
