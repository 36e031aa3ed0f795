"""What a model repository holds: children with weights, children without, and the detectors that call them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from veracity_client._wire import DETECTOR, STREAM  # the names that clients call
from veracity_client.errors import ServerUnavailable

DETECTORS = (DETECTOR, STREAM)  # every model whose name begins as theirs calls the others
GRAPHS = (".onnx", ".plan", ".py")


@dataclass(frozen=True)
class Contents:
    """Model names by what can be done with them, each in the order of loading."""

    children: tuple[str, ...]
    detectors: tuple[str, ...]
    missing: tuple[str, ...]  # a folder without weights
    unknown: tuple[str, ...]  # asked for, and no folder at all


def is_detector(name: str) -> bool:
    """Return whether a model calls other models, and so has to be loaded after them."""
    return name.startswith(DETECTOR)


def check(repository: Path) -> None:
    """Raise :class:`ServerUnavailable` where there is no such folder; Triton's own words do not name it."""
    if not repository.is_dir():
        raise ServerUnavailable(f"no model repository at {repository}: correct VERACITY_MODEL_REPOSITORY")


def read(repository: Path, models: Sequence[str] | None = None) -> Contents:
    """Sort the folders of ``repository``, or those of them that ``models`` names."""
    folders = sorted(path.parent.name for path in repository.glob("*/config.pbtxt"))
    names = folders if models is None else list(dict.fromkeys(models))
    known = [name for name in names if name in folders]
    installed = [name for name in known if _has_graph(repository / name)]
    return Contents(
        children=tuple(name for name in installed if not is_detector(name)),
        detectors=tuple(name for name in installed if is_detector(name)),
        missing=tuple(name for name in known if name not in installed),
        unknown=tuple(name for name in names if name not in folders),
    )


def _has_graph(folder: Path) -> bool:
    return any(path.suffix in GRAPHS and path.is_file() for path in folder.glob("[0-9]*/model.*"))
