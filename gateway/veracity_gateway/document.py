"""What the gateway says of itself: ``python -m veracity_gateway.document`` prints the OpenAPI document."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from veracity_gateway.app import make_app
from veracity_gateway.settings import PREFIX, Settings

NO_DEFAULT = "–"
DATA = "`~/.local/share/veracity/gateway`"  # where the user's variables name no other folder


def document() -> str:
    """Return the document as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        return json.dumps(make_app(Settings(data=Path(folder))).openapi(), indent=1, ensure_ascii=False) + "\n"


def settings_table() -> str:
    """Return every setting with its default, as the rows of docs/gateway.md."""
    rows = ["", "| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = DATA if name == "data" else _shown(field.default)
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join([*rows, ""])


def _shown(default: object) -> str:
    if default is None or default == "":
        return NO_DEFAULT
    if isinstance(default, tuple):
        return f"`{json.dumps(default)}`"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:.10g}" if isinstance(default, (int, float)) else f"`{default}`"


if __name__ == "__main__":
    sys.stdout.write(document())
