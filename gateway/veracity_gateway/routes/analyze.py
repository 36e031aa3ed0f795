"""Media in: a job for each, or the verdict at once."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Header, Request, Response

from veracity_client.errors import TooLarge, VeracityError
from veracity_gateway.errors import BadRequest
from veracity_gateway.gateway import Gateway
from veracity_gateway.inbound.files import Received, cleaned
from veracity_gateway.inbound.uploads import Form, receive
from veracity_gateway.inbound.urls import check_url, fetch, name_of
from veracity_gateway.jobs.asked import Asked
from veracity_gateway.jobs.intake import once_of
from veracity_gateway.jobs.store import NewJob, new_id
from veracity_gateway.jobs.tables import Job
from veracity_gateway.problems import FAULTS, as_ours, problem
from veracity_gateway.routes.documented import ANALYZE, BATCH, PREDICT
from veracity_gateway.routes.parts import Analyst, Submitter, TheGateway
from veracity_gateway.routes.shown import Accepted, BatchAccepted, Problem, Refused, accepted

router = APIRouter(tags=["analysis"])

JSON_BYTES = 64 << 10
MOST_FILES = 100  # of a batch
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)]


@router.post("/analyze-video", status_code=202, openapi_extra=ANALYZE)
async def analyze_video(
    request: Request, response: Response, gateway: TheGateway, caller: Submitter, key: Key = None
) -> Accepted:
    """Take a file, or the address of one, and make a job of it."""
    if _is_json(request):
        url, asked = await _named(request, gateway)
        new = NewJob(caller.id, cleaned(name_of(url)), asked.options.to_json(), asked.keep_media, source_url=url)
        job = await anyio.to_thread.run_sync(gateway.intake.begin, new, once_of(key, asked, url))
    else:
        form, asked = await _form(request, gateway, 1)
        job = await _take(gateway, caller.id, form.files[0], asked, key)
    gateway.runner.wake()
    response.headers["Location"] = f"/jobs/{job.id}"
    return accepted(job)


@router.post("/batches", status_code=202, openapi_extra=BATCH)
async def analyze_batch(
    request: Request, response: Response, gateway: TheGateway, caller: Submitter, key: Key = None
) -> BatchAccepted:
    """Take several files and make a job of each; a file that is refused does not hold up the others.

    Where the disk or the database is lost on the way, the jobs that were made are named all the same.

    With an Idempotency-Key the same file again, at the same place of the request, is the same job.
    """
    form, asked = await _form(request, gateway, MOST_FILES)
    batch = new_id() if key is None else hashlib.sha256(f"{caller.id} {key}".encode()).hexdigest()[:32]
    jobs, refused = [], []
    try:
        for number, file in enumerate(form.files):
            once = None if key is None else f"{batch} {number}"
            try:
                jobs.append(await _take(gateway, caller.id, file, asked, once, batch))
            except (VeracityError, *FAULTS) as error:
                ours = as_ours(error)
                if not jobs and ours is not error:
                    raise
                refused.append(Refused(name=file.name, error=Problem(**problem(ours))))
    finally:
        form.discard()
    gateway.runner.wake()
    response.headers["Location"] = f"/batches/{batch}"
    return BatchAccepted(
        batch_id=batch, status_url=f"/batches/{batch}", jobs=[accepted(job) for job in jobs], refused=refused
    )


@router.post("/predict", openapi_extra=PREDICT)
async def predict(request: Request, gateway: TheGateway, _caller: Analyst) -> Response:
    """Answer with the verdict itself. Nothing is kept."""
    if _is_json(request):
        url, asked = await _named(request, gateway)
        file = await fetch(url, gateway.intake.folder, gateway.settings, outbound=gateway.outbound)
    else:
        form, asked = await _form(request, gateway, 1)
        file = form.files[0]
    try:
        video = await anyio.to_thread.run_sync(file.path.read_bytes)
    finally:
        file.discard()
    verdict = await gateway.servers.analyze(video, asked.options)
    return Response(verdict.to_json(), media_type="application/json")


async def _take(
    gateway: Gateway, owner: str, file: Received, asked: Asked, key: str | None, batch: str | None = None
) -> Job:
    new = NewJob(owner, file.name, asked.options.to_json(), asked.keep_media, batch)
    return await anyio.to_thread.run_sync(gateway.intake.take, new, file, once_of(key, asked, file.sha256))


async def _form(request: Request, gateway: Gateway, most_files: int) -> tuple[Form, Asked]:
    settings = gateway.settings
    form = await receive(request, gateway.intake.folder, most_bytes=settings.max_bytes, most_files=most_files,
                         seconds=settings.upload_seconds)  # fmt: skip
    try:
        return form, Asked.from_fields(form.fields)
    except VeracityError:
        form.discard()
        raise


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


async def _named(request: Request, gateway: Gateway) -> tuple[str, Asked]:
    """Return the address of a JSON body, and what is asked about it."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > JSON_BYTES:
            raise TooLarge(f"over {JSON_BYTES:,} bytes of JSON")
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is no JSON: {error}") from None
    if not isinstance(given, dict) or not isinstance(given.get("video_url"), str):
        raise BadRequest("the body is a JSON object with a video_url")
    url: str = given.pop("video_url")
    return check_url(url, private=gateway.settings.fetch_private), Asked.from_json(given)
