"""Serves the pages of the health port, which the proxy has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from veracity.server.socket_server import SocketHandler, SocketServer
from veracity.server.status import Answer


class StatusServer(SocketServer):
    """Answers at the socket ``path`` with what ``get`` returns for a page."""

    def __init__(self, path: Path, get: Callable[[str], Answer]) -> None:
        super().__init__(path, _Handler)
        self.get = get


class _Handler(SocketHandler):
    server: StatusServer

    def do_GET(self) -> None:  # noqa: N802, http.server's name
        """Answer with a page."""
        answer = self.server.get(self.path.partition("?")[0])
        self.reply(answer.code, answer.body, answer.kind)
