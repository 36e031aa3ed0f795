"""Receive OpenTelemetry's spans and print each trace as a tree, to look at one without a collector.

python examples/trace_receiver.py [PORT]
export OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318
veracity serve
veracity analyze clip.mp4
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

QUIET_SECONDS = 7.0  # spans come in batches, every 5 s; then a trace is whole


@dataclass(frozen=True)
class Span:
    """One span; ``began`` and ``ended`` are seconds of Unix time, ``parent`` is empty where it has none."""

    trace: str
    id: str
    parent: str
    service: str
    name: str
    began: float
    ended: float
    attributes: dict[str, str]
    events: list[dict[str, Any]]


class Receiver(ThreadingHTTPServer):
    """Takes spans as JSON, which tritonserver and our exporter send, until it is closed."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.spans: list[Span] = []
        self.last = time.monotonic()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT names."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def traces(self) -> dict[str, list[Span]]:
        """Return the spans of each trace, in the order of their begin."""
        found: dict[str, list[Span]] = defaultdict(list)
        for span in sorted(self.spans, key=lambda span: span.began):
            found[span.trace].append(span)
        return found


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        """Take one batch."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.spans += _read(body)
        self.server.last = time.monotonic()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Print nothing but traces."""


def _read(body: bytes) -> Iterator[Span]:
    """Yield the spans of a batch."""
    for resource in json.loads(body).get("resourceSpans", []):
        service = _attributes(resource.get("resource", {})).get("service.name", "")
        for scope in resource.get("scopeSpans", []):
            for span in scope.get("spans", []):
                trace, own, parent = (span.get(name, "") for name in ("traceId", "spanId", "parentSpanId"))
                began, ended = (int(span[name]) / 1e9 for name in ("startTimeUnixNano", "endTimeUnixNano"))
                about, events = _attributes(span), span.get("events", [])
                yield Span(trace, own, parent, service, span["name"], began, ended, about, events)


def _attributes(of: dict[str, Any]) -> dict[str, str]:
    return {pair["key"]: str(next(iter(pair["value"].values()), "")) for pair in of.get("attributes", [])}


def tree(spans: list[Span]) -> str:
    """Return one trace as text: of each span, below its parent, when it began and how long it took, in seconds."""
    known = {span.id for span in spans}
    below: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        below[span.parent if span.parent in known else ""].append(span)
    start = spans[0].began
    lines = [f"trace {spans[0].trace}", f"{'began':>7} {'took':>7}  span"]

    def add(parent: str, depth: int) -> None:
        for span in below[parent]:
            took = span.ended - span.began
            name = f"{'  ' * depth}{span.name}"
            lines.append(f"{span.began - start:7.3f} {took:7.3f}  {name}  [{span.service}]")
            add(span.id, depth + 1)

    add("", 0)
    return "\n".join(lines)


def main() -> None:
    """Print traces until Ctrl-C."""
    receiver = Receiver(int(sys.argv[1]) if len(sys.argv) > 1 else 4318)
    print(f"OTEL_EXPORTER_OTLP_ENDPOINT={receiver.url}")
    printed: set[str] = set()
    try:
        while True:
            time.sleep(1)
            if time.monotonic() - receiver.last > QUIET_SECONDS:
                for trace, spans in receiver.traces().items():
                    if trace not in printed:
                        print(tree(spans), end="\n\n", flush=True)
                        printed.add(trace)
    except KeyboardInterrupt:
        receiver.shutdown()


if __name__ == "__main__":
    main()
