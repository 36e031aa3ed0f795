"""What happens to every request, as plain ASGI, so that streams pass as they are written."""

from __future__ import annotations

import time

import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veracity_gateway import problems
from veracity_gateway.access.headers import secure
from veracity_gateway.errors import BadRequest
from veracity_gateway.meters import Meters

log = structlog.get_logger()

UPLOADS = ("/analyze-video", "/batches", "/predict", "/uploads")  # they have limits of their own
BODY_BYTES = 1 << 20  # of any other body


class Answering:
    """Gives each request an id and each answer its headers; counts; and makes an answer of what nobody caught."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self._app, self._meters = app, meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request.state.request_id = problems.request_id(request.headers.get("x-request-id"))
        request.state.headers = {}
        answer = _Answer(request, send, self._meters)
        if b"%00" in scope["query_string"] or "\0" in scope["path"]:  # PostgreSQL keeps none in a text
            refused = BadRequest("an address holds no NUL")
            await problems.response(request, refused)(scope, receive, answer.send)
            return
        try:
            await self._app(scope, _limited(request, receive), answer.send)
        except ClientDisconnect:
            log.info("the client went away", request_id=request.state.request_id)
        except Exception as error:
            response = await problems.unknown(request, error)
            if answer.begun:  # the connection is cut, which tells the client that this was not all
                raise
            await response(scope, receive, answer.send)


class _Answer:
    def __init__(self, request: Request, send: Send, meters: Meters) -> None:
        self._request, self._send, self._meters = request, send, meters
        self._asked = time.perf_counter()
        self.begun = False

    async def send(self, message: Message) -> None:
        """Send on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in self._request.state.headers.items():
                headers.setdefault(name, value)
            secure(headers, self._request)
            headers["X-Request-ID"] = self._request.state.request_id
            route = getattr(self._request.scope.get("route"), "path", "none")
            seconds = time.perf_counter() - self._asked
            self._meters.answered(self._request.method, route, message["status"], seconds)
        await self._send(message)


def _limited(request: Request, receive: Receive) -> Receive:
    """Return what reads a body up to the limit. FastAPI reads a JSON body whole."""
    if request.url.path.startswith(UPLOADS):
        return receive
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > BODY_BYTES:
            raise HTTPException(413, f"over {BODY_BYTES:,} bytes")
        return message

    return limited
