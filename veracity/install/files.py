"""Files on the disk: their digest, and the way of writing one whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from veracity_client.errors import VeracityError

CHUNK = 1 << 20  # bytes read at a time


class WeightsError(VeracityError):
    """A file could not be fetched, or is not the one that was asked for. What was installed stays as it was."""


def sha256(path: Path) -> str:
    """Return the digest of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def is_web_page(path: Path) -> bool:
    """Return whether a file begins as HTML or XML does: no weights' format does."""
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to be written that gets its name when all of it is on the disk, and is gone if anything raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp's 0600 would hide it from a server that runs as another user
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together: they get their names when all of them are on the disk, or none does."""
    with ExitStack() as stack:
        files = [(stack.enter_context(atomic(path)), content) for path, content in contents.items()]
        for file, content in files:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def move(whole: Path, path: Path) -> None:
    """Give a finished file of the same disk its name, once all of it is on the disk."""
    with whole.open("rb") as file:
        os.fsync(file.fileno())
    whole.chmod(0o644)
    whole.replace(path)
