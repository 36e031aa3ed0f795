"""What a run leaves on disk: checkpoints that are whole or not there, and a log of one JSON object a line."""

from __future__ import annotations

import errno
import io
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from patches import torchvision
from training.cache import FullDisk
from training.data import ManifestError
from veracity.weights import write

torchvision.ensure()  # torchmetrics, which Lightning wants, imports it
from lightning.pytorch.loggers.logger import Logger  # noqa: E402
from lightning.pytorch.plugins.io import TorchCheckpointIO  # noqa: E402
from lightning.pytorch.utilities import rank_zero_only  # noqa: E402

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Around whatever writes ``path``: raises FullDisk where the disk is."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise FullDisk(f"no room left for {path}; what was there is kept: make room and go on") from error
        raise


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
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, pickle and zipfile have no error in common
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ManifestError(f"{path} is no checkpoint, or is not whole: {reason}") from error
    if not isinstance(content, dict):
        raise ManifestError(f"{path} is no checkpoint: it holds a {type(content).__name__}")
    return content


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
