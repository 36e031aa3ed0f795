"""Servers that give files as the worst of the network do: each path is one way to misbehave."""

from __future__ import annotations

import gzip
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

MOVIE = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + bytes(range(256)) * 40
TEXTS = {
    "/page": b"<!doctype html><title>no film</title>",
    "/json": b'{"films": []}',
    "/hls.m3u8": b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n",
    "/dash.mpd": b'<?xml version="1.0"?><MPD/>',
    "/utf16": "<html>".encode("utf-16"),
    "/zip": b"PK\x03\x04" + bytes(99),
    "/elf": b"\x7fELF" + bytes(99),
    "/empty": b"",
}


class Site(ThreadingHTTPServer):
    """Remembers what it was asked."""

    daemon_threads = True

    def __init__(self, tls: tuple[Path, Path] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.busy = 0  # how many requests are refused yet with 503
        self.quick = False  # whether what drips comes at once
        self.film = MOVIE  # what every .mp4 is
        self.scheme = "https" if tls else "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def at(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def handle_error(self, *_args: object) -> None:
        """Say nothing: clients leave in the middle."""


class Page(BaseHTTPRequestHandler):
    server: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        parts = urlsplit(self.path)
        if self.server.busy:
            self.server.busy -= 1
            self._say(b"", status=503)
        elif parts.path in TEXTS:
            self._say(TEXTS[parts.path])
        elif found := getattr(self, f"_{parts.path.strip('/').replace('-', '_')}", None):
            found()
        elif parts.path == "/to":
            self._say(b"", {"Location": parse_qs(parts.query)["url"][0]}, 302)
        elif parts.path.endswith(".mp4"):
            self._say(self.server.film)
        else:
            self._say(b"", status=404)

    def _named(self) -> None:
        self._say(MOVIE, {"Content-Disposition": "attachment; filename*=UTF-8''b%C3%A4r%2F..%2Ffilm.mp4"})

    def _round(self) -> None:
        self._say(b"", {"Location": "/round"}, 301)

    def _bomb(self) -> None:
        self._say(gzip.compress(bytes(50 << 20)), {"Content-Encoding": "gzip"})

    def _large(self) -> None:
        self._head(10 << 30)

    def _endless(self) -> None:
        self._head(None)
        self.wfile.write(MOVIE)
        while True:
            self.wfile.write(bytes(1 << 16))

    def _lying(self) -> None:
        """Say less than is sent: the rest is no part of the body."""
        self._head(len(MOVIE))
        self.wfile.write(MOVIE + bytes(1 << 20))

    def _short(self) -> None:
        self._head(len(MOVIE) * 2)
        self.wfile.write(MOVIE)
        self.close_connection = True

    def _drip(self) -> None:
        self._head(len(MOVIE))
        for byte in MOVIE:
            self.wfile.write(bytes([byte]))
            time.sleep(0.0 if self.server.quick else 0.05)

    def _head(self, length: int | None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _say(self, body: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def site(tls: tuple[Path, Path] | None = None) -> Iterator[Site]:
    """Serve until the end of the block."""
    with Site(tls) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
