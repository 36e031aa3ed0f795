"""``python -m veracity_client.schema`` prints the JSON Schema of a verdict, made from the dataclasses by pydantic."""

from __future__ import annotations

import json
import sys
from typing import Any

from veracity_client.verdict import Verdict


def verdict_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of :class:`Verdict`. Needs pydantic: the extra ``schema``."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(Verdict).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(verdict_schema(), indent=2, ensure_ascii=False) + "\n")
