"""Whether the gateway works, and what it is made of."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import structlog
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from veracity_client.errors import ModelUnavailable
from veracity_gateway.jobs.queries import Filter
from veracity_gateway.routes.parts import Admin, TheGateway

log = structlog.get_logger()

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: str


class Health(BaseModel):
    """What works. ``servers``: of each address its fingerprint, null where it does not say it."""

    status: str
    ready: bool
    database: bool
    media: bool
    servers: list[dict[str, Any] | None]
    jobs: dict[str, int]
    under_way: int
    waiting_seconds: float


@router.get("/health/live")
def live() -> Alive:
    """Say that the process answers."""
    return Alive(status="live")


@router.get("/health/ready")
def ready(gateway: TheGateway) -> Alive:
    """Say that a verdict can be had: a server has every model of its profile, database and media are there."""
    if not gateway.servers.ready():
        raise ModelUnavailable("no Veracity server is ready yet")
    gateway.queries.states(Filter(None))
    gateway.media.check()
    return Alive(status="ready")


@router.get("/health")
def health(gateway: TheGateway, _caller: Admin) -> JSONResponse:
    """Say what works and how much waits; 503 where something does not."""
    ready = gateway.servers.ready()
    database, media = _works(lambda: gateway.queries.states(Filter(None))), _works(gateway.media.check)
    good = ready and database and media
    found = Health(
        status="ok" if good else "degraded",
        ready=ready,
        database=database,
        media=media,
        servers=[vars(server) if server else None for server in gateway.servers.info()],
        jobs=gateway.queries.states(Filter(None)) if database else {},
        under_way=gateway.runner.under_way,
        waiting_seconds=gateway.queries.waiting_seconds() if database else 0.0,
    )
    return JSONResponse(found.model_dump(), 200 if good else 503)


@router.get("/metrics", response_class=Response)
def metrics(gateway: TheGateway, _caller: Admin) -> Response:
    """Return counters and gauges as Prometheus reads them."""
    gateway.meters.look(gateway)
    return Response(generate_latest(gateway.meters.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/version")
def versions() -> dict[str, str]:
    """Return the versions of the gateway, the client and the verdict's schema."""
    return {
        "gateway": version("veracity-gateway"),
        "client": version("veracity-client"),
        "schema": "veracity/1",
    }


def _works(call: Callable[[], object]) -> bool:
    try:
        call()
    except Exception:
        log.exception("a part of the gateway does not answer")
        return False
    return True
