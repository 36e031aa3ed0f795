"""What a browser says of where a request comes from: other pages shall not use the gateway through their readers."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.requests import Request

from veracity_gateway.errors import Forbidden, WrongHost

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_loopback(host: str) -> bool:
    """Say whether an address is this machine's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_host(request: Request) -> None:
    """Refuse a name that is not this machine's own: a page elsewhere may let its own name lead here (DNS rebinding).

    Raises :class:`WrongHost`.
    """
    host = request.headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    if not is_loopback(name or ""):
        raise WrongHost(f"without an API key this gateway answers as localhost alone, not as {host[:200]!r}")


def check_same_origin(request: Request) -> None:
    """Refuse to change anything for another origin's page; raises :class:`Forbidden`.

    Programs send neither header. Another port of this machine is ``same-site``, and another origin all the same.
    """
    if request.method in SAFE_METHODS:
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        same = site in ("same-origin", "none")
    else:  # browsers send no Sec-Fetch-Site to http addresses other than this machine's
        same = origin is None or origin.partition("://")[2].lower() == request.headers.get("host", "").lower()
    if not same:
        raise Forbidden("a page of another origin sent this request")
