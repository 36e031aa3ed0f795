"""Hold a graph against its papers: ``provenance.json`` beside it has the sha256 that the export wrote."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

PAPERS = "provenance.json"
GRAPH = Path("1", "model.onnx")
CHUNK_BYTES = 1 << 20


def objection(folder: Path) -> str:
    """Return why the graph of a model's folder shall not be loaded; empty where it may, or has no papers."""
    try:
        wanted = json.loads((folder / PAPERS).read_text("utf-8")).get("graph_sha256")
        found = _sha256(folder / GRAPH)
    except FileNotFoundError:
        return ""
    except (ValueError, AttributeError, OSError) as error:
        return f"{PAPERS} cannot be read: {error}"
    if wanted in (None, found):
        return ""
    return f"{GRAPH}: its sha256 is not the one in {PAPERS}: export it anew"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
