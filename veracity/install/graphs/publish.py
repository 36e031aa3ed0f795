"""How a proven graph gets into the model repository, with its provenance. Needs no torch."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import onnxruntime

from veracity import __version__
from veracity.catalog import MODELS, smoke_test
from veracity.catalog.provenance import FILE, GRAPH, untrained
from veracity.catalog.tensorrt import PLAN
from veracity.install.files import write
from veracity.install.statement import commit
from veracity_client.errors import VeracityError

if TYPE_CHECKING:
    from onnx import ModelProto


class ExportError(VeracityError):
    """A graph that must not be served; the message says why."""


def publish(
    graph: bytes,
    folder: Path,
    provenance: Mapping[str, Any],
    tools: Sequence[str],
    beside: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write ``1/model.onnx``, ``provenance.json`` and the files ``beside`` them into a model's folder, all or none.

    ``provenance`` says where the weights come from and how far the graph is from them; the graph's sha256, its size,
    its smoke-test output, the versions of ``tools`` (distributions) and of our code are added. ``veracity doctor``
    holds the graph against it. Raises :class:`ExportError` for a disk that is full; what was installed stays.
    """
    versions = {"python": platform.python_version(), "veracity": __version__, **{name: version(name) for name in tools}}
    facts = {"graph_sha256": sha256(graph), "bytes": len(graph), "known_answer": known_answer(graph, folder.name)}
    ours = {"commit": found} if (found := commit()) else {}
    record = {**provenance, **facts, **ours, "versions": versions}
    files = {**{Path(name): content for name, content in beside.items()}, GRAPH: graph}
    write_model(folder, files, record)  # the graph behind those: make takes it for made of them
    (folder / "1" / PLAN).unlink(missing_ok=True)  # an engine of the graph that was there before


def write_model(folder: Path, files: Mapping[Path, bytes], record: Mapping[str, Any]) -> None:
    """Write files of a model's folder with the provenance that names them, or none; raises :class:`ExportError`."""
    try:
        write({**{folder / file: content for file, content in files.items()}, folder / FILE: as_page(record)})
    except OSError as error:
        raise ExportError(f"{folder.name} was not written: {error.strerror or error}") from error


def as_page(record: Mapping[str, Any]) -> bytes:
    """Papers as they stand in a file."""
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()


def refuse_over_trained(folder: Path) -> None:
    """Raise :class:`ExportError` where an untrained graph would replace one that is not so."""
    if (folder / GRAPH).is_file() and not untrained(folder):
        raise ExportError(f"{folder.name} has trained weights installed; name another --repository")


def known_answer(graph: bytes, model: str) -> dict[str, list[float]]:
    """Run the smoke test of a graph."""
    loaded = session(graph)
    names = [output.name for output in loaded.get_outputs()]
    return smoke_test.summary(dict(zip(names, loaded.run(names, smoke_test.inputs(MODELS[model])))))


def session(graph: bytes | ModelProto) -> onnxruntime.InferenceSession:
    """The graph, loaded by ONNX Runtime on the CPU."""
    content = graph if isinstance(graph, bytes) else graph.SerializeToString()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def sha256(data: bytes) -> str:
    """Return the digest in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
