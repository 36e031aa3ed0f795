"""Words of an answer: a newer server may use others than this version knows."""

from __future__ import annotations

from typing import Annotated, Any, get_args

import msgspec


def open_words(literal: Any) -> Any:
    """Return the type that any text fits; the schema lists the words of ``literal``, and type checkers see only those.

    Use it where ``TYPE_CHECKING`` is false, in place of the ``Literal``.
    """
    return Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(get_args(literal))})]
