"""What every transport shares: the request, the retry budget, and what a server's text means."""

from __future__ import annotations

import dataclasses
import json
import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from veracity_client import triton_errors
from veracity_client._source import shortened
from veracity_client.errors import (
    AnalysisTimeout,
    BadOption,
    InternalError,
    ModelUnavailable,
    Overloaded,
    ServerUnavailable,
    VeracityError,
    from_wire,
)
from veracity_client.options import Priority
from veracity_client.verdict import Options, StageEvent, Verdict, event_from_json

DETECTOR, VERDICT = "deepfake_detector", "VERDICT"
STREAM, EVENT = "deepfake_detector_stream", "EVENT"
ALIVE = '{"alive":true}'  # a message that is no event: the stream's process lives
ALIVE_SECONDS = 5.0  # between two of them
RETRIED = (Overloaded, ModelUnavailable, ServerUnavailable)  # an analysis changes nothing, so it may be repeated
PRIORITIES: Mapping[Priority, int] = {"interactive": 1, "bulk": 2}  # as Triton counts them
UNREADABLE = (ValueError, RecursionError)  # the latter: brackets nested too deep
NO_TIME_LEFT = "no verdict within the time given"


@dataclass(frozen=True)
class Pauses:
    """Before each repetition, in seconds: the first, how it grows, and the longest."""

    first: float
    growth: float
    longest: float

    def seconds(self, before: int) -> float:
        """Return a pause, after so many ``before``; random, so that callers spread out."""
        longest = min(self.longest, self.first * self.growth ** min(before, 10))  # 10: no number grows too large
        return random.uniform(longest / 2, longest)  # noqa: S311 - nothing secret


WHEN_OVERLOADED = Pauses(0.2, 2, 5.0)
WHEN_MODEL_DOWN = Pauses(1.0, 2, 8.0)  # a process is replaced within 1 to 2 s, a model loaded again within 6 s
WHEN_DOWN = Pauses(2.0, 2, 10.0)  # a server is started again within 8 to 13 s, on busy cores within 17 s


def pauses_after(error: VeracityError) -> Pauses:
    """Return the pauses that an error of :data:`RETRIED` asks for."""
    if isinstance(error, Overloaded):
        return WHEN_OVERLOADED
    return WHEN_MODEL_DOWN if isinstance(error, ModelUnavailable) else WHEN_DOWN


def answered(error: VeracityError) -> bool:
    """Return whether a server was there: all errors but that of a failed connection are an answer."""
    return not isinstance(error, ServerUnavailable) or error.connected


@dataclass(frozen=True)
class Request:
    """One request: the model, the tensor that answers, and the tensors given, each BYTES [1, 1].

    ``timeout_us`` is Triton's parameter ``timeout``, in microseconds: how long it may wait in Triton's queue.
    That serves ``priority`` 1 before 2. ``headers`` carry the caller's trace.
    """

    model: str
    output: str
    tensors: Mapping[str, bytes]
    timeout_us: int
    priority: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


def build(
    source: bytes | str,
    options: Options | None,
    left: float | None,
    headers: Mapping[str, str] = MappingProxyType({}),
    *,
    stream: bool = False,
) -> Request:
    """Build the request of any transport: ``source`` is the file's bytes or a server-side path, ``left`` in seconds.

    Raises :class:`BadOption` for options that are none.
    """
    if not isinstance(options, (Options, type(None))):
        raise BadOption(f"options are veracity_client.Options, got {type(options).__name__}: {shortened(options)}")
    options = options or Options()
    if left is not None:
        options = dataclasses.replace(options, deadline_seconds=min(left, options.deadline_seconds))
    given = {"VIDEO": source} if isinstance(source, bytes) else {"PATH": source.encode(errors="surrogateescape")}
    model, output = (STREAM, EVENT) if stream else (DETECTOR, VERDICT)
    tensors = {**given, "OPTIONS": options.to_json().encode()}
    priority = PRIORITIES[options.priority]
    return Request(model, output, tensors, round(1e6 * options.deadline_seconds), priority, headers)


class RetryBudget:
    """How much time is left, and how often a request is repeated: None for as often as the time allows."""

    def __init__(self, timeout: float | None, retries: int | None) -> None:
        if timeout is not None and not (isinstance(timeout, (int, float)) and timeout > 0):
            raise BadOption(f"timeout is over 0 seconds or None, got {shortened(timeout)}")
        if retries is not None and not (isinstance(retries, int) and retries >= 0):
            raise BadOption(f"retries is a whole number from 0 or None, got {shortened(retries)}")
        if retries is None and timeout is None:
            raise BadOption("retries=None repeats a request until its timeout: give one")
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._retries = retries
        self._attempts = 0

    def left(self) -> float | None:
        """Return the seconds left, None for no end; raises :class:`AnalysisTimeout` where there are none."""
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise AnalysisTimeout(NO_TIME_LEFT)
        return left

    def pause(self, error: VeracityError) -> float:
        """Return the seconds to wait before the next attempt; raises ``error`` where that is not worth it."""
        seconds = pauses_after(error).seconds(self._attempts)
        self._attempts += 1
        left = self.left()
        all_used = self._retries is not None and self._attempts > self._retries
        if all_used or (left is not None and seconds >= left):
            raise error
        return seconds


def read_verdict(text: str | bytes) -> Verdict:
    """Read a verdict; raises :class:`InternalError` for anything else."""
    try:
        return Verdict.from_json(text)
    except UNREADABLE as error:
        raise InternalError(f"the server's answer is no verdict: {error}") from error


def read_event(text: str | bytes) -> StageEvent | Verdict | None:
    """Read a message of the stream, None for a kind that is not known; raises :class:`InternalError` for others."""
    try:
        return event_from_json(text)
    except UNREADABLE as error:
        raise InternalError(f"the server's message cannot be read: {error}") from error


def failure(text: str, code: str, request_id: str | None = None, through: str = "") -> VeracityError:
    """Return the error of ours that a server's text and code (gRPC's name or HTTP's number) stand for.

    ``through`` names the proxy, which may be who says so.
    """
    ours = from_wire(text, request_id=request_id)
    if ours is not None:
        return ours
    known = triton_errors.meaning(text)
    if known is not None:
        return known.error(f"{known.advice}{through} ({text})", request_id=request_id)
    error = triton_errors.STATUSES.get(code, InternalError)
    return error(f"the server said{through}: {text or code}", request_id=request_id)


def json_tensor(answer: bytes) -> str:
    """Return the one string of an HTTP answer's one output; raises :class:`InternalError` for anything else."""
    try:
        return str(json.loads(answer)["outputs"][0]["data"][0])
    except (*UNREADABLE, KeyError, IndexError, TypeError) as error:
        raise InternalError(f"the server's answer is no inference response: {error!r}") from error
