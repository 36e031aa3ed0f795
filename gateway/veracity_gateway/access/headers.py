"""What every answer tells a browser. A route may set its own policy or caching; what it set stays."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import Request

from veracity_gateway.access.guard import is_public

PAGE_POLICY = "; ".join((
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob: data:",
    "media-src 'self' blob:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
))  # fmt: skip
NOT_ALLOWED = ("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "microphone", "payment", "usb")
ALWAYS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in NOT_ALLOWED),
}
HSTS = {"Strict-Transport-Security": "max-age=31536000"}  # a year; of this host alone, since others are not ours


def secure(headers: MutableHeaders, request: Request) -> None:
    """Add what is missing. Everything that wants a key stays out of caches; the page is asked for anew each time."""
    for name, value in (ALWAYS | (HSTS if request.url.scheme == "https" else {})).items():
        headers.setdefault(name, value)
    is_json = "json" in headers.get("content-type", "")
    page = is_public(request.method, request.url.path) and not is_json
    headers.setdefault("Cache-Control", "no-cache" if page else "no-store")
