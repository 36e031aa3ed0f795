"""What can go wrong, whose fault it is, and its status over gRPC and HTTP.

    bytes ──▶ limits ──▶ probe ──▶ decode ──▶ models ──▶ verdict
              TooLarge   BadVideo  TooManyPixels  ModelUnavailable
              TooLong    UnsupportedCodec  NoFrames   AnalysisTimeout, Overloaded

    VeracityError
    ├── BadVideo                 the file: what it holds cannot be analysed
    │   ├── UnsupportedCodec
    │   └── NoFrames
    ├── LimitExceeded            the file: more than this server takes
    │   ├── TooLarge
    │   ├── TooLong
    │   └── TooManyPixels
    ├── BadOption                an option or an argument of the request
    │   └── PathNotAllowed
    ├── Unauthorized             the caller: no API key, or not the right one
    ├── AnalysisTimeout          the time given was not enough
    ├── Overloaded               the server: try again later
    ├── ModelUnavailable         the server: a model is not loaded or died
    ├── ServerUnavailable        no server answers at the address
    └── InternalError            a fault of ours; the server's log has it under the request id

On the wire an error is one line, ``TypeName: message``; :func:`from_wire` raises the class the server raised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar


class VeracityError(Exception):
    """Base of every error. ``triton`` names a ``TritonError`` code, ``http`` the status a gateway answers."""

    triton: ClassVar[str] = "INTERNAL"
    http: ClassVar[int] = 500

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id

    def to_wire(self) -> str:
        """Return the line that crosses the wire."""
        return f"{type(self).__name__}: {' '.join(self.message.splitlines())}"

    def to_dict(self) -> dict[str, str]:
        """Return ``{"type", "message"}``, the form that ``veracity analyze --json`` prints."""
        return {"type": type(self).__name__, "message": self.message}


class BadVideo(VeracityError):
    """The bytes are no media that ffmpeg can read, or are damaged."""

    triton, http = "INVALID_ARG", 422


class UnsupportedCodec(BadVideo):
    """The container was read, the codec inside was not."""

    triton, http = "UNSUPPORTED", 415


class NoFrames(BadVideo):
    """Neither a picture nor a sound came out of the file."""


class LimitExceeded(VeracityError):
    """The file is more than this server takes; the message names the limit."""

    triton, http = "INVALID_ARG", 413


class TooLarge(LimitExceeded):
    """More bytes than ``VERACITY_MAX_BYTES``, or than ``VERACITY_MAX_FILE_BYTES`` of a file that is named."""


class TooLong(LimitExceeded):
    """More seconds than ``VERACITY_MAX_SECONDS``."""


class TooManyPixels(LimitExceeded):
    """More pixels a frame than ``VERACITY_MAX_PIXELS``."""


class BadOption(VeracityError):
    """An option has an unknown name, a wrong type or a value out of range."""

    triton, http = "INVALID_ARG", 400


class PathNotAllowed(BadOption):
    """A path outside the folder that the server was told to read from."""

    http = 403


class Unauthorized(VeracityError):
    """The server wants an API key and got none, or a wrong one."""

    triton, http = "INVALID_ARG", 401


class AnalysisTimeout(VeracityError):
    """The deadline of the request or of the server passed before the verdict."""

    triton, http = "UNAVAILABLE", 504


class Overloaded(VeracityError):
    """The queue is full or the wait in it was too long. The client asks again."""

    triton, http = "UNAVAILABLE", 503


class ModelUnavailable(VeracityError):
    """A model that the request needs is not loaded, or its process died. The client asks again."""

    triton, http = "UNAVAILABLE", 503


class ServerUnavailable(VeracityError):
    """No server answers at the address, or it went away during the request. The client asks again.

    ``connected``: whether there was a connection. Without one, only a server that answered before is asked again.
    """

    triton, http = "UNAVAILABLE", 502
    connected = True


class InternalError(VeracityError):
    """A fault of ours. The message holds the request id, the server's log the rest."""


def _tree(root: type[VeracityError]) -> Iterator[type[VeracityError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


BY_NAME: dict[str, type[VeracityError]] = {cls.__name__: cls for cls in _tree(VeracityError)}


_OURS = re.compile(rf"(?<![\w.])({'|'.join(BY_NAME)}): ([^\r\n]*)")


def from_wire(text: str, *, request_id: str | None = None) -> VeracityError | None:
    """Find the first ``TypeName: message`` in a text, whatever Triton put around it; None where there is none."""
    found = _OURS.search(text)
    return BY_NAME[found[1]](found[2], request_id=request_id) if found else None
