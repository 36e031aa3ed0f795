"""The embedded Triton: find it, start it, load and warm its models, keep it alive, stop it."""

from __future__ import annotations

from veracity.server.command import serve
from veracity.server.server import Server
from veracity.server.watch import ModelState

__all__ = ["ModelState", "Server", "serve"]
