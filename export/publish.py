"""How a proven graph gets into the model repository, with its papers. Needs no torch."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from veracity.weights import atomic
from veracity_client.errors import VeracityError


class ExportError(VeracityError):
    """A graph that must not be served; the message says why."""


def publish(graph: bytes, folder: Path, provenance: Mapping[str, Any], tools: Sequence[str]) -> None:
    """Write ``1/model.onnx`` and ``provenance.json`` into a model's folder, each in one step.

    ``provenance`` says where the weights come from and how far the graph is from them; the graph's sha256, its size
    and the versions of ``tools`` (distributions) are added. ``veracity doctor`` holds the graph against it.
    """
    versions = {"python": platform.python_version(), **{name: version(name) for name in tools}}
    record = {**provenance, "graph_sha256": sha256(graph), "bytes": len(graph), "versions": versions}
    for path, content in (
        (folder / "1" / "model.onnx", graph),
        (folder / "provenance.json", (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()),
    ):
        with atomic(path) as file:
            file.write(content)


def sha256(data: bytes) -> str:
    """Return the digest in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
