"""What is sent: a file's bytes. Whatever else is given is refused with an error that names it, shortened."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, Union

from veracity_client.errors import BadOption, BadVideo, TooLarge

Video = Union[str, "os.PathLike[str]", bytes, BinaryIO]

MAX_REQUEST_BYTES = (1 << 31) - (1 << 20)  # protobuf ends at 2 GiB; 1 MiB is left for the rest of the message
CHUNK_BYTES = 1 << 20
SHOWN_CHARACTERS = 120  # of a name, in a message
LONGEST_NAME = 255  # bytes, of Linux and of most file systems


def read(video: Video) -> bytes:
    """Return the file's bytes. Raises :class:`BadVideo` where it cannot be read, :class:`TooLarge` over 2 GiB."""
    if isinstance(video, (bytes, bytearray, memoryview)):
        content = bytes(video)
    elif isinstance(video, (str, os.PathLike)):
        content = _read_file(os.fspath(video))
    elif callable(getattr(video, "read", None)):
        content = _read_stream(video)
    else:
        kind = type(video).__name__
        raise BadOption(
            f"a video is a path, its bytes, or a file opened in binary mode; got {kind}: {shortened(video)}"
        )
    if len(content) > MAX_REQUEST_BYTES:
        raise _too_large(len(content))
    return content


def server_path(path: str) -> str:
    """Return the name of a file on the server; raises :class:`BadOption` for what is no text."""
    if not isinstance(path, str):
        raise BadOption(f"a path on the server is text, got {type(path).__name__}: {shortened(path)}")
    return path


def shortened(value: object) -> str:
    """Return a value for a message, on one line and no longer than a person reads."""
    text = value if isinstance(value, str) else repr(value)
    line = ascii(text[:SHOWN_CHARACTERS]) if not text.isprintable() else repr(text[:SHOWN_CHARACTERS])
    return line if len(text) <= SHOWN_CHARACTERS else f"{line}… ({len(text):,} characters)"


def _read_file(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):  # a pipe says no size, and /dev/zero never ends
                return _read_chunks(file)
            if status.st_size > MAX_REQUEST_BYTES:
                raise _too_large(status.st_size)
            return file.read()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise BadVideo(f"cannot read {shortened(path)}: {reason}{_advice(path)}") from None


def _read_stream(file: BinaryIO) -> bytes:
    try:
        content = file.read()
    except UnicodeDecodeError:
        content = ""  # type: ignore[assignment]
    except (OSError, ValueError) as error:  # ValueError: the file is closed
        raise BadVideo(f"cannot read the file object: {error}") from None
    if not isinstance(content, bytes):
        raise BadOption("the file object gives text; open the file with mode 'rb'")
    return content


def _read_chunks(file: BinaryIO) -> bytes:
    content = bytearray()
    while chunk := file.read(CHUNK_BYTES):
        content += chunk
        if len(content) > MAX_REQUEST_BYTES:
            raise _too_large(len(content))
    return bytes(content)


def _advice(path: str) -> str:
    if "://" in path[:16]:
        return "; the client opens files and no URLs, download it first"
    if len(max(path.split("/"), key=len)) > LONGEST_NAME:
        return "; if this is the video itself, as base64, decode it and give the bytes"
    return ""


def _too_large(size: int) -> TooLarge:
    return TooLarge(f"{size:,} bytes; one request carries at most {MAX_REQUEST_BYTES:,}")
