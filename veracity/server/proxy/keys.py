"""API keys: where they are from, and whether a caller has one. Envoy asks over a socket for each request.

Only digests are kept. A caller's key is compared with all of them, each in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import stat
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from veracity import log
from veracity.server.socket_server import SocketHandler, SocketServer
from veracity_client._address import API_KEY_HEADER
from veracity_client.errors import BadOption, Unauthorized

SHORTEST = 16  # characters of a key
READABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IRWXO
LINE = re.compile(rf"(?P<name>[\w.-]+):(?P<key>[!-~]{{{SHORTEST},}})")
REFUSED = Unauthorized("this server wants an API key, in the header x-api-key or as a bearer token").to_wire()

_log = log.get(__name__)


class KeyRing:
    """Named keys, of ``text`` (``name:key,name2:key2``) or of ``file`` (one a line), which is read again on changes.

    Raises :class:`BadOption` for none, for one that is no key, and for a file that others may read.
    """

    def __init__(self, text: str = "", file: Path | None = None) -> None:
        self._file, self._version = file, _version(file)
        self._lock = threading.Lock()
        self._digests = _read(file) if file else _parse(text.split(","), "VERACITY_API_KEYS")

    def name_of(self, key: str) -> str | None:
        """Return the name of a key, None for one that is not on the ring."""
        digest, found = _digest(key), None
        for name, known in self._current().items():
            if hmac.compare_digest(known, digest):
                found = name
        return found

    def _current(self) -> dict[str, bytes]:
        with self._lock:
            version = _version(self._file)
            if self._file is not None and version != self._version:
                self._version, self._digests = version, {}  # nobody gets in by a file that cannot be read
                try:
                    self._digests = _read(self._file)
                    _log.info("key file read", names=sorted(self._digests))
                except BadOption as error:
                    _log.error("every caller is refused", reason=error.message)
            return self._digests


class KeyServer(SocketServer):
    """Answers Envoy at the socket ``path``: 200 for a key of the ring, else 401."""

    def __init__(self, path: Path, ring: KeyRing) -> None:
        super().__init__(path, _Handler)
        self.name_of = ring.name_of


class _Handler(SocketHandler):
    error_message_format = REFUSED  # for methods that have no do_ below
    server: KeyServer

    def _answer(self) -> None:
        name = next(filter(None, map(self.server.name_of, self._given())), None)
        _log.debug("api key", caller=name, path=self.path)
        self.reply(200, b"") if name else self.reply(401, REFUSED.encode())

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _answer  # noqa: N815, http.server's names

    def _given(self) -> Iterable[str]:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return filter(None, (self.headers.get(API_KEY_HEADER), token.strip() if scheme.lower() == "bearer" else None))


def _version(file: Path | None) -> tuple[int, ...]:
    with suppress(OSError):
        found = file.stat() if file else None
        return (found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode) if found else ()
    return ()


def _read(file: Path) -> dict[str, bytes]:
    try:
        mode, lines = file.stat().st_mode, file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"the file of API keys, {file}, cannot be read: {error}") from None
    if mode & READABLE_BY_OTHERS:
        raise BadOption(f"the file of API keys, {file}, is open to other users: chmod 600 {file}")
    return _parse((line for line in lines if not line.lstrip().startswith("#")), str(file))


def _parse(entries: Iterable[str], source: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for number, entry in enumerate(filter(None, map(str.strip, entries)), 1):
        match = LINE.fullmatch(entry)
        if match is None:  # the entry itself may be a secret
            raise BadOption(f"entry {number} of {source} is not NAME:KEY with a key of {SHORTEST} characters or more")
        if match["name"] in found:
            raise BadOption(f"{source} has two keys named {match['name']}")
        found[match["name"]] = _digest(match["key"])
    if not found:
        raise BadOption(f"{source} has no key")
    return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
