"""Errors as RFC 9457 says: ``application/problem+json`` with type, title, status, detail and the request's id."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from veracity_client.errors import InternalError, TooLarge, VeracityError
from veracity_gateway.database import AWAY
from veracity_gateway.errors import BadRequest, NotAllowed, NotFound, StorageFull, StoreUnavailable

log = structlog.get_logger()

FAULTS = (OSError, DBAPIError, *AWAY)  # of the disk or the database
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "5"  # seconds


def problem(error: VeracityError, request_id: str | None = None) -> dict[str, Any]:
    """Return the body of an error. Its ``type`` is a name for programs, and no address."""
    name = type(error).__name__
    said = {
        "type": f"urn:veracity:error:{name}",
        "title": re.sub(r"(?<!^)(?=[A-Z])", " ", name).capitalize(),
        "status": error.http,
        "detail": error.message,
    }
    return said | ({"request_id": request_id} if request_id else {})


def response(request: Request, error: VeracityError) -> JSONResponse:
    """Return the answer to a request that failed."""
    headers = dict(getattr(error, "headers", {}))
    if error.http == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="veracity"'
    if error.http in (429, 503):
        headers.setdefault("Retry-After", RETRY_AFTER)
    body = problem(error, request.state.request_id)
    return JSONResponse(body, error.http, headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error in this form."""

    @app.exception_handler(VeracityError)
    async def ours(request: Request, error: VeracityError) -> JSONResponse:
        return response(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return response(request, bad_request(error))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        kind = {404: NotFound, 405: NotAllowed, 413: TooLarge}.get(error.status_code, BadRequest)
        ours = kind(f"{request.method} {request.url.path[:200]}: {error.detail}")
        answer = response(request, ours)
        answer.headers.update(error.headers or {})
        if error.status_code == 405 and (allowed := _allowed(request)):
            answer.headers["Allow"] = ", ".join(sorted(allowed))
        return answer

    for kind in FAULTS:
        app.exception_handler(kind)(unknown)


async def unknown(request: Request, error: Exception) -> JSONResponse:
    """Return the answer to a request that met a fault of ours, of the disk or of the database; it is logged."""
    if ours := _of_stores(error):
        log.error("a request failed", request_id=request.state.request_id, error=_said_by(error))
        return response(request, ours)
    log.error("a request failed", request_id=request.state.request_id, exc_info=error)
    return response(request, InternalError("a fault of ours; the log has it under the request id"))


def _said_by(error: Exception) -> str:
    """Return what the disk or the database said; not what was asked, which may hold a secret."""
    return str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]


def as_ours(error: Exception) -> VeracityError:
    """Return an error of ours, or what stands for a fault of the disk or the database; any other fault is raised."""
    if isinstance(error, VeracityError):
        return error
    if ours := _of_stores(error):
        return ours
    raise error


def _of_stores(error: Exception) -> VeracityError | None:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or (isinstance(error, DBAPIError) and "is full" in str(error.orig)):
        return StorageFull("the disk is full; nothing of this request was kept")
    if isinstance(error, AWAY):
        return StoreUnavailable("the database does not answer")
    return None


def bad_request(error: RequestValidationError) -> BadRequest:
    """Return what FastAPI found wrong as our error."""
    return BadRequest("; ".join(_said(each) for each in error.errors()))


def request_id(given: str | None) -> str:
    """Return the caller's ``X-Request-ID`` where it is one, else a new one."""
    return given if given and re.fullmatch(r"[\w.-]{1,64}", given) else uuid4().hex


def _allowed(request: Request) -> set[str]:
    """Return the methods of a path that the document has; the router says those of the first route alone."""
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    return {method.upper() for method in paths.get(request.scope["route"].path, ())}


def _said(error: Mapping[str, Any]) -> str:
    return f"{'.'.join(str(part) for part in error['loc'][1:])}: {error['msg']}"
