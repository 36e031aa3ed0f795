"""How a proven graph gets into the model repository, with its papers. Needs no torch."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnxruntime

from veracity import known, papers
from veracity.engines import PLAN
from veracity.layers import MODELS
from veracity.weights import write
from veracity_client.errors import VeracityError


class ExportError(VeracityError):
    """A graph that must not be served; the message says why."""


def publish(graph: bytes, folder: Path, provenance: Mapping[str, Any], tools: Sequence[str]) -> None:
    """Write ``1/model.onnx`` and ``provenance.json`` into a model's folder, both or none.

    ``provenance`` says where the weights come from and how far the graph is from them; the graph's sha256, its size,
    its answer to a known question and the versions of ``tools`` (distributions) are added. ``veracity doctor`` holds
    the graph against it. Raises :class:`ExportError` for a disk that is full; what was installed stays.
    """
    versions = {"python": platform.python_version(), **{name: version(name) for name in tools}}
    facts = {"graph_sha256": sha256(graph), "bytes": len(graph), "known_answer": known_answer(graph, folder.name)}
    record = {**provenance, **facts, "versions": versions}
    install(folder, papers.GRAPH, graph, record)
    (folder / "1" / PLAN).unlink(missing_ok=True)  # an engine of the graph that was there before


def install(folder: Path, file: Path, content: bytes, record: Mapping[str, Any]) -> None:
    """Write a file of a model's folder with the papers that name it; raises :class:`ExportError`, and then neither."""
    page = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    try:
        write({folder / file: content, folder / papers.FILE: page.encode()})
    except OSError as error:
        raise ExportError(f"{folder.name} was not written: {error.strerror or error}") from error


def refuse_over_trained(folder: Path) -> None:
    """Raise :class:`ExportError` where an untrained graph would replace one that is not so."""
    if (folder / papers.GRAPH).is_file() and not papers.untrained(folder):
        raise ExportError(f"{folder.name} has trained weights installed; name another --repository")


def known_answer(graph: bytes, model: str) -> dict[str, list[float]]:
    """Ask a graph the known question."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return known.digest(dict(zip(names, session.run(names, known.question(MODELS[model])))))


def sha256(data: bytes) -> str:
    """Return the digest in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
