"""Which graphs are built here, and whether an installed one is what this version would build."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from veracity.catalog import provenance

# loaded when needed: they import onnx, which a running server does without
BUILDERS = {
    "face_detector": "veracity.install.graphs.face_detector",
    "audio_starter": "veracity.install.graphs.audio_starter",
    "semantic_starter": "veracity.install.graphs.semantic_starter",
}
HEAD_FILES = ("head.onnx", "head.json")  # beside config.pbtxt, where a graph is an encoder with a head


def recipe(head: Mapping[str, bytes] = MappingProxyType({})) -> str:
    """Return a digest of what a graph is built with: our code, the smoke test, and the files of its ``head``."""
    smoke_test = find_spec("veracity.catalog.smoke_test")
    code = sorted(Path(__file__).parent.glob("*.py"))
    if smoke_test is not None and smoke_test.origin:
        code.append(Path(smoke_test.origin))
    parts = [*(path.read_bytes() for path in code), *(head[name] for name in sorted(head))]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def is_current(model: str, repository: Path) -> bool:
    """Return whether a model's graph is installed and needs no building: it is this version's, or a person's own.

    A person's own is one that ``python -m export`` made of another network.
    """
    folder = repository / model
    if not (folder / provenance.GRAPH).is_file():
        return False
    record = provenance.read(folder)
    if record.get("untrained"):
        return False
    built_here = "recipe_sha256" in record or "encoder" in record or model == "face_detector"
    return not built_here or record.get("recipe_sha256") == recipe(head_files(folder))


def head_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a head in a model's folder, by name; none for a model without a head."""
    return {name: (folder / name).read_bytes() for name in HEAD_FILES if (folder / name).is_file()}
