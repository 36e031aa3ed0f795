"""What is installed now: each model's provenance, read once and again only where its files changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from veracity.catalog import MODELS, provenance
from veracity.catalog.tensorrt import PLAN
from veracity.decision import wording
from veracity.install.files import sha256
from veracity_client.reasons import Reason
from veracity_client.verdict import ModelInfo

FILES = (Path(provenance.FILE), provenance.GRAPH, provenance.GRAPH.with_name(PLAN))
Signature = tuple[tuple[int, int, int] | None, ...]  # modification time, size and inode of FILES; None: no such file


@dataclass(frozen=True)
class InstalledModel:
    """What a model's provenance says of its graph.

    ``checkpoint`` is the digest of the weights (:func:`provenance.checkpoint`), ``rejection`` why no verdict may rest
    on the graph.
    """

    info: ModelInfo
    checkpoint: str | None
    rejection: Reason | None


class InstalledModels:
    """The models of a repository. Reading blocks: ask in a thread. One object may be asked by several threads."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._known: dict[str, tuple[Signature, InstalledModel]] = {}

    def __getitem__(self, model: str) -> InstalledModel:
        """Return a model as it is installed now; a folder that is not there has an unknown digest."""
        folder = self._repository / model
        signature = tuple(_signature(folder / file) for file in FILES)
        known = self._known.get(model)
        if known is None or known[0] != signature:
            known = self._known[model] = signature, _read(folder)
        return known[1]

    def with_other_weights(self, checkpoints: Mapping[str, str], models: Iterable[str]) -> frozenset[str]:
        """Return those of ``models`` whose installed weights are not the ones in ``checkpoints``, model → digest."""
        measured = (model for model in models if model in checkpoints)
        return frozenset(model for model in measured if self[model].checkpoint not in (None, checkpoints[model]))


def model_info(repository: Path, model: str) -> ModelInfo:
    """Return what the provenance of one installed model says of it."""
    return InstalledModels(repository)[model].info


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(folder: Path) -> InstalledModel:
    rejection = None
    try:
        data = provenance.read(folder)
        if why := provenance.rejection_reason(folder):
            rejection = wording.reason("untrained", why=why)
    except provenance.ProvenanceError as error:
        data, rejection = {}, wording.reason("model_rejected", why=error.message)
    untrained = bool(data.get("untrained"))
    info = ModelInfo(
        name=folder.name,
        version=str(data.get("version", "1")),
        sha256=data.get("graph_sha256") or _digest(folder / provenance.GRAPH),
        trained_on=provenance.NOTHING if untrained else ", ".join(data.get("trained_on", ["unknown"])),
        licence=provenance.licence(MODELS[folder.name]),
    )
    return InstalledModel(info, provenance.checkpoint(folder), rejection)


def _digest(graph: Path) -> str:
    """Return the digest of a graph whose provenance does not tell it."""
    try:
        return sha256(graph)
    except OSError:
        return "unknown"
