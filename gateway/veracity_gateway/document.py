"""``python -m veracity_gateway.document`` prints the OpenAPI document."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from veracity_gateway.app import make_app
from veracity_gateway.settings import Settings


def document() -> str:
    """Return the document as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        return json.dumps(make_app(Settings(data=Path(folder))).openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
