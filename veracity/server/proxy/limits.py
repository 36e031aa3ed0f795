"""What one caller may ask of the proxy. Sizes are bytes, times are seconds; measurements are of tritonserver 2.51."""

from __future__ import annotations

from dataclasses import dataclass

from veracity.catalog.serving import BULK_WAITING, VIDEOS_AT_ONCE, VIDEOS_WAITING

# Triton parses JSON by recursion: 100,000 brackets are answered, 128,000 end it (stacks of 8 MiB). That of our requests
# has under 2 KB, since the video is not in it but behind it.
JSON_BYTES = 32 << 10
HEADERS_KIB = 16
HEADERS = 64
NAMES_BYTES = 256  # of a model
FIELDS = 1000  # of a gRPC message: ours have under ten

HEADERS_SECONDS = 10  # until a request's headers, or a TLS handshake, are complete
UPLOAD_SECONDS = 600  # until a request is complete: 200 MB at 2.7 Mbit/s
ANSWER_SECONDS = 900  # from then on; also the longest silence of a stream
IDLE_SECONDS = 300  # of a connection without requests
# After so long a gRPC connection takes no new calls and ends with those it has; callers connect anew, and learn of
# servers that came under the same name.
CONNECTION_SECONDS = 600

CONNECTIONS = 1000  # at each port
STREAMS = 100  # requests at once over one HTTP/2 connection
REQUESTS = 256  # at once in tritonserver, over each of its sockets
# At once: Triton queues no request of a decoupled model, so its one process would have to refuse between analyses.
OPEN_STREAMS = VIDEOS_AT_ONCE + VIDEOS_WAITING + BULK_WAITING
BUFFER = 1 << 20  # of a connection, each way: a body passes through and is never held


@dataclass(frozen=True)
class Limits:
    """``body`` is the largest request."""

    body: int
