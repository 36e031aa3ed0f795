"""JSON logs, one line an event, with the request's id; secrets and payloads never get in."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

SECRET_WORDS = ("key", "token", "secret", "password", "authorization", "cookie")
LONGEST_TEXT = 500  # characters; a payload or a caller's file name does not fill the log


def configure(level: str = "info") -> None:
    """Send logs to stderr as JSON. Raises ValueError for a level that does not exist."""
    number = _level(level)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            clean,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # of the moment: it may have been replaced
    )


def get(name: str) -> Any:
    """Return the logger of one module; its name goes into every line."""
    return structlog.get_logger(module=name)


def clean(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank what looks like a secret by its key, and cut bytes, arrays and long texts down to their size."""
    for key, value in event.items():
        event[key] = _clean_value(key, value)
    return event


def _clean_value(key: str, value: Any) -> Any:
    if any(word in key.lower() for word in SECRET_WORDS):
        return "[hidden]"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"[{len(value)} bytes]"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"[array {value.dtype} {tuple(value.shape)}]"
    if isinstance(value, MutableMapping):
        return {k: _clean_value(str(k), v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean_value(key, item) for item in value]
    if isinstance(value, str) and key != "exception" and len(value) > LONGEST_TEXT:
        return value[:LONGEST_TEXT] + f"… [{len(value)} characters]"
    return value


def _level(name: str) -> int:
    number = logging.getLevelName(name.upper())
    if not isinstance(number, int):
        raise ValueError(f"unknown log level {name!r}")
    return number
