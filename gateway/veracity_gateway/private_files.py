"""Files that hold keys: whole, and for nobody else to read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from veracity_client.errors import VeracityError


def write_new(path: Path, content: bytes) -> None:
    """Write a whole file of mode 0600, and leave the one that another process has written meanwhile."""
    number, made = tempfile.mkstemp(prefix=f".{path.stem}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(number)
        path.hardlink_to(made)
    except FileExistsError:
        return
    finally:
        Path(made).unlink()


def read_private(path: Path, what: str, error: type[VeracityError]) -> bytes:
    """Return a file that nobody else may read; raises ``error``, which calls it ``what``."""
    try:
        content = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as failed:
        raise error(f"the {what} {path} cannot be read: {failed.strerror}") from None
    if os.name == "posix" and mode & 0o077:
        raise error(f"others may read or write the {what} {path}: chmod 600 it")
    return content
