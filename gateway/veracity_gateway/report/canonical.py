"""JSON as RFC 8785 has it, so that the same facts are always the same bytes, and what is signed can be told exactly."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, NoReturn

import msgspec
import rfc8785

from veracity_gateway.report.errors import BadEvidence


def canonical(value: Any) -> bytes:
    """Return the one form of ``value``; raises :class:`BadEvidence` for what RFC 8785 cannot write."""
    try:
        return rfc8785.dumps(msgspec.to_builtins(value))
    except (rfc8785.CanonicalizationError, UnicodeError, TypeError, RecursionError) as error:
        raise BadEvidence(f"it cannot be written as canonical JSON (RFC 8785): {error}") from None


def digest(value: Any) -> str:
    """Return the sha256 of the canonical form."""
    return hashlib.sha256(canonical(value)).hexdigest()


def parse(content: bytes) -> Any:
    """Read JSON; raises ValueError for what is none, for a name that is given twice, and for NaN."""
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deep") from None


def from_base64(text: object) -> bytes:
    """Decode base64 in the one form that it has; raises ValueError for any other."""
    if not isinstance(text, str):
        raise ValueError("base64 is text")
    content = base64.b64decode(text, validate=True)
    if base64.b64encode(content).decode() != text:
        raise ValueError("not in the one form of base64")
    return content


def clean(value: Any) -> Any:
    """Return JSON types in which every text can be written as UTF-8: a name need not be, and its bytes stay legible."""
    if isinstance(value, str):
        return _legible(value)
    if isinstance(value, dict):
        return {_legible(name): clean(held) for name, held in value.items()}
    return [clean(held) for held in value] if isinstance(value, (list, tuple)) else value


def _legible(text: str) -> str:
    """Write escapes for bytes that were no UTF-8, which Python keeps as halves of surrogate pairs, and other halves."""
    given = "".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else c for c in text)
    return given.encode("utf-8", "backslashreplace").decode("utf-8")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice in one object")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
