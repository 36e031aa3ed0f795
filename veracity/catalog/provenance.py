"""A model's provenance: ``provenance.json`` beside its graph, written by the export that proved it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from veracity.catalog import MODELS, Model
from veracity.catalog.tensorrt import PLAN
from veracity.install.advice import anew, obtain
from veracity.install.files import sha256
from veracity_client.errors import VeracityError

FILE = "provenance.json"
GRAPH = Path("1", "model.onnx")
NOTHING = "nothing: untrained"  # what weights seeded by their names were trained on


class ProvenanceError(VeracityError):
    """The provenance of a model cannot be read."""


def read(folder: Path) -> dict[str, Any]:
    """Return the provenance of a model's folder, empty where it has none. Raises :class:`ProvenanceError`."""
    try:
        data = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ProvenanceError(f"{folder.name}: {FILE} cannot be read: {error}") from None
    if not isinstance(data, dict):
        raise ProvenanceError(f"{folder.name}: {FILE} cannot be read: it is no JSON object")
    return data


def untrained(folder: Path) -> bool:
    """Return whether the graph's weights were seeded by their names alone. Raises :class:`ProvenanceError`."""
    return bool(read(folder).get("untrained"))


def rejection_reason(folder: Path) -> str:
    """Return why no verdict may rest on the graph, for every profile but ``bench``; empty where one may."""
    if not untrained(folder):
        return ""
    name, why = folder.name, "untrained: made to measure time"
    if name in MODELS and not MODELS[name].files:
        return why  # nothing can be fetched that makes it another
    return f"{why}; {obtain(name)}"


def checkpoint(folder: Path) -> str | None:
    """Return the sha256 of the weights that an installed graph was made of, of several files with spaces between.

    Whatever the graph's precision, and wherever its parts were joined, it is the same. Empty where no provenance says
    it, None where nothing is installed.
    """
    try:
        page = read(folder)
    except ProvenanceError:
        return ""
    if not page and not (folder / GRAPH).is_file():
        return None
    several = page.get("checkpoints") or {}
    return str(page.get("checkpoint_sha256") or " ".join(several[name] for name in sorted(several)))


def licence(model: Model) -> str:
    """Return the terms of a model's weights: where the head alone is ours, those of its encoder as well."""
    if not model.joined:
        return model.licence
    encoders = dict.fromkeys(source.licence for source in model.sources)
    return f"{model.licence}, its encoder {', '.join(encoders)}"


def integrity_error(folder: Path) -> str:
    """Return why the graph of a model's folder shall not be loaded; empty where it may, or has no provenance."""
    try:
        page = read(folder)
    except ProvenanceError as error:
        return error.message
    recorded = _recorded(page)
    faults = [_differs(folder, file, digest) for file, digest in recorded.items() if digest]
    if any(recorded.values()):  # Triton would serve the highest version
        more = [path.relative_to(folder) for name in (GRAPH.name, PLAN) for path in folder.glob(f"[0-9]*/{name}")]
        faults += [f"{file}: {FILE} speaks of version 1 alone: take it out" for file in more if file not in recorded]
    return "; ".join(filter(None, faults))


def unrecorded(folder: Path) -> list[str]:
    """Return the graphs of a model's folder whose sha256 nothing records. Raises :class:`ProvenanceError`."""
    return [str(file) for file, digest in _recorded(read(folder)).items() if not digest and (folder / file).is_file()]


def _recorded(page: dict[str, Any]) -> dict[Path, str | None]:
    return {GRAPH: page.get("graph_sha256"), GRAPH.with_name(PLAN): page.get("engine", {}).get("plan_sha256")}


def _differs(folder: Path, file: Path, digest: str) -> str:
    try:
        found = sha256(folder / file)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}"
    if found == digest:
        return ""
    how = anew(folder.name, engine=file.name == PLAN)
    return f"{file}: its sha256 is {found[:12]}…, {FILE} says {digest[:12]}…: {how}"
