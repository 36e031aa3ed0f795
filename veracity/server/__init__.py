"""The embedded Triton: find it, start it, load and warm its models, keep it alive, stop it.

The names are imported at their first use: the command line reads this package for every command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veracity.server.command import serve
    from veracity.server.server import Server
    from veracity.server.watch import ModelState

__all__ = ["ModelState", "Server", "serve"]
HOMES = {"ModelState": "watch", "Server": "server", "serve": "command"}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
