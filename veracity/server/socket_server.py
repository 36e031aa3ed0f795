"""HTTP at a socket that the proxy alone reaches: it asks about keys there, and passes the health port's requests on."""

from __future__ import annotations

import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path


class SocketServer(socketserver.ThreadingUnixStreamServer):
    """Serves at the socket ``path`` from :meth:`start` to :meth:`stop`, each connection in a thread of its own."""

    daemon_threads = True
    block_on_close = False  # the proxy keeps its connections open

    def __init__(self, path: Path, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(str(path), handler, bind_and_activate=False)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen, and return at once; raises OSError where the socket cannot be made."""
        self.server_bind()
        self.server_activate()
        self._thread = threading.Thread(target=self.serve_forever, name=type(self).__name__, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; may be called twice, and without a start."""
        if self._thread is not None:
            self.shutdown()
        self.server_close()

    def handle_error(self, _request: object, _address: object) -> None:
        """Say nothing: the proxy went away."""


class SocketHandler(BaseHTTPRequestHandler):
    """One request of the proxy."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write an answer

    def reply(self, code: int, body: bytes, kind: str = "") -> None:
        """Send the whole answer; ``kind`` is its content type."""
        self.send_response_only(code)
        if kind:
            self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
