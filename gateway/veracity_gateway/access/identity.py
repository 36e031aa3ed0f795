"""Who a request is from: its API key, or the key that began the page's session."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable

from starlette.requests import Request

from veracity_client.errors import Unauthorized
from veracity_gateway.access.caller import LOCAL
from veracity_gateway.access.keys import Key, Keys, digest_of
from veracity_gateway.access.limits import Rates
from veracity_gateway.access.origin import SAFE_METHODS
from veracity_gateway.access.sessions import CSRF_HEADER, Sessions, cookie_of, csrf_of
from veracity_gateway.errors import Forbidden, TooManyRequests

FAILURES_A_MINUTE = 20  # of an address
MOST_KNOWN = 10_000
LONGEST = 512  # characters of a key or a cookie


class Identity:
    """Finds keys. An address that was wrong too often waits, but for what was right before.

    So a program with an old key does not shut out the others behind the same address.
    """

    def __init__(self, keys: Keys, sessions: Sessions) -> None:
        self._keys, self._sessions = keys, sessions
        self._failures = Rates()
        self._known: set[str] = set()

    def of(self, request: Request) -> Key:
        """Return the key of a request; raises Unauthorized, TooManyRequests, or Forbidden without the CSRF token."""
        if sent := _sent_key(request):
            return self.by_key(sent, request)
        if not (cookie := cookie_of(request)):
            raise Unauthorized("this wants an API key: Authorization: Bearer vk_…, or x-api-key")
        key = self._checked(cookie, request, self._sessions.find, "the session is over; log in again")
        if request.method not in SAFE_METHODS:
            sent = request.headers.get(CSRF_HEADER, "")
            if not hmac.compare_digest(sent.encode(), csrf_of(cookie).encode()):
                raise Forbidden(f"a session's request that changes something wants the {CSRF_HEADER} of GET /session")
        return key

    def still(self, request: Request) -> bool:
        """Say whether what let a request in would let it in again; to ask is no use of a session."""
        if request.state.caller == LOCAL:
            return not self._keys.any_made()
        if sent := _sent_key(request):
            return self._keys.find(sent, use=False) is not None
        cookie = cookie_of(request)
        return cookie is not None and self._sessions.find(cookie, use=False) is not None

    def by_key(self, text: str, request: Request) -> Key:
        """Return the key that was sent; raises Unauthorized, TooManyRequests."""
        return self._checked(text, request, self._keys.find, "there is no such API key, or it was revoked")

    def _checked(self, proof: str, request: Request, find: Callable[[str], Key | None], wrong: str) -> Key:
        digest, address = digest_of(proof), _address(request)
        failures = self._failures.left(address, FAILURES_A_MINUTE)
        if failures.wait and digest not in self._known:
            raise TooManyRequests("too many wrong keys from this address", failures.wait)
        key = find(proof) if len(proof) <= LONGEST else None
        if key is None:
            self._known.discard(digest)
            self._failures.take(address, FAILURES_A_MINUTE)
            raise Unauthorized(wrong)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known.add(digest)
        return key


def _sent_key(request: Request) -> str:
    kind, _, bearer = request.headers.get("authorization", "").partition(" ")
    return bearer.strip() if kind.lower() == "bearer" else request.headers.get("x-api-key", "")


def _address(request: Request) -> str:
    """Return the client's address; of IPv6 the network, which is one customer's."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host
