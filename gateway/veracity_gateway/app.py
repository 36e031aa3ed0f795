"""The gateway as an ASGI application."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import anyio
import anyio.to_thread
import structlog
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from veracity_gateway import problems
from veracity_gateway.access.documented import declare_access
from veracity_gateway.access.guard import Guard
from veracity_gateway.answering import Answering
from veracity_gateway.background import for_ever, safely
from veracity_gateway.gateway import Gateway
from veracity_gateway.jobs.retention import DAY, SWEEP_SECONDS
from veracity_gateway.page import route as page
from veracity_gateway.routes import analyze, health, jobs, reports, results, reviews, session, uploads, webhooks
from veracity_gateway.routes.documented import ANY_ERROR, complete
from veracity_gateway.settings import Settings

log = structlog.get_logger()

DESCRIPTION = "Is this video fake? Media in, a job for each, a verdict with its reasons."
SWEEPS_BETWEEN_OLD = 60  # what is too old is looked for this much more rarely


def make_app(settings: Settings) -> FastAPI:
    """Return the application. It works on jobs while it is served."""
    gateway = Gateway(settings)
    app = FastAPI(
        title="Veracity gateway",
        version=version("veracity-gateway"),
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,  # they fetch scripts from elsewhere
        redoc_url=None,
        responses=ANY_ERROR,
        generate_unique_id_function=lambda route: route.name,
        telemetry={"metrics": False, "logs": False, "operation_spans": False},  # the spans of requests are left
        lifespan=_lifespan,
    )
    app.state.gateway = gateway
    problems.install(app)
    for group in (analyze, uploads, jobs, reports, results, reviews, webhooks, session, health, page):
        app.include_router(group.router)
    app.add_middleware(Guard, gateway)
    app.add_middleware(Answering, gateway.meters)  # the outermost
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    gateway: Gateway = app.state.gateway
    async with anyio.create_task_group() as group:
        group.start_soon(for_ever, gateway.runner.run)
        group.start_soon(for_ever, gateway.deliveries.run)
        group.start_soon(_sweep, gateway)
        yield
        group.cancel_scope.cancel()
    await gateway.close()


async def _sweep(gateway: Gateway) -> None:
    count, keep = 0, gateway.settings.keep_days * DAY
    while True:
        await safely(gateway.retention.sweep)
        if count % SWEEPS_BETWEEN_OLD == 0:
            await safely(gateway.retention.sweep_old)
            await safely(gateway.webhooks.delete_before, time.time() - keep)
        count += 1
        await anyio.sleep(SWEEP_SECONDS)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes,
            license_info=app.license_info,
        )  # fmt: skip
        app.openapi_schema = declare_access(complete(document))
    return app.openapi_schema
