"""One file of the input: on a disk, in a bucket, or at a web address. It is read whole, within a limit."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore, from_url

from veracity_bulk.errors import Denied, Missing, StoreUnavailable, Unreadable
from veracity_client.errors import TooLarge, VeracityError

BUCKETS = ("s3", "gs")
URI = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://(?P<rest>.*)", re.S)
STORE_MESSAGE = re.compile(r"<Message>(.+?)</Message>", re.S)
CHUNK_BYTES = 1 << 20
WEB_SECONDS = 60.0  # without a byte
STORE_RETRIES = 2  # of one request; a file is tried again as a whole


def version(uri: str) -> str | None:
    """Return what changes with the file, without reading it; None where its store does not say. Raises Unreadable."""
    scheme, rest = split(uri)
    with _ours():
        if scheme == "":
            return local_version(Path(uri).stat())
        if scheme in BUCKETS:
            store, key = bucket(scheme, rest)
            return object_version(store.head(key))
        answer = _web().head(uri)
        return _web_version(answer) if answer.is_success else None


def read(uri: str, max_bytes: int) -> tuple[bytes, str | None]:
    """Return a file's bytes and its version. Raises Unreadable, and TooLarge where it has more bytes."""
    scheme, rest = split(uri)
    with _ours():
        if scheme == "":
            return _read_local(uri, max_bytes)
        if scheme in BUCKETS:
            store, key = bucket(scheme, rest)
            found = store.get(key)
            _check(found.meta["size"], max_bytes)
            return bytes(found.bytes()), object_version(found.meta)
        return _read_web(uri, max_bytes)


def split(uri: str) -> tuple[str, str]:
    """Return the scheme, empty for a path, and what follows. Raises Unreadable for one that is not known."""
    found = URI.fullmatch(uri)
    if not found:
        return "", uri
    scheme = found["scheme"].lower()
    if scheme not in (*BUCKETS, "http", "https"):
        raise Unreadable(f"{scheme}:// is not read: give a path, s3://, gs://, https:// or http://")
    return scheme, found["rest"]


def bucket(scheme: str, rest: str) -> tuple[ObjectStore, str]:
    """Return a bucket and the key in it."""
    name, _, key = rest.partition("/")
    return _store(f"{scheme}://{name}"), key


def local_version(found: os.stat_result) -> str:
    """Return the version of a file on a disk."""
    return f"{found.st_size}-{found.st_mtime_ns}"


def object_version(found: Any) -> str | None:
    """Return the version of what a bucket says of an object."""
    return found["e_tag"] or f"{found['size']}-{found['last_modified'].isoformat()}"


@cache
def _store(url: str) -> ObjectStore:
    return from_url(url, retry_config={"max_retries": STORE_RETRIES})


@cache
def _web() -> httpx.Client:
    return httpx.Client(follow_redirects=True, timeout=WEB_SECONDS)


def _read_local(path: str, max_bytes: int) -> tuple[bytes, str]:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # else a pipe waits for its writer
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable("it is no file")
        _check(found.st_size, max_bytes)
        content = file.read(max_bytes + 1)  # it may grow meanwhile
    _check(len(content), max_bytes)
    return content, local_version(found)


def _read_web(uri: str, max_bytes: int) -> tuple[bytes, str | None]:
    content = bytearray()
    with _web().stream("GET", uri) as answer:
        if not answer.is_success:
            raise _refused(answer.status_code)
        for chunk in answer.iter_bytes(CHUNK_BYTES):
            content += chunk
            _check(len(content), max_bytes, "over ")
    return bytes(content), _web_version(answer)


def _web_version(answer: httpx.Response) -> str | None:
    headers: Mapping[str, str] = answer.headers
    return headers.get("etag") or headers.get("last-modified")


def _refused(status: int) -> Unreadable:
    if status in (404, 410):
        return Missing(f"HTTP {status}")
    if status in (401, 403):
        return Denied(f"HTTP {status}")
    kind = StoreUnavailable if status >= 500 or status in (408, 429) else Unreadable
    return kind(f"HTTP {status}")


def _check(size: int, max_bytes: int, over: str = "") -> None:
    if size > max_bytes:
        raise TooLarge(f"{over}{size:,} bytes; this run reads at most {max_bytes:,}: --max-bytes")


@contextmanager
def _ours() -> Iterator[None]:
    """Raise what disks, buckets and sites raise as errors of ours."""
    try:
        yield
    except VeracityError:
        raise
    except FileNotFoundError:
        raise Missing("there is no such file") from None
    except (PermissionError, PermissionDeniedError, UnauthenticatedError) as error:
        raise Denied(f"it may not be read: {_line(error)}") from None
    except (NotADirectoryError, IsADirectoryError, ValueError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise Unreadable(_line(error)) from None
    except (OSError, BaseError, httpx.HTTPError) as error:
        raise StoreUnavailable(f"its store does not answer: {_line(error)}") from None


def reason(error: BaseException) -> str:
    """Return what an error says, in one line: of a store's XML the message, and nothing that is for programmers."""
    said = error.message if isinstance(error, VeracityError) else getattr(error, "strerror", None) or str(error)
    told = STORE_MESSAGE.search(said)
    return " ".join((told[1] if told else said.split("Debug source")[0]).split())[:300]


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {reason(error)}"
