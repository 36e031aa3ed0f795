"""``python -m veracity_client.schema`` prints the JSON Schema of a verdict, made from the dataclasses.

``python -m veracity_client.schema reasons`` prints the page ``docs/api/reasons.md``.
"""

from __future__ import annotations

import json
import sys
from typing import Any, get_args

import msgspec

from veracity_client.reasons import MEANINGS, ReasonCode
from veracity_client.verdict import Verdict


def verdict_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of :class:`Verdict`, its words those of this version."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Verdict)}


def reasons_page() -> str:
    """Return the documentation of all codes as Markdown."""
    rows = "\n".join(f"| `{code}` | {MEANINGS[code]} |" for code in get_args(ReasonCode))
    return f"""# Reason codes

Every reason in a verdict has a code, which stays the same from version to version, and a text for people, which may
change. A newer server may send codes that are not in this list: treat them as an unknown reason.

- `layer_results.*.code`: why a layer was `skipped`, `abstained` or `failed`; null where it `scored`. The text is in
  `reason`.
- `degraded_reasons`: why `degraded` is true, each with `code` and `text`.
- `inconclusive_reason`: why `label` is `inconclusive`, with `code` and `text`; null for other labels.
- `explanation.speakers`: why nobody was examined in `reason`, why speech is linked to no face in `heard_face`.

| code | meaning |
|---|---|
{rows}
"""


if __name__ == "__main__":
    schema = json.dumps(verdict_schema(), indent=2, ensure_ascii=False) + "\n"
    sys.stdout.write(reasons_page() if sys.argv[1:] == ["reasons"] else schema)
