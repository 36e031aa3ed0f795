"""Where model processes hold models in memory: a connection each, for as long as it is open."""

from __future__ import annotations

import json
import select
import socketserver
from pathlib import Path

from veracity.server.lazy import LazyModels
from veracity.server.socket_server import SocketServer
from veracity_client.errors import VeracityError

LONGEST_LINE = 1000  # bytes of a question


class LeaseServer(SocketServer):
    """Answers at the socket ``path`` for ``models``."""

    request_queue_size = 1024  # a video's requests come all at once, and a full queue would refuse them

    def __init__(self, path: Path, models: LazyModels) -> None:
        super().__init__(path, _Handler)
        self.models = models


class _Handler(socketserver.StreamRequestHandler):
    server: LeaseServer

    def handle(self) -> None:
        """Read what is to be held, answer when it is, and hold it until the caller closes the connection."""
        asked = json.loads(self.rfile.readline(LONGEST_LINE))
        try:
            with self.server.models.held(asked["model"], asked["seconds"], self._is_gone) as state:
                self._say({"state": state})
                self.rfile.read(1)
        except VeracityError as error:
            self._say({"error": error.to_wire()})

    def _say(self, answer: dict[str, str]) -> None:
        self.wfile.write(json.dumps(answer).encode() + b"\n")

    def _is_gone(self) -> bool:
        """Return whether the caller closed the connection: it says nothing else after its question."""
        return bool(select.select([self.connection], [], [], 0)[0])
