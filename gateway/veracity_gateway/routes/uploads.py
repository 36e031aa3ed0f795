"""Uploads that may be interrupted: tus 1.0.0, https://tus.io. An upload that is complete is the job of its id."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from email.utils import formatdate
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Header, Request, Response
from fastapi.routing import APIRoute

from veracity_gateway.errors import Conflict, UnsupportedType, UploadBusy, WrongVersion
from veracity_gateway.gateway import Gateway
from veracity_gateway.inbound.tus import CHECKSUMS, checksum_of
from veracity_gateway.jobs.retention import HOUR
from veracity_gateway.jobs.tables import Job
from veracity_gateway.routes.documented import PART, tus
from veracity_gateway.routes.jobs import JobId
from veracity_gateway.routes.parts import Analyst, TheGateway

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum"
METADATA = r"^([!-+\--~]+( [A-Za-z0-9+/]*={0,2})?(, ?|$))*$"  # names, each with a value in base64
CHECKSUM = r"^(sha1 [A-Za-z0-9+/]{27}=|sha256 [A-Za-z0-9+/]{43}=)?$"
PART_TYPE = "application/offset+octet-stream"

Size = Annotated[int, Header(ge=0, lt=1 << 63)]
Length = Annotated[int, Header(ge=1, lt=1 << 63)]
Metadata = Annotated[str, Header(max_length=16_384, pattern=METADATA, examples=["filename Y2xpcC5tcDQ="])]
Sum = Annotated[str, Header(pattern=CHECKSUM)]


class TusRoute(APIRoute):
    """Wants the protocol's version of every request, and says it in every answer."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            request.state.headers = {**request.state.headers, "Tus-Resumable": VERSION}
            if request.method != "OPTIONS" and request.headers.get("tus-resumable") != VERSION:
                raise WrongVersion(f"send the header Tus-Resumable: {VERSION}")
            return await answer(request)

        return handle


router = APIRouter(prefix="/uploads", tags=["uploads"], route_class=TusRoute)


@router.options(
    "",
    status_code=204,
    response_class=Response,
    responses=tus(204, "What there is", "Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm"),
)
def upload_options(gateway: TheGateway) -> Response:
    """Say what of tus there is."""
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(gateway.settings.max_bytes),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
    }
    return Response(status_code=204, headers=headers)


@router.post(
    "",
    status_code=201,
    response_class=Response,
    responses=tus(201, "The upload", "Location", "Upload-Offset", "Upload-Expires"),
)
async def begin_upload(
    request: Request,
    gateway: TheGateway,
    caller: Analyst,
    upload_length: Length,
    upload_metadata: Metadata = "",
    upload_checksum: Sum = "",
) -> Response:
    """Begin an upload. Its metadata are ``filename`` and the options of ``/analyze-video``; the body may be a part."""
    checksum = checksum_of(upload_checksum)
    job = await anyio.to_thread.run_sync(gateway.uploads.begin, caller.id, upload_length, upload_metadata)
    offset = 0
    if _is_part(request):
        offset = await gateway.uploads.append(job, request.stream(), 0, checksum)
        gateway.runner.wake()
    return Response(status_code=201, headers={"Location": f"/uploads/{job.id}", **_said(gateway, job, offset)})


@router.head(
    "/{upload_id}",
    response_class=Response,
    responses=tus(200, "How far it is", "Upload-Offset", "Upload-Length", "Upload-Expires"),
)
async def upload(upload_id: JobId, gateway: TheGateway, caller: Analyst) -> Response:
    """Say how far an upload is."""
    job = await anyio.to_thread.run_sync(gateway.uploads.find, upload_id, caller.id)
    offset = await anyio.to_thread.run_sync(gateway.uploads.offset, job)
    with suppress(UploadBusy):  # the request that has it completes it
        await gateway.uploads.complete(job)
    headers = {"Upload-Length": str(job.bytes), "Cache-Control": "no-store", **_said(gateway, job, offset)}
    return Response(headers=headers)


@router.patch(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    responses=tus(204, "How far it is", "Upload-Offset", "Upload-Expires"),
    openapi_extra=PART,
)
async def continue_upload(
    request: Request,
    upload_id: JobId,
    gateway: TheGateway,
    caller: Analyst,
    upload_offset: Size,
    upload_checksum: Sum = "",
) -> Response:
    """Add a part to an upload. The last one makes it a job."""
    if not _is_part(request):
        raise UnsupportedType(f"send {PART_TYPE}")
    checksum = checksum_of(upload_checksum)
    job = await anyio.to_thread.run_sync(gateway.uploads.find, upload_id, caller.id)
    offset = await gateway.uploads.append(job, request.stream(), upload_offset, checksum)
    gateway.runner.wake()
    return Response(status_code=204, headers=_said(gateway, job, offset))


@router.delete("/{upload_id}", status_code=204, response_class=Response, responses=tus(204, "It is deleted"))
async def end_upload(upload_id: JobId, gateway: TheGateway, caller: Analyst) -> Response:
    """Delete an upload that is not complete, with what came of it."""
    job = await anyio.to_thread.run_sync(gateway.uploads.find, upload_id, caller.id)
    if job.state != "UPLOADING":
        raise Conflict(f"the upload is complete: delete /jobs/{job.id}")
    await anyio.to_thread.run_sync(lambda: gateway.retention.delete(job.id, by=caller.id))
    return Response(status_code=204)


def _is_part(request: Request) -> bool:
    return request.headers.get("content-type", "").lower() == PART_TYPE


def _said(gateway: Gateway, job: Job, offset: int) -> dict[str, str]:
    headers = {"Upload-Offset": str(offset)}
    if offset < (job.bytes or 0):
        ends = job.created + gateway.settings.unfinished_hours * HOUR
        headers["Upload-Expires"] = formatdate(ends, usegmt=True)
    return headers
