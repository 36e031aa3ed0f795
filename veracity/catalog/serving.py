"""The two models that clients call: their tensors, and how many videos one server takes."""

from __future__ import annotations

from dataclasses import dataclass

from veracity_client._wire import DETECTOR, STREAM

VIDEOS_AT_ONCE = 4  # under way: the instances of the one, the turns of the other
VIDEOS_WAITING = 32  # in memory, up to 200 MB each; beyond them the server says that it is overloaded
BULK_WAITING = 16  # beside them: requests of the lower priority have places of their own, and take none of the others'
QUEUE_SECONDS = 300  # longer than the slowest clip that the limits allow takes on a busy server
# When a request began to arrive, in seconds of Unix time: a header of the proxy that tritonserver makes a parameter
ARRIVED = "veracity-arrived"
CALLER_TRACE = "veracity-traceparent"  # likewise, over gRPC; names.lua says why
SERVICE = "veracity-server"  # in traces


@dataclass(frozen=True)
class Endpoint:
    """A model that orchestrates the others; a ``decoupled`` one sends an event for every stage."""

    name: str
    output: str
    decoupled: bool
    inputs: tuple[str, ...] = ("VIDEO", "PATH", "OPTIONS")


ENDPOINTS = (Endpoint(DETECTOR, "VERDICT", decoupled=False), Endpoint(STREAM, "EVENT", decoupled=True))
