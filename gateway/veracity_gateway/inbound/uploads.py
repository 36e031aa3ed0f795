"""A ``multipart/form-data`` body: files to disk as they come, and a few short fields."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from veracity_client.errors import TooLarge
from veracity_gateway.errors import BadRequest, UnsupportedType, UploadTimeout
from veracity_gateway.inbound.files import Incoming, Received

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD_BYTES = 4096  # the longest field that is no file
MOST_FIELDS = 32
OVERHEAD_BYTES = 1 << 20  # of a body beside its files: fields, headers, what is before and after all parts
WRITTEN_AT_ONCE = 1 << 20
VIDEO = "video"


@dataclass
class Form:
    """What a body held."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[Received] = field(default_factory=list)

    def discard(self) -> None:
        """Delete the files."""
        for file in self.files:
            file.discard()


async def receive(request: Request, folder: Path, *, most_bytes: int, most_files: int, seconds: float) -> Form:
    """Read a body with one to ``most_files`` files of at most ``most_bytes`` each, named ``video``.

    Raises :class:`BadRequest`, :class:`TooLarge`, :class:`UploadTimeout`; nothing is left in the folder then.
    """
    most = most_bytes * most_files + OVERHEAD_BYTES
    if _stated_length(request) > most:
        raise TooLarge(f"a body of over {most:,} bytes; a file may have {most_bytes:,}")
    parts = _Parts(folder, most_bytes, most_files)
    try:
        with anyio.fail_after(seconds):
            await _read(request, parts)
        return parts.form()
    except BaseException as error:
        parts.discard()
        if isinstance(error, TimeoutError):
            raise UploadTimeout(f"the body did not come within {seconds:.0f} s") from None
        if isinstance(error, FormParserError):
            raise BadRequest(f"the body is no multipart/form-data: {error}") from None
        if isinstance(error, ClientDisconnect):
            raise BadRequest("the body ended before it was complete") from None
        raise


async def _read(request: Request, parts: _Parts) -> None:
    parser = MultipartParser(_boundary(request), parts.callbacks())
    waiting, read = bytearray(), 0
    async for chunk in request.stream():
        waiting += chunk
        if len(waiting) >= WRITTEN_AT_ONCE:
            await asyncio.to_thread(parser.write, bytes(waiting))
            read += len(waiting)
            waiting.clear()
            if read - parts.file_bytes > OVERHEAD_BYTES:
                raise TooLarge(f"over {OVERHEAD_BYTES:,} bytes beside the files")
    await asyncio.to_thread(parser.write, bytes(waiting))
    parser.finalize()


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise UnsupportedType("send multipart/form-data with a file named video, or JSON with a video_url")
    if not options.get(b"boundary"):
        raise BadRequest("the content type has no boundary")
    return options[b"boundary"]


def _stated_length(request: Request) -> int:
    said = request.headers.get("content-length", "0")
    return int(said) if said.isdecimal() else 0


class _Parts:
    """What the parser calls. One part is open at a time: a file, or a field."""

    def __init__(self, folder: Path, most_bytes: int, most_files: int) -> None:
        self._folder, self._most_bytes, self._most_files = folder, most_bytes, most_files
        self._form = Form()
        self._header, self._value = b"", b""
        self._disposition = b""
        self._file: Incoming | None = None
        self._name = ""
        self._field = bytearray()
        self._whole = False
        self.file_bytes = 0

    def callbacks(self) -> MultipartCallbacks:
        """Return the methods by the parser's names."""
        return {
            "on_part_begin": self._part_begins,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_ends,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._part_ends,
            "on_end": self._ends,
        }

    def form(self) -> Form:
        """Return what came; raises :class:`BadRequest` where it is not what was asked for."""
        if not self._whole:
            raise BadRequest("the body ended before it was complete")
        if not self._form.files:
            raise BadRequest(f"there is no file: send it as the field {VIDEO}")
        if empty := [file.name for file in self._form.files if not file.size]:
            raise BadRequest(f"{empty[0]} is empty")
        return self._form

    def discard(self) -> None:
        """Delete every file."""
        if self._file:
            self._file.discard()
        self._form.discard()

    def _part_begins(self) -> None:
        self._disposition = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode(errors="replace")
        if b"filename" in options:
            self._open(options[b"filename"].decode(errors="replace"))
        elif self._name == VIDEO:
            raise BadRequest(f"{VIDEO} is a field without a file name; send a file")
        elif len(self._form.fields) >= MOST_FIELDS:
            raise BadRequest(f"over {MOST_FIELDS} fields")

    def _open(self, name: str) -> None:
        if self._name != VIDEO:
            raise BadRequest(f"there is no field {self._name[:64]!r} for a file; send it as {VIDEO}")
        if len(self._form.files) >= self._most_files:
            raise BadRequest(f"over {self._most_files} file{'s' * (self._most_files > 1)}; /batches takes several")
        self._file = Incoming(self._folder, name, self._most_bytes)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file:
            self._file.write(data[start:end])
            self.file_bytes += end - start
            return
        self._field += data[start:end]
        if len(self._field) > FIELD_BYTES:
            raise BadRequest(f"the field {self._name[:64]!r} has over {FIELD_BYTES:,} bytes")

    def _part_ends(self) -> None:
        if self._file:
            self._form.files.append(self._file.received())
            self._file = None
            return
        if self._name in self._form.fields:
            raise BadRequest(f"the field {self._name[:64]!r} is there twice")
        try:
            self._form.fields[self._name] = self._field.decode()
        except UnicodeDecodeError:
            raise BadRequest(f"the field {self._name[:64]!r} is no UTF-8") from None
        self._field.clear()

    def _ends(self) -> None:
        self._whole = True
