"""A model's papers: ``provenance.json`` beside its graph, written by the export that proved it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = "provenance.json"


def read(folder: Path) -> dict[str, Any]:
    """Return the papers of a model's folder, empty where it has none. Raises ValueError for what is no JSON object."""
    file = folder / FILE
    data = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if not isinstance(data, dict):
        raise ValueError(f"{FILE} is no JSON object")
    return data


def untrained(folder: Path) -> bool:
    """Return whether the graph's weights were made of their names alone."""
    return bool(read(folder).get("untrained"))
