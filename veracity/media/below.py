"""A file that a caller names, opened below one folder, whatever its name says and whoever moves links meanwhile."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from veracity_client.errors import PathNotAllowed

LONGEST = 4096  # bytes of a path, Linux' PATH_MAX
FILE = os.O_RDONLY | os.O_NONBLOCK  # a named pipe must not make us wait
NO_SUCH_FILE = "there is no such file in the folder that this server reads from"


@dataclass(frozen=True)
class FileBelow:
    """The file ``name`` in the folder ``root``."""

    root: Path
    name: str

    def open(self) -> int:
        """Return a descriptor of the file. Raises :class:`PathNotAllowed` for anything else, and anything outside.

        Links lead where they lead as long as that is below the folder. Then each folder of the way is opened by the
        handle of the one before, none through a link: what is exchanged for a link meanwhile cannot be opened.
        """
        try:
            if len(os.fsencode(self.name)) > LONGEST:
                raise ValueError("longer than a path may be")
            if self.name.endswith("/"):
                raise ValueError("the name of a folder")
            root = self.root.resolve()
            path = (root / self.name).resolve()
        except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle
            raise PathNotAllowed("this is not a valid file name") from None
        if not path.is_relative_to(root):
            raise PathNotAllowed("that path lies outside the folder that this server reads from")
        try:
            return _walk(root, path.relative_to(root).parts)
        except OSError:
            raise PathNotAllowed(NO_SUCH_FILE) from None


def _walk(root: Path, parts: Sequence[str]) -> int:
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        return _regular(os.open(parts[-1] if parts else ".", FILE | os.O_NOFOLLOW, dir_fd=folder))
    finally:
        os.close(folder)


def _regular(descriptor: int) -> int:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PathNotAllowed(NO_SUCH_FILE)
    return descriptor
