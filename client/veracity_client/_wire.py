"""What every door shares: the address, the request, the patience, and what a server's text means."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, Union

from veracity_client import triton_errors
from veracity_client.errors import (
    AnalysisTimeout,
    BadOption,
    BadVideo,
    InternalError,
    Overloaded,
    ServerUnavailable,
    TooLarge,
    VeracityError,
    from_wire,
)
from veracity_client.verdict import Options, StageEvent, Verdict, event_from_json

Protocol = Literal["grpc", "http"]
Video = Union[str, "os.PathLike[str]", bytes, BinaryIO]

DETECTOR, VERDICT = "deepfake_detector", "VERDICT"
STREAM, EVENT = "deepfake_detector_stream", "EVENT"
API_KEY_HEADER = "x-api-key"
SCHEMES: Mapping[str, tuple[Protocol, bool]] = {
    "grpc": ("grpc", False),
    "grpcs": ("grpc", True),
    "http": ("http", False),
    "https": ("http", True),
}
MAX_REQUEST_BYTES = (1 << 31) - (1 << 20)  # protobuf ends at 2 GiB; 1 MiB is left for the rest of the message
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0


@dataclass(frozen=True)
class TlsConfig:
    """PEM files: who vouches for the server (None: the system's list), and who we are (both or neither)."""

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None


@dataclass(frozen=True)
class Address:
    """Where the server is and how it is spoken to. ``tls`` is None for plain text."""

    target: str
    protocol: Protocol
    tls: TlsConfig | None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, url: str, protocol: Protocol | None, tls: bool | TlsConfig, api_key: str | None) -> Address:
        """Read ``[scheme://]host:port``; raises :class:`BadOption` for what is no address of ours."""
        scheme, has_scheme, rest = url.partition("://") if "://" in url else ("", "", url)
        if has_scheme and scheme not in SCHEMES:
            raise BadOption(f"url starts with {scheme!r}; it may start with {', '.join(SCHEMES)} or with the host")
        known, secure = SCHEMES[scheme] if has_scheme else (protocol or "grpc", False)
        if known not in ("grpc", "http") or protocol not in (None, known):
            raise BadOption(f"protocol is grpc or http and agrees with the url's scheme, got {protocol!r} for {url!r}")
        target = rest.rstrip("/")
        if not target:
            raise BadOption(f"url names no host: {url!r}; give one like localhost:8001")
        config = tls if isinstance(tls, TlsConfig) else TlsConfig() if tls or secure else None
        return cls(target, known, config, _headers(api_key))


def _headers(api_key: str | None) -> dict[str, str]:
    if api_key is None:
        return {}
    if not (api_key and api_key.isascii() and api_key.isprintable()):
        raise BadOption("api_key must be printable ASCII and not empty")
    return {API_KEY_HEADER: api_key}


@dataclass(frozen=True)
class Request:
    """One request: the model, the tensor that answers, and the tensors given, each BYTES [1, 1]."""

    model: str
    output: str
    tensors: Mapping[str, bytes]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


def read(video: Video) -> bytes:
    """Return the file's bytes. Raises :class:`BadVideo` where it cannot be read, :class:`TooLarge` over 2 GiB."""
    if isinstance(video, (bytes, bytearray, memoryview)):
        content = bytes(video)
    elif isinstance(video, (str, os.PathLike)):
        content = _read_file(video)
    else:
        content = video.read()
        if not isinstance(content, bytes):
            raise BadOption("the file object gives text; open the file with mode 'rb'")
    _check_size(len(content))
    return content


def _read_file(path: str | os.PathLike[str]) -> bytes:
    try:
        with Path(path).open("rb") as file:
            _check_size(os.fstat(file.fileno()).st_size)
            return file.read()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise BadVideo(f"cannot read {os.fspath(path)!r}: {reason}") from error


def _check_size(size: int) -> None:
    if size > MAX_REQUEST_BYTES:
        raise TooLarge(f"{size:,} bytes; one request carries at most {MAX_REQUEST_BYTES:,}")


def build(source: bytes | str, options: Options | None, left: float | None, *, stream: bool = False) -> Request:
    """Build the request of any door: ``source`` is the file's bytes or a server-side path, ``left`` is in seconds."""
    options = options or Options()
    if left is not None:
        options = dataclasses.replace(options, deadline_seconds=min(left, options.deadline_seconds))
    given = {"VIDEO": source} if isinstance(source, bytes) else {"PATH": source.encode(errors="surrogateescape")}
    model, output = (STREAM, EVENT) if stream else (DETECTOR, VERDICT)
    return Request(model, output, {**given, "OPTIONS": options.to_json().encode()})


class RetryBudget:
    """How much time is left, and how often an overloaded server is asked again."""

    def __init__(self, timeout: float | None, retries: int) -> None:
        if timeout is not None and not timeout > 0:
            raise BadOption(f"timeout is over 0 seconds or None, got {timeout}")
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._retries = retries
        self._asked = 0

    def left(self) -> float | None:
        """Return the seconds left, None for no end; raises :class:`AnalysisTimeout` where there are none."""
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise AnalysisTimeout("no verdict within the time given")
        return left

    def pause(self, error: Overloaded) -> float:
        """Return the seconds to wait before asking again; raises ``error`` where that is not worth it."""
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self._asked)
        seconds = random.uniform(longest / 2, longest)  # noqa: S311 - spreads callers out; nothing secret
        self._asked += 1
        left = self.left()
        if self._asked > self._retries or (left is not None and seconds >= left):
            raise error
        return seconds


def read_verdict(text: str | bytes) -> Verdict:
    """Read a verdict; raises :class:`InternalError` for anything else."""
    try:
        return Verdict.from_json(text)
    except ValueError as error:
        raise InternalError(f"the server's answer is no verdict: {error}") from error


def read_event(text: str | bytes) -> StageEvent | Verdict | None:
    """Read a message of the stream, None for a kind that is not known; raises :class:`InternalError` for others."""
    try:
        return event_from_json(text)
    except ValueError as error:
        raise InternalError(f"the server's message cannot be read: {error}") from error


def failure(text: str, code: str, request_id: str | None = None) -> VeracityError:
    """Return the error of ours that a server's text and code (gRPC's name or HTTP's number) stand for."""
    ours = from_wire(text, request_id=request_id)
    if ours is not None:
        return ours
    known = triton_errors.meaning(text)
    if known is not None:
        return known.error(f"{known.advice} ({text})", request_id=request_id)
    return triton_errors.STATUSES.get(code, InternalError)(f"the server said: {text or code}", request_id=request_id)


def unreachable(address: Address, reason: str) -> ServerUnavailable:
    """Return the error for a server that does not answer."""
    return ServerUnavailable(f"no server answers at {address.target} over {address.protocol}: {reason}")


def json_tensor(answer: bytes) -> str:
    """Return the one string of an HTTP answer's one output; raises :class:`InternalError` for anything else."""
    try:
        return str(json.loads(answer)["outputs"][0]["data"][0])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InternalError(f"the server's answer is no inference response: {error!r}") from error
