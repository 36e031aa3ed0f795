"""The gateway as an ASGI application."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
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
from veracity_gateway.database import AWAY
from veracity_gateway.gateway import Gateway
from veracity_gateway.jobs.retention import DAY, SWEEP_SECONDS
from veracity_gateway.page import route as page
from veracity_gateway.routes import analyze, health, jobs, reports, reviews, session, uploads, webhooks
from veracity_gateway.routes.documented import ANY_ERROR, complete
from veracity_gateway.settings import Settings

log = structlog.get_logger()

DESCRIPTION = "Is this video fake? Media in, a job for each, a verdict with its reasons."
AGAIN_SECONDS = 1.0
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
        lifespan=_lifespan,
    )
    app.state.gateway = gateway
    problems.install(app)
    for group in (analyze, uploads, jobs, reports, reviews, webhooks, session, health, page):
        app.include_router(group.router)
    app.add_middleware(Guard, gateway)
    app.add_middleware(Answering, gateway.meters)  # the outermost
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    gateway: Gateway = app.state.gateway
    async with anyio.create_task_group() as group:
        group.start_soon(_for_ever, gateway.runner.run)
        group.start_soon(_for_ever, gateway.deliveries.run)
        group.start_soon(_sweep, gateway)
        yield
        group.cancel_scope.cancel()
    await gateway.close()


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """Begin again what ended with a fault: one job must not stop the others."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("the background work met a fault of ours; it begins again")
        await anyio.sleep(AGAIN_SECONDS)


async def _sweep(gateway: Gateway) -> None:
    count, keep = 0, gateway.settings.keep_days * DAY
    while True:
        try:
            await anyio.to_thread.run_sync(gateway.retention.sweep)
            if count % SWEEPS_BETWEEN_OLD == 0:
                await anyio.to_thread.run_sync(gateway.retention.sweep_old)
                await anyio.to_thread.run_sync(gateway.webhooks.delete_before, time.time() - keep)
        except AWAY as error:
            log.warning("the database does not answer", error=type(error).__name__)
        except Exception:
            log.exception("what is not needed could not be deleted; it is tried again")
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
