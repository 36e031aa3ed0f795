"""What a run leaves on disk: checkpoints that are whole or not there, and a log of one JSON object a line."""

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

torchvision.ensure()  # torchmetrics, which Lightning wants, imports it
from lightning.pytorch.loggers.logger import Logger  # noqa: E402
from lightning.pytorch.plugins.io import TorchCheckpointIO  # noqa: E402
from lightning.pytorch.utilities import rank_zero_only  # noqa: E402


def save(content: Mapping[str, Any], path: Path) -> None:
    """Writes a checkpoint, whole or not at all; raises FullDisk."""
    buffer = io.BytesIO()  # torch calls a full disk a RuntimeError
    torch.save(dict(content), buffer)
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write({path: buffer.getvalue()})


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
