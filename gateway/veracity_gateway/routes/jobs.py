"""Jobs: one, many, what happens to them, their media."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from itertools import chain
from typing import Annotated, Literal

import anyio
import anyio.to_thread
from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Receive, Scope, Send

from veracity_gateway.errors import Gone, NotFound
from veracity_gateway.gateway import Gateway
from veracity_gateway.jobs.queries import Filter
from veracity_gateway.jobs.tables import ENDED, State
from veracity_gateway.routes.documented import EVENTS, MEDIA
from veracity_gateway.routes.parts import Analyst, Reader, TheGateway, caller_of
from veracity_gateway.routes.ranges import wanted_range
from veracity_gateway.routes.shown import BatchShown, JobPage, JobShown, shown, summary

router = APIRouter(tags=["jobs"])

LOOK_SECONDS = 0.25  # how often a stream of events looks for new ones, which any gateway may have written
ADMITTED_SECONDS = 2.0  # how often it looks whether its caller would still be let in
PING_SECONDS = 15
MOST_JOBS = 500  # of a page, and of a batch

JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="as the answer to the request said")]
Limit = Annotated[int, Query(ge=1, le=MOST_JOBS)]
Short = Annotated[str | None, Query(max_length=200)]


@router.get("/jobs")
def jobs(
    gateway: TheGateway,
    caller: Reader,
    state: State | None = None,
    label: Literal["fake", "real", "inconclusive"] | None = None,
    q: Short = None,
    batch: Short = None,
    limit: Limit = 50,
    after: Short = None,
) -> JobPage:
    """Return jobs, the newest first. ``q`` is part of a name, or a file's sha256."""
    wanted = Filter(caller.sees, state, label, q, batch)
    found, following = gateway.queries.page(wanted, limit=limit, after=after)
    return JobPage(jobs=[summary(job) for job in found], next=following)


@router.get("/jobs/{job_id}")
def job(job_id: JobId, gateway: TheGateway, caller: Reader) -> JobShown:
    """Return a job; its verdict is there when its state is COMPLETE."""
    found = gateway.queries.job(job_id, caller.sees)
    return shown(found, gateway.queries.events(found.id))


@router.get("/batches/{batch_id}")
def batch(batch_id: JobId, gateway: TheGateway, caller: Reader) -> BatchShown:
    """Return how far the files of a batch are."""
    wanted = Filter(caller.sees, batch=batch_id)
    found, _ = gateway.queries.page(wanted, limit=MOST_JOBS, after=None)
    if not found:
        raise NotFound(f"there is no batch {batch_id}")
    return BatchShown(batch_id=batch_id, states=gateway.queries.states(wanted), jobs=[summary(each) for each in found])


@router.delete("/jobs/{job_id}", status_code=204)
async def delete_job(job_id: JobId, gateway: TheGateway, caller: Analyst) -> None:
    """Stop a job and delete it: its media, its verdict and what happened to it."""
    found = await anyio.to_thread.run_sync(gateway.queries.job, job_id, caller.sees)
    await anyio.to_thread.run_sync(lambda: gateway.retention.delete(found.id, by=caller.id))
    gateway.runner.cancel(found.id)


@router.get("/jobs/{job_id}/events", response_class=EventSourceResponse, responses=EVENTS)
async def events(
    request: Request,
    job_id: JobId,
    gateway: TheGateway,
    caller: Reader,
    last: Annotated[int, Header(alias="Last-Event-ID", ge=0, lt=1 << 31)] = 0,
) -> EventSourceResponse:
    """Send what happens to a job as server-sent events: what happened before too, or what follows the last one.

    The stream ends when the job does; and soon after its key was revoked, or its session is over.
    """
    found = await anyio.to_thread.run_sync(gateway.queries.job, job_id, caller.sees)
    return _EventStream(gateway, request, _events(gateway, found.id, last, request))


@router.get("/jobs/{job_id}/media", response_class=StreamingResponse, responses=MEDIA)
def media(request: Request, job_id: JobId, gateway: TheGateway, caller: Reader) -> Response:
    """Return the file, while it is kept. Ranges of bytes may be asked for."""
    found = gateway.queries.job(job_id, caller.sees)
    if not found.media:
        raise Gone("the media were deleted; they are kept on request: keep_media")
    size = gateway.media.size(found.id)
    start, end = wanted_range(request.headers.get("range"), size)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(end - start),
        "Content-Disposition": "attachment",  # never shown by a browser as a page of ours
        "ETag": f'"{found.sha256}"',
    }
    whole = (start, end) == (0, size)
    if not whole:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    chunks = gateway.media.chunks(found.id, start, end)
    first = next(chunks, b"")  # before the answer begins: retention may have deleted the file meanwhile
    return StreamingResponse(chain([first], chunks), 200 if whole else 206, headers, "application/octet-stream")


class _EventStream(EventSourceResponse):
    """A stream that is counted as long as it is open."""

    def __init__(self, gateway: Gateway, request: Request, content: AsyncGenerator[ServerSentEvent, None]) -> None:
        super().__init__(content, ping=PING_SECONDS)
        self._gateway, self._request = gateway, request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; raises :class:`TooManyRequests`."""
        with self._gateway.streams.opened(caller_of(self._request).id):
            await super().__call__(scope, receive, send)


async def _events(gateway: Gateway, id_: str, last: int, request: Request) -> AsyncGenerator[ServerSentEvent, None]:
    asked = time.monotonic()
    while True:
        if time.monotonic() - asked > ADMITTED_SECONDS:
            asked = time.monotonic()
            if not await anyio.to_thread.run_sync(gateway.identity.still, request):
                return
        news, state = await anyio.to_thread.run_sync(gateway.queries.news, id_, last)
        for event in news:
            last = event.number
            yield ServerSentEvent(event.data, event=event.kind, id=str(event.number))
            if event.kind == "end":
                return
        if state is None or state in ENDED:  # it was deleted, or the client had the last event already
            yield ServerSentEvent(json.dumps({"state": state or "CANCELLED"}), event="end")
            return
        await anyio.sleep(LOOK_SECONDS)
