"""What Triton's error texts mean: the one place that knows them.

Triton's status codes are unreliable (2.51: the death of a model's process is INTERNAL, and so is every error of a
request that one model makes of another), so the text decides. The client, the detectors and the supervisor use this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from veracity_client.errors import (
    AnalysisTimeout,
    ModelUnavailable,
    Overloaded,
    ServerUnavailable,
    TooLarge,
    Unauthorized,
    VeracityError,
)


@dataclass(frozen=True)
class Meaning:
    """Texts in which ``pattern`` is found stand for ``error``; ``advice`` says it to the client of a server."""

    pattern: str
    error: type[VeracityError]
    advice: str


# The first match wins; letter case does not matter.
MEANINGS = (
    Meaning(
        r"maximum queue size|timeout expired",
        Overloaded,
        "the server has more work than it can take; ask again later",
    ),
    Meaning(
        r"restricted, expecting header",
        Unauthorized,
        "the server wants another API key",
    ),
    Meaning(
        r"unknown model|not ready|stub process|not healthy|no available versions",
        ModelUnavailable,
        "the model is not running",
    ),
    Meaning(
        r"larger than max|exceeds maximum|entity too large",
        TooLarge,
        "the request is larger than the server takes",
    ),
    Meaning(
        r"deadline exceeded",
        AnalysisTimeout,
        "no verdict within the time given",
    ),
)

# By gRPC's name or HTTP's number, where the text says nothing.
STATUSES: Mapping[str, type[VeracityError]] = {
    "DEADLINE_EXCEEDED": AnalysisTimeout,
    "RESOURCE_EXHAUSTED": Overloaded,
    "UNAUTHENTICATED": Unauthorized,
    "PERMISSION_DENIED": Unauthorized,
    "UNAVAILABLE": ServerUnavailable,
    "401": Unauthorized,
    "403": Unauthorized,
    "413": TooLarge,
    "429": Overloaded,
    "502": ServerUnavailable,
    "503": ServerUnavailable,
    "504": AnalysisTimeout,
}

_PROCESS_DIED = ("Stub process '{model}_", "Request for unknown model: '{model}'")


def meaning(text: str) -> Meaning | None:
    """Return what a text of Triton's means, None where it is not known."""
    return next((known for known in MEANINGS if re.search(known.pattern, text, re.IGNORECASE)), None)


def process_died(model: str, text: str) -> bool:
    """Return whether a text says that the process of ``model`` itself died, or that Triton has no such model."""
    return any(words.format(model=model) in text for words in _PROCESS_DIED)
