"""FastAPI: a process for each network, called one after another over HTTP."""

from __future__ import annotations

from typing import Annotated

import fastapi
import uvicorn

from benchmarks.peers.arrays import packed, unpacked
from benchmarks.peers.networks import load
from benchmarks.peers.service import BINARY, arguments
from veracity.settings import Settings


def application(models: list[str], settings: Settings) -> fastapi.FastAPI:
    """Return an application with a path for each model."""
    app, nets = fastapi.FastAPI(), {model: load(model, settings) for model in models}

    @app.post("/{model}")
    def run(model: str, content: Annotated[bytes, fastapi.File()]) -> fastapi.Response:
        return fastapi.Response(packed(nets[model](unpacked(content))), media_type=BINARY)

    return app


if __name__ == "__main__":
    args = arguments(__doc__)
    uvicorn.run(application(args.models, Settings.from_env()), port=args.port, log_level="warning")
