"""Committed results, and which of them the documents may cite.

A result is refused if it was measured on a changed tree, or, where it depends on them, with weights that are not the
committed ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from veracity.catalog import provenance
from veracity.settings import CHECKOUT

RESULTS = CHECKOUT / "benchmarks" / "results"
REPOSITORY = CHECKOUT / "model_repository"
_COMMIT = re.compile(r"[0-9a-f]{7,40}")


class RefusedResult(Exception):
    """A result that no document may cite; the message says why."""


def load(name: str, folder: Path = RESULTS, repository: Path = REPOSITORY, of_server: bool = False) -> dict[str, Any]:
    """Return ``folder/name.json``; raises :class:`RefusedResult`.

    What tells ``of_server``, of what it loses and how it heals, holds with other weights too.
    """
    path = folder / f"{name}.json"
    try:
        document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RefusedResult(f"`{path.name}` does not exist") from None
    if refusal := refusal_of(document, {} if of_server else committed_weights(repository)):
        raise RefusedResult(f"`{path.name}` {refusal}")
    return document


def refusal_of(document: Mapping[str, Any], committed: Mapping[str, str]) -> str | None:
    """Why a result may not be cited; None if it may. ``committed`` maps models to their weights' sha256."""
    commit = str(document.get("commit"))
    if not _COMMIT.fullmatch(commit):
        return f"was not measured on an unchanged commit (`{commit}`)"
    weights = document.get("weights") or {}
    models = document.get("models") or {}
    if unnamed := sorted({*models} & {*committed} - {*weights} if isinstance(models, Mapping) else set()):
        return f"does not name the weights of {', '.join(f'`{name}`' for name in unnamed)} that it measured"
    if not weights:
        return "does not name the weights that it measured"
    others = sorted(name for name, digest in weights.items() if committed.get(name, digest) != digest)
    if others:
        return f"was measured with other weights of {', '.join(f'`{name}`' for name in others)} than the committed ones"
    return None


def committed_weights(repository: Path = REPOSITORY) -> dict[str, str]:
    """The sha256 of the committed weights: of each head that is joined with an encoder, and of our own graphs."""
    found = {}
    for folder in sorted(repository.glob("*_starter")):
        head = folder / "head.json"
        digest = json.loads(head.read_text("utf-8"))["checkpoint_sha256"] if head.is_file() else None
        if digest := digest or provenance.checkpoint(folder):
            found[folder.name] = digest
    return found


def measured_weights(graphs: Mapping[str, str | None], repository: Path) -> dict[str, str]:
    """The sha256 of the weights inside the installed graphs, of the models whose provenance names one.

    ``graphs`` maps models to the sha256 of the graph that answered, or None where it is surely the installed one.
    """
    found = {}
    for name, sha256 in sorted(graphs.items()):
        installed = provenance.read(repository / name).get("graph_sha256")
        if sha256 in (None, installed) and (digest := _weights(repository / name)):
            found[name] = digest
    return found


def _weights(folder: Path) -> str | None:
    """Made-up weights have no file: the names in the graph are all that they are made of."""
    return provenance.NOTHING if provenance.untrained(folder) else provenance.checkpoint(folder)
