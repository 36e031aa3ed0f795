"""Sends messages, signed, while the gateway is served."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TypeVar
from uuid import uuid4

import anyio
import anyio.to_thread
import structlog
from standardwebhooks import Webhook

from veracity_client.errors import VeracityError
from veracity_gateway.background import safely
from veracity_gateway.outbound import Outbound
from veracity_gateway.webhooks.outbox import Answer, Delivery, Outbox

log = structlog.get_logger()

AT_ONCE = 4
LOOK_SECONDS = 1.0  # how often a free worker looks for messages
ANSWER_SECONDS = 15.0  # what a receiver gets
LEASE_SECONDS = 4 * ANSWER_SECONDS  # after which the messages of a gateway that died are sent by another
RESPONSE_BYTES = 1024  # that are read and kept of an answer

Result = TypeVar("Result")


class Deliveries:
    """Sends until it is cancelled; what is under way is given back then."""

    def __init__(self, outbox: Outbox, outbound: Outbound, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._outbox, self._outbound, self._answer_seconds = outbox, outbound, answer_seconds
        self._id = uuid4().hex

    async def run(self) -> None:
        """Work."""
        async with anyio.create_task_group() as group:
            for _ in range(AT_ONCE):
                group.start_soon(self._work)

    async def _work(self) -> None:
        while True:
            delivery = await safely(self._outbox.claim, self._id, LEASE_SECONDS)
            if delivery is None:
                await anyio.sleep(LOOK_SECONDS)
            else:
                await self._deliver(delivery)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            answer = await self._ask(delivery)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await safely(self._outbox.give_back, self._id, delivery.id)
            raise
        log.info("a webhook was called", message=delivery.id, status=answer.status, error=answer.error)
        await safely(self._outbox.answered, self._id, delivery.id, answer)

    async def _ask(self, delivery: Delivery) -> Answer:
        begun, status, error, body = time.monotonic(), None, None, bytearray()
        try:
            with anyio.fail_after(self._answer_seconds):
                headers, content = headers_of(delivery, time.time()), delivery.payload.encode()
                async with self._outbound.ask("POST", delivery.url, headers, content) as response:
                    status = response.status
                    async for chunk in response.aiter_stream():
                        body += chunk
                        if len(body) >= RESPONSE_BYTES:
                            break
        except TimeoutError:
            error = f"the answer did not come within {self._answer_seconds:.0f} s"
        except VeracityError as failed:
            error = failed.message
        except Exception:
            log.exception("a webhook could not be called", message=delivery.id)
            error = "a fault of ours; the gateway's log has it"
        said = bytes(body[:RESPONSE_BYTES]).decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
        return Answer(round(time.monotonic() - begun, 3), status, error, said)


def headers_of(delivery: Delivery, now: float) -> dict[bytes | str, bytes | str]:
    """Return the headers of an attempt: a signature of each secret."""
    at = datetime.fromtimestamp(int(now), timezone.utc)
    signatures = [Webhook(secret).sign(delivery.id, at, delivery.payload) for secret in delivery.secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": "veracity-gateway",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": " ".join(signatures),
    }
