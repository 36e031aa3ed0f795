"""Graphs that are built of fetched files without torch: what ``veracity install`` does behind the download."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

# loaded when needed: they import onnx, which a running server does without
BUILDERS = {
    "face_detector": "veracity.install.graphs.face_detector",
    "audio_starter": "veracity.install.graphs.audio_starter",
    "semantic_starter": "veracity.install.graphs.semantic_starter",
}


def build(model: str, weights: Path, repository: Path) -> None:
    """Write a model's graph into ``repository`` (its folder's ``1/model.onnx`` and ``provenance.json``).

    ``weights`` is the folder of fetched files. Raises :class:`WeightsError` for a missing or wrong file, and
    :class:`ExportError` where the graph does not compute what its parts do; what was installed stays.
    """
    import_module(BUILDERS[model]).install(weights, repository)
