"""Who may ask what, checked before the routes. An address is closed unless it is named here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from veracity_client.errors import VeracityError
from veracity_gateway import problems
from veracity_gateway.access.caller import LOCAL
from veracity_gateway.access.limits import rate_headers
from veracity_gateway.access.origin import check_host, check_same_origin, is_loopback
from veracity_gateway.errors import Forbidden, TooManyRequests

if TYPE_CHECKING:
    from veracity_gateway.gateway import Gateway

PAGE = "/"
STATIC = "/static/"  # the page's files
LIVE = "/health/live"
PUBLIC = frozenset({PAGE, LIVE, "/health/ready", "/version"})
LOGIN = ("POST", "/session")
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def is_public(method: str, path: str) -> bool:
    """Say whether an address wants no key."""
    if method in ("GET", "HEAD"):
        return path in PUBLIC or path.startswith(STATIC)
    return (method, path) == LOGIN


class Guard:
    """ASGI: gives each request its ``state.caller``, or refuses it."""

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self._app, self._gateway = app, gateway
        self._is_local = is_loopback(gateway.settings.host)
        self._keys_were_made = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] == LIVE and scope["method"] in ("GET", "HEAD"):  # whatever the database does
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            check_same_origin(request)
            await run_sync(self._admit, request)
        except VeracityError as error:
            await problems.response(request, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _admit(self, request: Request) -> None:
        if self._is_open():
            check_host(request)
            if any(name in request.headers for name in FORWARDED):
                raise Forbidden("behind a proxy the gateway wants API keys: `veracity gateway keys add`")
            request.state.caller = LOCAL
        elif not is_public(request.method, request.url.path):
            key = self._gateway.identity.of(request)
            request.state.caller = key.caller
            left = self._gateway.rates.take(key.id, key.per_minute)
            request.state.headers = rate_headers(key, left)
            if left.wait:
                raise TooManyRequests(f"the key may ask {key.per_minute} times a minute", left.wait)

    def _is_open(self) -> bool:
        """Say whether this machine's people come in without a key: while no key was ever made.

        After the last one was revoked nobody comes in: what keys closed does not open by itself.
        """
        if self._is_local and not self._keys_were_made:
            self._keys_were_made = self._gateway.keys.any_made()
        return self._is_local and not self._keys_were_made
