"""Files that a run writes: checkpoints, atomically, and a log of JSON lines."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from patches import torchvision
from training.cache import room_for
from veracity.install.files import write

torchvision.ensure()  # torchmetrics, which Lightning needs, imports it
from lightning.pytorch.loggers.logger import Logger  # noqa: E402
from lightning.pytorch.plugins.io import TorchCheckpointIO  # noqa: E402
from lightning.pytorch.utilities import rank_zero_only  # noqa: E402


def save(content: Mapping[str, Any], path: Path) -> None:
    """Writes a checkpoint atomically; raises DiskFull."""
    buffer = io.BytesIO()  # torch reports a full disk as a RuntimeError
    torch.save(dict(content), buffer)
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write({path: buffer.getvalue()})


class WholeFiles(TorchCheckpointIO):
    """Lightning's checkpoint writer, atomic."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes one; raises DiskFull."""
        del storage_options
        save(checkpoint, Path(path))


class JsonLines(Logger):
    """Appends metrics to a file, one JSON object a line; a resumed run appends to it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    @property
    def name(self) -> str:
        """Lightning requires one."""
        return "log"

    @property
    def version(self) -> str:
        """Lightning requires one."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """One line: time, step and metrics."""
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "step": step}
        with room_for(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, **metrics}) + "\n")

    @rank_zero_only
    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Does nothing: the plan is written beside the log."""
