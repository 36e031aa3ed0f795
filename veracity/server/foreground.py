"""``veracity serve``: a server in the foreground, with a table of what it serves."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from veracity import log
from veracity.server.health import ModelState
from veracity.server.server import Server
from veracity.server.signals import stop_on_signals
from veracity.settings import Settings
from veracity_client.console import ERROR
from veracity_client.errors import VeracityError

COLOURS = {"ready": "green", "missing": "yellow", "failed": "red"}


def serve(settings: Settings, *, console: Console | None = None, **options: Any) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status, 3 for a server that does not start.

    ``options`` are those of :class:`Server`.
    """
    log.configure(settings.log_level)
    console = console or Console()
    try:
        server = Server.from_settings(settings, log_sink=_to_stderr, **options)
    except VeracityError as error:
        sys.stderr.write(f"veracity: {type(error).__name__}: {error.message}\n")  # one line per fault
        return ERROR
    try:
        with stop_on_signals(server), server:
            _announce(console, server)
            server.wait()
    except VeracityError as error:
        if server.stop_requested:  # by a signal during the start: nothing went wrong
            return 0
        sys.stderr.write(f"veracity: {error.to_wire()}\n")
        return ERROR
    return 0


def _to_stderr(content: bytes) -> None:
    sys.stderr.buffer.write(content)
    sys.stderr.flush()


def _announce(console: Console, server: Server) -> None:
    console.print(f"gRPC     {server.grpc_url}", highlight=False)
    scheme = server.health_url.partition(":")[0]
    console.print(f"HTTP     {scheme}://{server.http_url}", highlight=False)
    console.print(f"metrics  {server.metrics_url}", highlight=False)
    console.print(f"health   {server.health_url}", highlight=False)
    console.print(table(server.models))


def table(models: dict[str, ModelState]) -> Table:
    """Return the table of models that a person reads."""
    rows = Table("model", "state", "reason", box=None, pad_edge=False)
    for name, model in models.items():
        colour = COLOURS[model.state]
        rows.add_row(name, f"[{colour}]{model.state}[/{colour}]", model.reason)
    return rows
