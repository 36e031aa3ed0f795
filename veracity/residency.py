"""Hold a model in memory while it is used: a connection to the supervisor, which alone loads and unloads models.

The connection is the hold: it ends with the block, and with the process, however that dies. Where there is no socket,
every model is resident and nothing has to be held.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from veracity_client.errors import ModelUnavailable, from_wire

SOCKET = "RESIDENCY_SOCKET"  # the environment variable that model processes find the socket by
ANSWER_SECONDS = 5.0  # that the supervisor takes at most to say how a model is
LONGEST_SECONDS = 3600.0  # that anybody waits for a model: the longest deadline there is
LOADED, UNLOADED, FAILED = "ready", "unloaded", "failed"  # what the supervisor answers; the names of ModelState


@asynccontextmanager
async def held(model: str, seconds: float) -> AsyncIterator[None]:
    """Have a model in memory inside the block; it is loaded where it is not.

    Raises:
        AnalysisTimeout: there was no memory for it within ``seconds``.
        ModelUnavailable: the supervisor does not answer.
    """
    path = os.environ.get(SOCKET)
    if path is None:
        yield
        return
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError:
        raise _unanswered(model) from None
    try:
        writer.write(_question(model, min(seconds, LONGEST_SECONDS)))
        try:
            answer = await reader.readline()
        except OSError:
            answer = b""
        _state(model, answer)
        yield
    finally:
        writer.close()


@contextmanager
def held_if_loaded(model: str, path: Path) -> Iterator[str]:
    """Yield whether a model is loaded, unloaded or failed; one that is loaded stays so inside the block.

    ``path`` is the supervisor's socket. Raises :class:`ModelUnavailable` where nobody answers there.
    """
    with socket.socket(socket.AF_UNIX) as caller:
        answer = b""
        caller.settimeout(ANSWER_SECONDS)
        with suppress(OSError):
            caller.connect(bytes(path))
            caller.sendall(_question(model, 0.0))
            answer = caller.makefile("rb").readline()
        yield _state(model, answer)


def can_be_loaded(model: str) -> bool:
    """Say whether a model that is not loaded is so because nobody needs it now."""
    path = os.environ.get(SOCKET)
    if path is None:
        return False
    try:
        with held_if_loaded(model, Path(path)) as state:
            return state != FAILED
    except ModelUnavailable:
        return False


def _question(model: str, seconds: float) -> bytes:
    """Return the line that asks for a model within ``seconds``, of which 0 loads nothing."""
    return json.dumps({"model": model, "seconds": seconds}).encode() + b"\n"


def _state(model: str, answer: bytes) -> str:
    try:
        said: dict[str, Any] = json.loads(answer)
    except ValueError:
        raise _unanswered(model) from None
    if "error" in said:
        raise from_wire(said["error"]) or ModelUnavailable(f"{model} could not be loaded")
    return str(said["state"])


def _unanswered(model: str) -> ModelUnavailable:
    return ModelUnavailable(f"{model} cannot be loaded now: the supervisor does not answer")
