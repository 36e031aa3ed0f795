"""Spans of OpenTelemetry, where somebody traces: who does has imported its API, and who does not pays nothing.

A program that traces has a provider of its own, which is used. Ours send spans over HTTP if OpenTelemetry's variables
name an endpoint: :func:`start`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any

from veracity_client.errors import BadOption

ENDPOINT, TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.json.http")
API = "opentelemetry.trace"
TRACER = "veracity"

Value = str | int | float | bool

_silent: ContextVar[bool] = ContextVar("silent", default=False)


def endpoint(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return where spans are sent, by OpenTelemetry's variables; None for nowhere.

    Raises :class:`BadOption` for a protocol other than HTTP.
    """
    base, whole = environ.get(ENDPOINT, ""), environ.get(TRACES_ENDPOINT, "")
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    if off or not (base or whole):
        return None
    for name in PROTOCOLS:
        if not environ.get(name, "http").startswith("http"):
            raise BadOption(f"{name}: spans are sent over HTTP alone, usually to port 4318; got {environ[name]!r}")
    return whole or base.rstrip("/") + "/v1/traces"


def name(service: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return what a service is called in traces: as OpenTelemetry's variable says, else as we call it."""
    return environ.get("OTEL_SERVICE_NAME") or service


def check() -> None:
    """Raise :class:`BadOption` where spans are to be sent and cannot be."""
    for package in PACKAGES if endpoint() else ():
        if not _is_installed(package):
            raise BadOption(
                f"{ENDPOINT} is set, and {package} is missing: it comes with the extra 'telemetry' of our packages"
            )


def start(service: str) -> None:
    """Send the spans of this process to :func:`endpoint`, if there is one. Raises :class:`BadOption` as check does."""
    if (url := endpoint()) is None:
        return
    check()
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name(service)}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    trace.set_tracer_provider(provider)


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of the package that it lies in
        return False


@contextmanager
def silence() -> Iterator[None]:
    """Make no spans within the block."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


@contextmanager
def span(name: str, parent: Mapping[str, str] | None = None, **about: Value) -> Iterator[None]:
    """Make a span of the block, below the one around it, or below that of ``parent``, which are W3C headers."""
    trace = _api()
    if trace is None:
        yield
        return
    context = None if parent is None else _propagator().extract(parent)
    with trace.get_tracer(TRACER).start_as_current_span(name, context, attributes=about):
        yield


@contextmanager
def call(name: str, **about: Value) -> Iterator[dict[str, str]]:
    """Make a span of a call to another process, and give the headers that carry it there.

    It is not made the current one: a generator that is left and entered again would have other code run below it.
    """
    trace = _api()
    if trace is None:
        yield {}
        return
    made = trace.get_tracer(TRACER).start_span(name, kind=trace.SpanKind.CLIENT, attributes=about)
    try:
        yield _headers(trace.set_span_in_context(made)) if made.get_span_context().trace_flags.sampled else {}
    except Exception as error:
        made.record_exception(error)
        made.set_status(trace.StatusCode.ERROR, str(error))
        raise
    finally:
        made.end()


def headers() -> dict[str, str]:
    """Return the W3C headers of the current span; none where nobody traces."""
    return _headers(None) if _api() else {}


def _api() -> Any:
    """Return OpenTelemetry's API; None where nobody traces."""
    return None if _silent.get() else sys.modules.get(API)


def _headers(context: Any) -> dict[str, str]:
    carrier: dict[str, str] = {}
    _propagator().inject(carrier, context)
    return carrier


def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator()
