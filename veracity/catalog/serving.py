"""The two models that clients call: their tensors, and how many videos one server takes."""

from __future__ import annotations

from dataclasses import dataclass

from veracity_client._wire import DETECTOR, STREAM

VIDEOS_AT_ONCE = 4  # under way: the instances of the one, the turns of the other
VIDEOS_WAITING = 32  # in memory, up to 200 MB each; beyond them the server says that it is overloaded
QUEUE_SECONDS = 300  # longer than the slowest clip that the limits allow takes on a busy server
# Parameter of a request: when it began to arrive, in seconds of Unix time. A proxy on the same machine may set it as a
# header of this name that Triton is told to forward (--http-header-forward-pattern, --grpc-header-forward-pattern).
ARRIVED = "veracity-arrived"


@dataclass(frozen=True)
class Endpoint:
    """A model that orchestrates the others; a ``decoupled`` one sends an event for every stage."""

    name: str
    output: str
    decoupled: bool
    inputs: tuple[str, ...] = ("VIDEO", "PATH", "OPTIONS")


ENDPOINTS = (Endpoint(DETECTOR, "VERDICT", decoupled=False), Endpoint(STREAM, "EVENT", decoupled=True))
