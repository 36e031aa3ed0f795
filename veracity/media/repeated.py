"""A decoder that the system ended is run once more; that it was ended is not the file's fault."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from veracity import log
from veracity.media.sandbox import DecoderLost
from veracity_client.errors import ModelUnavailable

P = ParamSpec("P")
T = TypeVar("T")

ATTEMPTS = 2

logger = log.get(__name__)


def repeated(run: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Run a decoder once more where it was lost; raises :class:`ModelUnavailable` where it is lost again."""

    @functools.wraps(run)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(ATTEMPTS):
            try:
                return await run(*args, **kwargs)
            except DecoderLost as error:
                lost = error
        raise unavailable(lost)

    return wrapper


def unavailable(lost: DecoderLost) -> ModelUnavailable:
    """Return the error of a decoder that was lost again and again."""
    logger.error("the system ended a decoder", attempts=ATTEMPTS, why=str(lost))
    return ModelUnavailable("the system ended the decoder, for want of memory perhaps; ask again later")
