"""A request's place in a trace: below its caller's span, with the requests that it makes below it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from veracity.catalog.serving import CALLER_TRACE
from veracity_client import telemetry

SPAN = "analysis"
SAMPLED = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f][13579bdf]")

_trace: ContextVar[Any] = ContextVar("trace", default=None)


@contextmanager
def traced(request: Any, *, decoupled: bool) -> Iterator[None]:
    """Make a span of the block, if the request is traced: its caller said so, and this server traces. Else none in it.

    Over gRPC the caller's trace comes as a parameter; over HTTP Triton itself traces, the models below the request too.
    It lets go of the trace of a ``decoupled`` request at once: that one is never used.
    """
    trace = request.trace() if telemetry.endpoint() and not decoupled else None
    parent = _parameter(request) or (json.loads(trace.get_context() or "{}") if trace else {})
    if not (telemetry.endpoint() and parent):
        with telemetry.silence():
            yield
        return
    token = _trace.set(trace)
    try:
        with telemetry.span(SPAN, parent, request_id=request.request_id()):
            yield
    finally:
        _trace.reset(token)


def of_the_request() -> dict[str, Any]:
    """Return the argument that puts a request to another model into the trace of the one that is worked on."""
    trace = _trace.get()
    return {} if trace is None else {"trace": trace}


def _parameter(request: Any) -> dict[str, str]:
    given = json.loads(request.parameters() or "{}").get(CALLER_TRACE)
    return {"traceparent": given} if isinstance(given, str) and SAMPLED.fullmatch(given) else {}
