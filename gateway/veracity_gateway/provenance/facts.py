"""What is written in a file beside picture and sound, one fact each. Only in the child process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from veracity_gateway.provenance.records import Edit


@dataclass(frozen=True)
class Fact:
    """A name and its text, as the file has them; ``where`` is EXIF, XMP, IPTC, PNG text, container or a track."""

    where: str
    name: str
    text: str


@dataclass
class Facts:
    """All that was found. ``unread``: parts that are there and could not be read, and why."""

    format: str | None = None
    found: list[Fact] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def add(self, where: str, name: Any, text: Any) -> None:
        """Note a fact, unless it says nothing."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        if str(text).strip("\0 "):
            self.found.append(Fact(where, str(name), str(text).strip("\0 ")))

    def of(self, *names: str) -> Iterator[Fact]:
        """Yield the facts of these names, which are in lower case."""
        return (fact for fact in self.found if fact.name.lower() in names)


def from_json(text: str) -> dict[str, Any]:
    """Return a JSON object, {} where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
