"""A real web server for the tests of downloads: ranges, break-offs, web pages, redirects, and a hub's headers."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "c" * 40


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        served = self.server
        served.asked.append((self.path, self.headers.get("Range")))
        if self.path == "/loop":
            self.answer(302, b"", Location="/loop")
        elif self.path.startswith("/page"):
            self.answer(200, b"<html>quota exceeded</html>", **{"Content-Type": "text/html; charset=utf-8"})
        elif self.path == "/hidden":
            self.answer(200, b"\n<!DOCTYPE html><html></html>")
        elif self.path.startswith("/missing"):
            self.answer(404, b"")
        else:
            self.content()

    def content(self) -> None:
        start, name = self.headers.get("Range"), f'"{hashlib.md5(self.server.content).hexdigest()}"'
        facts = {"X-Repo-Commit": COMMIT, "X-Linked-ETag": f'"{self.server.stated}"'} if "resolve" in self.path else {}
        facts |= {"ETag": name}
        if start and self.headers.get("If-Range") in (None, name):
            begin, size = int(start.removeprefix("bytes=").partition("-")[0]), len(self.server.content)
            if begin >= size:
                self.answer(416, b"", **{"Content-Range": f"bytes */{size}"})
                return
            rest = {"Content-Range": f"bytes {begin}-{size - 1}/{size}"}
            self.answer(206, self.server.content[begin:], **facts, **rest)
        else:
            self.answer(200, self.server.content, **facts)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        most = self.server.break_after
        if most is not None and len(body) > most:
            self.wfile.write(body[:most])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.stated = CONTENT, SHA256
        self.break_after: int | None = None  # bytes of a body, then the connection is closed
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
