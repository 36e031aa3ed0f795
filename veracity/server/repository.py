"""What a model repository holds: detectors, and their children, the models that detectors call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from veracity.catalog import provenance
from veracity.install.advice import install_hint
from veracity_client._wire import DETECTOR, STREAM  # the names that clients call
from veracity_client.errors import ServerUnavailable

DETECTORS = (DETECTOR, STREAM)  # every model whose name begins as theirs calls the others
GRAPHS = (".onnx", ".plan", ".py")


@dataclass(frozen=True)
class Contents:
    """Model names by what can be done with them, each in the order of loading."""

    children: tuple[str, ...]
    detectors: tuple[str, ...]
    missing: Mapping[str, str]  # folders without usable weights: name to reason
    unknown: tuple[str, ...]  # names without a folder

    @property
    def installed(self) -> tuple[str, ...]:
        """What can be loaded."""
        return self.children + self.detectors


def is_detector(name: str) -> bool:
    """Return whether a model calls other models, and so has to be loaded after them."""
    return name.startswith(DETECTOR)


def check(repository: Path) -> None:
    """Raise :class:`ServerUnavailable` where there is no such folder; Triton's own error does not name it."""
    if not repository.is_dir():
        raise ServerUnavailable(f"no model repository at {repository}: correct VERACITY_MODEL_REPOSITORY")


def read(repository: Path, models: Sequence[str] | None = None, *, untrained: bool = False) -> Contents:
    """Sort the folders of ``repository``, or those of them that ``models`` names.

    Graphs with made-up weights count as missing unless ``untrained``, which is for measuring time.
    """
    folders = sorted(path.parent.name for path in repository.glob("*/config.pbtxt"))
    names = folders if models is None else list(dict.fromkeys(models))
    known = [name for name in names if name in folders]
    missing = {name: why for name in known if (why := _why_missing(repository / name, untrained))}
    return Contents(
        children=tuple(name for name in known if name not in missing and not is_detector(name)),
        detectors=tuple(name for name in known if name not in missing and is_detector(name)),
        missing=missing,
        unknown=tuple(name for name in names if name not in folders),
    )


def _why_missing(folder: Path, untrained: bool) -> str:
    if not any(path.suffix in GRAPHS and path.is_file() for path in folder.glob("[0-9]*/model.*")):
        return install_hint(folder.name, untrained=untrained)
    try:
        return "" if untrained else provenance.rejection_reason(folder)
    except provenance.ProvenanceError:
        return ""  # the load fails for this and says so
