"""Downloads over HTTP that go on where they broke off."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from veracity.install.files import WeightsError

if TYPE_CHECKING:
    import httpx

TIMEOUT = 30.0  # seconds without a byte
ATTEMPTS = 5  # in one go, each of which must have brought bytes
Watch = Callable[[int, "int | None"], None]  # hears bytes there and bytes in all


def download(url: str, part: Path, watch: Watch, most: int | None = None) -> None:
    """Bring the content of ``url`` into the file ``part``, of which the beginning may be there.

    ``part.tag`` beside it holds what the server called that content: only the rest of the same content is asked for.
    ``most`` is the largest size taken, in bytes. Raises :class:`WeightsError`; what came so far stays in ``part``.
    """
    import httpx

    headers = {"Accept-Encoding": "identity"}  # compressed bytes could not be resumed
    with httpx.Client(follow_redirects=True, timeout=TIMEOUT, headers=headers) as client:
        for attempt in range(ATTEMPTS):
            before = _size(part)
            try:
                return _go_on(client, url, part, watch, most)
            except httpx.TooManyRedirects:
                raise WeightsError(f"{url} redirects without end") from None
            except httpx.HTTPStatusError as error:
                raise WeightsError(f"{url}: the server answered {error.response.status_code}") from None
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                if attempt + 1 < ATTEMPTS and _size(part) > before:
                    continue
                came = f", {_size(part):,} bytes are kept to go on from" if _size(part) else ""
                raise WeightsError(f"{url} cannot be had ({_said(error)}){came}") from None


def _go_on(client: httpx.Client, url: str, part: Path, watch: Watch, most: int | None) -> None:
    with _answer(client, url, part) as answer:
        if answer.status_code == 416 and _size(
            part
        ):  # the beginning is as long as the whole or longer: not its beginning
            forget(part)
            return _go_on(client, url, part, watch, most)
        answer.raise_for_status()
        if answer.headers.get("content-type", "").startswith("text/html"):
            raise WeightsError(f"{url} answers with a web page instead of weights")
        there = _size(part) if answer.status_code == 206 else 0
        total = _total(answer, there)
        _check_space(part, there, total)
        _tag(part).write_text(_name_of(answer), encoding="utf-8")
        with part.open("ab" if there else "wb") as out:
            for chunk in answer.iter_raw():  # a size would hold back, and lose, what came before a break
                out.write(chunk)
                there += len(chunk)
                watch(there, total)
                if most is not None and there > most:
                    forget(part)
                    raise WeightsError(f"{url} is not the file this version was made for: over {most:,} bytes")


@contextmanager
def _answer(client: httpx.Client, url: str, part: Path) -> Iterator[httpx.Response]:
    name = _tag(part).read_text(encoding="utf-8") if _tag(part).is_file() else ""
    rest = {"Range": f"bytes={_size(part)}-", "If-Range": name} if name and _size(part) else {}
    with client.stream("GET", url, headers=rest) as answer:
        if answer.status_code == 206 and not _continues(answer, _size(part)):
            raise WeightsError(f"{url}: the server sends another part than the one asked for")
        yield answer


def _continues(answer: httpx.Response, there: int) -> bool:
    return bool(answer.headers.get("content-range", "").startswith(f"bytes {there}-"))


def _total(answer: httpx.Response, there: int) -> int | None:
    length = answer.headers.get("content-length", "")
    return there + int(length) if length.isdigit() else None


def _check_space(part: Path, there: int, total: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - there > free:
        raise WeightsError(f"the disk is too full: {total - there:,} bytes are needed, {free:,} are free")


def _name_of(answer: httpx.Response) -> str:
    """What If-Range takes: a strong entity tag, else the date; empty where the server gives neither."""
    tag: str = answer.headers.get("etag", "")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("last-modified", "")


def _tag(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")


def forget(part: Path) -> None:
    """Delete what came of a download."""
    part.unlink(missing_ok=True)
    _tag(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _said(error: Exception) -> str:
    return str(error).split("\n")[0] or type(error).__name__
