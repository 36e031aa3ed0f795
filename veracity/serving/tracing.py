"""A request's place in a trace: below the span that Triton made of it, with the requests that it makes below it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from veracity_client import telemetry

SPAN = "analysis"

_trace: ContextVar[Any] = ContextVar("trace", default=None)


@contextmanager
def traced(request: Any, *, decoupled: bool) -> Iterator[None]:
    """Make a span of the block, if the request is traced: its caller said so, and this server traces. Else none in it.

    Triton lets go of the trace of a ``decoupled`` request at once; one of its own spans below it, of a model that is
    called, would end tritonserver 2.51 with SIGSEGV.
    """
    trace = request.trace() if telemetry.endpoint() else None
    context = trace.get_context() if trace else None
    if not context:
        with telemetry.silence():
            yield
        return
    token = _trace.set(None if decoupled else trace)
    try:
        with telemetry.span(SPAN, json.loads(context), request_id=request.request_id()):
            yield
    finally:
        _trace.reset(token)


def of_the_request() -> dict[str, Any]:
    """Return the argument that puts a request to another model into the trace of the one that is worked on."""
    trace = _trace.get()
    return {} if trace is None else {"trace": trace}
