"""``veracity gateway``: the gateway in the foreground."""

from __future__ import annotations

import io
import os
import signal
import socket
import sys
from contextlib import suppress

import httpx
import structlog
import uvicorn
from pydantic import ValidationError
from pydantic_settings import SettingsError

from veracity_client import telemetry
from veracity_client.errors import BadOption
from veracity_gateway.access.commands import any_active_key
from veracity_gateway.access.origin import is_loopback
from veracity_gateway.app import make_app
from veracity_gateway.gateway import Gateway
from veracity_gateway.settings import PREFIX, Settings

READY_SECONDS = 10.0
STOP_SECONDS = 10  # what requests under way get at a stop; jobs are given back


def settings_from_env(**given: object) -> Settings:
    """Return the settings, those ``given`` before those of the environment. Raises :class:`BadOption`."""
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        said = (f"{PREFIX}{each['loc'][0]}".upper() + f": {each['msg']}" for each in error.errors())
        raise BadOption("; ".join(said)) from None
    except SettingsError as error:  # a list is JSON
        raise BadOption(f"{error}: give JSON, such as '[\"host:8001\"]'") from None


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT. Raises :class:`BadOption` where others could come in without a key."""
    if not is_loopback(settings.host) and not any_active_key(settings):
        raise BadOption(
            f"{settings.host} lets other machines in, and there is no API key yet: `veracity gateway keys add`"
        )
    log_to_stderr()
    telemetry.start("veracity-gateway")
    Gateway(settings).check()
    make_server(settings, announce=True).run()
    return 0


def ask_whether_ready(settings: Settings) -> int:
    """Ask the gateway that listens at these settings' port on this machine; 0 where it is ready, else 1."""
    anywhere = settings.host in ("0.0.0.0", "::")  # noqa: S104 - it is compared
    url = f"http://{'127.0.0.1' if anywhere else _bracketed(settings.host)}:{settings.port}/health/ready"
    try:
        answer = httpx.get(url, timeout=READY_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        sys.stderr.write(f"{url} does not answer: {error}\n")
        return 1
    if answer.status_code != 200:
        sys.stderr.write(f"{url}: {answer.text}\n")
    return int(answer.status_code != 200)


class Server(uvicorn.Server):
    """uvicorn's, which knows the port that it listens at, and may say it."""

    announce = False

    @property
    def port(self) -> int:
        """The port; it is known once the server has started."""
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        if self.started and self.announce:
            sys.stdout.write(f"gateway  http://{_bracketed(self.config.host)}:{self.port}\n")
            sys.stdout.flush()


def make_server(settings: Settings, *, announce: bool = False) -> Server:
    """Return the gateway's server, which is not run yet."""
    server = Server(
        uvicorn.Config(
            make_app(settings), host=settings.host, port=settings.port, log_level="warning", access_log=False,
            timeout_graceful_shutdown=STOP_SECONDS, server_header=False,
        )
    )  # fmt: skip
    server.announce = announce
    return server


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class _Stderr(io.TextIOBase):
    """Standard error. A line that it does not take, as a full disk, is lost, and not the work that it tells of."""

    def write(self, text: str) -> int:
        """Write."""
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush."""
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def log_to_stderr() -> None:
    """Log JSON lines, whose tracebacks are without the values of variables: keys are among them."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(_Stderr()),  # type: ignore[arg-type]
    )


def stop_on_sigterm() -> None:
    """Leave on SIGTERM in the ordinary way, so that what was started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(os.EX_OK))
