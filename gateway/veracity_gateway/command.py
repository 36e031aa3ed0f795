"""``veracity gateway``: the gateway in the foreground."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import sys

import structlog
import uvicorn
from pydantic import ValidationError

from veracity_client.errors import BadOption
from veracity_gateway.app import make_app
from veracity_gateway.settings import PREFIX, Settings

BACKLOG = 2048  # as uvicorn's own
STOP_SECONDS = 10  # what requests under way get at a stop; jobs are given back


def settings_from_env(**given: object) -> Settings:
    """Return the settings, those ``given`` before those of the environment. Raises :class:`BadOption`."""
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        said = (f"{PREFIX}{each['loc'][0]}".upper() + f": {each['msg']}" for each in error.errors())
        raise BadOption("; ".join(said)) from None


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT. Raises :class:`BadOption` where others could come in without a key."""
    if not is_loopback(settings.host):
        raise BadOption(
            f"{settings.host} lets other machines in, and there is no API key yet: `veracity gateway keys add`"
        )
    _log_to_stderr()
    with _listening(settings) as listener:
        config = uvicorn.Config(
            make_app(settings), log_level="warning", access_log=False, server_header=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )  # fmt: skip
        sys.stdout.write(f"gateway  http://{settings.host}:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        uvicorn.Server(config).run([listener])
    return 0


def _listening(settings: Settings) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.port), family=_family(settings.host), backlog=BACKLOG)
    except OSError as error:
        raise BadOption(f"{settings.host} port {settings.port} cannot be listened at: {error.strerror}") from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _log_to_stderr() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def stop_on_sigterm() -> None:
    """Leave on SIGTERM in the ordinary way, so that what was started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(os.EX_OK))


def is_loopback(host: str) -> bool:
    """Say whether an address is this machine's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
