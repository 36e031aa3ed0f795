"""Serves the pages of the health port by HTTP at a socket, which the proxy has the port for."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from veracity.server.status import Answer


class StatusServer:
    """Answers at the socket ``path`` with what ``get`` returns, from :meth:`start` to :meth:`stop`."""

    def __init__(self, path: Path, get: Callable[[str], Answer]) -> None:
        self._path, self._get = path, get
        self._server: _Server | None = None

    def start(self) -> None:
        """Serve in threads of its own."""
        self._server = _Server(str(self._path), self._get)
        threading.Thread(target=self._server.serve_forever, name="health-port", daemon=True).start()

    def stop(self) -> None:
        """End; does nothing when it was not started."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False  # the proxy keeps its connections open

    def __init__(self, path: str, get: Callable[[str], Answer]) -> None:
        super().__init__(path, _Handler)
        self.get = get

    def handle_error(self, _request: object, _address: object) -> None:
        """Say nothing: the proxy went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write an answer
    server: _Server

    def do_GET(self) -> None:
        """Answer with a page."""
        answer = self.server.get(self.path.partition("?")[0])
        self.send_response_only(answer.code)
        self.send_header("content-type", answer.kind)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
