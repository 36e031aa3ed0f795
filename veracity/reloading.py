"""When models were loaded again: a file for each, which the supervisor writes and model processes look at.

Triton tells a model process neither that another model died nor whether anybody brings it back. The time of a file is
when its model came back, and in the future while it is being loaded.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

FOLDER = "RELOADING_FOLDER"  # the environment variable that model processes find the folder by
FUTURE_SECONDS = 1e6  # longer than a load takes


def reloaded_since(model: str, moment: float) -> bool:
    """Say whether the model is being loaded again, or was after ``moment``, which is of ``time.time``."""
    try:
        return Path(os.environ.get(FOLDER, "/nonexistent"), model).stat().st_mtime > moment
    except OSError:  # there is no supervisor, it never died, or it was given up
        return False


class Reloading:
    """The files in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begun(self, model: str) -> None:
        """Note that a model died and will be back soon."""
        self._write(model, time.time() + FUTURE_SECONDS)

    def done(self, model: str) -> None:
        """Note that a model is served, now or again."""
        self._write(model, time.time())

    def given_up(self, model: str) -> None:
        """Note that a model will not be back soon."""
        with suppress(OSError):
            (self.folder / model).unlink()

    def _write(self, model: str, moment: float) -> None:
        with suppress(OSError):  # somebody emptied /tmp: analyses wait for no model
            (self.folder / model).touch()
            os.utime(self.folder / model, (moment, moment))
