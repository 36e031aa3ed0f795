"""What a run leaves on disk: checkpoints that are whole or not there, and a log of one JSON object a line."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from export import checkpoint
from patches import torchvision
from training.cache import room_for
from training.data import ManifestError
from veracity.install.files import write
from veracity.install.graphs.publish import ExportError

torchvision.ensure()  # torchmetrics, which Lightning wants, imports it
from lightning.pytorch.loggers.logger import Logger  # noqa: E402
from lightning.pytorch.plugins.io import TorchCheckpointIO  # noqa: E402
from lightning.pytorch.utilities import rank_zero_only  # noqa: E402

TAUGHT = "trained_on"  # the key of a checkpoint under which the sources stand that taught it


def save(content: Mapping[str, Any], path: Path) -> None:
    """Writes a checkpoint, whole or not at all; raises FullDisk."""
    buffer = io.BytesIO()  # torch calls a full disk a RuntimeError
    torch.save(dict(content), buffer)
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write({path: buffer.getvalue()})


def read(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, on the CPU, nothing in it run; raises ManifestError for a file that is none."""
    if not path.is_file():
        raise ManifestError(f"no checkpoint at {path}")
    try:
        content = checkpoint.read(path)
    except ExportError as error:
        raise ManifestError(f"{path} is no checkpoint, or is not whole: {error.message}") from error
    if not isinstance(content, dict):
        raise ManifestError(f"{path} is no checkpoint: it holds a {type(content).__name__}")
    return content


def sources(path: Path) -> list[str]:
    """The sources that taught the network of a checkpoint; raises ManifestError where it does not say."""
    taught = read(path).get(TAUGHT)
    if not taught:
        raise ManifestError(f"{path} does not say which sources taught it")
    return list(taught)


class WholeFiles(TorchCheckpointIO):  # type: ignore[misc]
    """How Lightning keeps checkpoints here."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes one; raises FullDisk."""
        del storage_options
        save(checkpoint, Path(path))


class JsonLines(Logger):  # type: ignore[misc]
    """Appends what is measured to a file, one object a line; a run that goes on goes on in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    @property
    def name(self) -> str:
        """Lightning wants one."""
        return "log"

    @property
    def version(self) -> str:
        """Lightning wants one."""
        return ""

    @rank_zero_only  # type: ignore[misc]
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """One line: when, at which step, and the numbers."""
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "step": step}
        with room_for(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, **metrics}) + "\n")

    @rank_zero_only  # type: ignore[misc]
    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """The plan lies beside the log."""
