"""A file from an address: http or https, public, within size and time, and media by its first bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from email.message import Message
from pathlib import Path
from urllib.parse import unquote, urljoin

import anyio
import anyio.to_thread
import httpcore
import httpx

from veracity_gateway.errors import BadUrl, UploadTimeout, UrlUnavailable
from veracity_gateway.inbound.files import Incoming, Received
from veracity_gateway.inbound.sniffed import HEAD_BYTES, not_media
from veracity_gateway.outbound import Outbound, check_url
from veracity_gateway.settings import Settings

__all__ = ["check_url", "fetch", "name_of"]

Progress = Callable[[float], Awaitable[None]]

MOST_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
PASSING = (408, 425, 429)  # statuses that another try may not meet, as those from 500
WRITTEN_AT_ONCE = 1 << 20
HEADERS: Mapping[bytes | str, bytes | str] = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "User-Agent": "veracity-gateway",
}


def name_of(url: str) -> str:
    """Return the file name in an address, or its host."""
    parsed = httpx.URL(url)
    return unquote(parsed.path.rpartition("/")[2]) or parsed.host


async def fetch(
    url: str, folder: Path, settings: Settings, *, outbound: Outbound | None = None, progress: Progress | None = None
) -> Received:
    """Fetch a file into a folder, and say how much of it is there where its length is known.

    Raises :class:`BadUrl`, :class:`TooLarge`, :class:`UploadTimeout`, UrlUnavailable or UrlTimeout, and leaves
    nothing then.
    """
    outbound = outbound or Outbound(private=settings.fetch_private)
    try:
        with anyio.fail_after(settings.upload_seconds):
            async with _answer(outbound, url) as (response, name):
                return await _received(response, Incoming(folder, name, settings.max_bytes), progress)
    except TimeoutError:
        raise UploadTimeout(f"the file did not come within {settings.upload_seconds:.0f} s") from None


@asynccontextmanager
async def _answer(outbound: Outbound, url: str) -> AsyncGenerator[tuple[httpcore.Response, str], None]:
    """Give the response with the file, after redirects, and the file's name."""
    for _ in range(MOST_REDIRECTS + 1):
        async with outbound.ask("GET", url, HEADERS) as response:
            if response.status not in REDIRECTS:
                _check_status(response.status)
                yield response, _name(response) or name_of(url)
                return
            url = _followed(url, _header(response, b"location"))
    raise BadUrl(f"the address leads on over {MOST_REDIRECTS} times")


def _followed(url: str, location: str) -> str:
    try:
        following = urljoin(url, location)
    except ValueError:
        raise BadUrl("the address leads on to what is no address") from None
    if url.lower().startswith("https:") and not following.lower().startswith("https:"):
        raise BadUrl("the address leads from https to something else")
    return following


def _check_status(status: int) -> None:
    if status >= 500 or status in PASSING:
        raise UrlUnavailable(f"the address answered with status {status}")
    if status != 200:
        raise BadUrl(f"the address answered with status {status}")


async def _received(response: httpcore.Response, file: Incoming, progress: Progress | None) -> Received:
    with file:
        if (coding := _header(response, b"content-encoding")) not in ("", "identity"):
            raise BadUrl(f"the address sends the file compressed ({coding[:32]!r}), though it was asked not to")
        stated = _header(response, b"content-length")
        if stated.isdecimal():
            file.expect(int(stated))
        size, looked = 0, False
        async with aclosing(_blocks(response)) as blocks:
            async for block in blocks:
                if not looked and (kind := not_media(block[:HEAD_BYTES])):
                    raise BadUrl(f"the address gives {kind}, and no media file")
                looked = True
                await anyio.to_thread.run_sync(file.write, block)
                size += len(block)
                if progress and stated.isdecimal() and int(stated):
                    await progress(size / int(stated))
        if not size:
            raise BadUrl("the address gives an empty file")
        return await anyio.to_thread.run_sync(file.received)


async def _blocks(response: httpcore.Response) -> AsyncGenerator[bytes, None]:
    """Yield the body in larger blocks; the first is small, so that what is no media is refused early."""
    waiting, enough = bytearray(), HEAD_BYTES
    async for chunk in response.aiter_stream():
        waiting += chunk
        if len(waiting) >= enough:
            yield bytes(waiting)
            waiting.clear()
            enough = WRITTEN_AT_ONCE
    if waiting:
        yield bytes(waiting)


def _header(response: httpcore.Response, name: bytes) -> str:
    values = [value for key, value in response.headers if key.lower() == name]
    return values[0].decode("latin-1").strip() if values else ""


def _name(response: httpcore.Response) -> str:
    message = Message()
    try:
        message["Content-Disposition"] = _header(response, b"content-disposition").replace("\n", " ")
        return message.get_filename("")
    except (ValueError, LookupError):  # a character set that is none
        return ""
