"""What may be asked of a job beside its file: the options of an analysis, and whether the media are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import msgspec

from veracity_client.errors import BadOption
from veracity_client.verdict import Options
from veracity_gateway.errors import BadRequest

KEEP_MEDIA = "keep_media"
NUMBERS = ("audio_track", "video_track", "deadline_seconds")
BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True)
class Asked:
    """What a request chose."""

    options: Options
    keep_media: bool = False

    @classmethod
    def from_fields(cls, given: Mapping[str, str]) -> Asked:
        """Read a form's fields, which are text; ``layers`` are separated by commas. Raises :class:`BadOption`."""
        return cls.from_json({name: _typed(name, value) for name, value in given.items()})

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Asked:
        """Read a JSON object; raises :class:`BadOption` for unknown names and wrong types."""
        options = {name: value for name, value in given.items() if name != KEEP_MEDIA}
        keep = given.get(KEEP_MEDIA, False)
        if not isinstance(keep, bool):
            raise BadOption(f"{KEEP_MEDIA} is true or false, got {str(keep)[:64]!r}")
        try:
            text = msgspec.json.encode(options)
        except UnicodeEncodeError:
            raise BadOption("an option holds half of a character") from None
        return cls(Options.from_json(text), keep)


def _typed(name: str, value: str) -> Any:
    if name == "layers":
        return [each.strip() for each in value.split(",")]
    if name in NUMBERS:
        return _number(name, value)
    if name == KEEP_MEDIA or isinstance(_USUAL.get(name), bool):
        return _boolean(name, value)
    return value


def _number(name: str, value: str) -> float | int:
    try:
        return int(value) if value.lstrip("-").isdecimal() else float(value)
    except ValueError:
        raise BadRequest(f"{name} is a number, got {value[:64]!r}") from None


def _boolean(name: str, value: str) -> bool:
    found = BOOLEANS.get(value.lower())  # Python's clients write True
    if found is None:
        raise BadRequest(f"{name} is true or false, got {value[:64]!r}")
    return found


_USUAL = {each.name: each.default for each in fields(Options)}
