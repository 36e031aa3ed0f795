"""All verdicts as lines, as ``veracity analyze --out`` writes them: for ``veracity drift``."""

from __future__ import annotations

import json
from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from veracity_gateway.gateway import Gateway
from veracity_gateway.jobs.queries import Filter
from veracity_gateway.jobs.tables import Job
from veracity_gateway.routes.parts import Reader, TheGateway

router = APIRouter(tags=["jobs"])

PAGE = 100  # jobs held in memory


@router.get(
    "/results.jsonl",
    response_class=StreamingResponse,
    responses={
        200: {"description": "A verdict a line", "content": {"application/jsonl": {"schema": {"type": "string"}}}}
    },
)
def results(gateway: TheGateway, caller: Reader) -> StreamingResponse:
    """Return the verdicts of all jobs that are complete, the newest first: what `veracity drift` reads."""
    return StreamingResponse(_lines(gateway, caller.sees), media_type="application/jsonl")


def _lines(gateway: Gateway, owner: str | None) -> Iterator[bytes]:
    after = None
    while True:
        jobs, after = gateway.queries.page(Filter(owner, state="COMPLETE"), limit=PAGE, after=after)
        yield from (_line(job) for job in jobs if job.verdict and not job.answered_from)  # each answer once
        if after is None:
            return


def _line(job: Job) -> bytes:
    asked = {"server": job.fingerprint, **json.loads(job.options)}
    return (json.dumps({"file": job.name, "asked": asked, **json.loads(job.verdict or "{}")}) + "\n").encode()
