"""The Veracity servers behind the gateway, seen through the client alone."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import asdict

import msgspec
import structlog

from veracity_client import AsyncDetector, Detector, Options
from veracity_client.batch import jobs_of
from veracity_client.errors import BadOption, ServerUnavailable
from veracity_client.info import ServerInfo
from veracity_client.options import WITHOUT_EFFECT
from veracity_client.verdict import StageEvent, Verdict
from veracity_gateway.settings import Settings

log = structlog.get_logger()

READY_SECONDS = 2.0
INFO_SECONDS = 15.0  # how long what the servers say of themselves is believed


class Servers:
    """Asks the servers; one that is away is passed over as the client does it."""

    def __init__(self, settings: Settings) -> None:
        key = settings.server_api_key.get_secret_value() if settings.server_api_key else None
        self._detector = Detector(settings.urls, api_key=key)
        self._async = AsyncDetector(settings.urls, api_key=key, timeout=settings.job_seconds)
        self._info: list[ServerInfo | None] = []
        self._asked = self._ready_asked = float("-inf")
        self._ready, self._asking = False, threading.Lock()

    def ready(self) -> bool:
        """Say whether a server answers with every model of its profile loaded; one asks for all, every other second."""
        with self._asking:
            if time.monotonic() - self._ready_asked > READY_SECONDS:
                self._ready, self._ready_asked = self._detector.ready(whole=True), time.monotonic()
            return self._ready

    def info(self) -> list[ServerInfo | None]:
        """Return what the servers say of themselves, a few seconds old at most."""
        if time.monotonic() - self._asked > INFO_SECONDS:
            self._info, self._asked = self._detector.info(), time.monotonic()
        return self._info

    def at_once(self) -> int:
        """Return how many videos keep all servers busy."""
        return jobs_of(self.info())

    def fingerprint(self) -> str | None:
        """Return what the servers say of themselves; None where they do not all say the same."""
        prints = {server.fingerprint if server else None for server in self.info()}
        return prints.pop() if len(prints) == 1 else None

    async def analyze(self, video: bytes, options: Options) -> Verdict:
        """Return the verdict; raises as the client does, without the servers' addresses."""
        with _addresses_kept():
            return await self._async.analyze(video, options)

    async def stages(self, video: bytes, options: Options) -> AsyncGenerator[StageEvent | Verdict, None]:
        """Yield what happens, the verdict last; over HTTP the verdict alone."""
        if self._async.protocol == "http":
            yield await self.analyze(video, options)
            return
        with _addresses_kept():
            async with aclosing(self._async.stages(video, options)) as events:
                async for event in events:
                    yield event

    async def close(self) -> None:
        """Let go of the connections."""
        await self._async.close()
        await asyncio.to_thread(self._detector.close)


@contextmanager
def _addresses_kept() -> Iterator[None]:
    """Tell callers that no server answers, and the log alone at which address."""
    try:
        yield
    except ServerUnavailable as error:
        log.warning("no server answers", error=error.message)
        raise ServerUnavailable("no Veracity server answers") from None


def content_of(sha256: str, options: Options, fingerprint: str | None) -> str | None:
    """Return a digest of what an answer depends on; None where the servers do not say what they are."""
    if fingerprint is None:
        return None
    chosen = asdict(options) | {"layers": sorted(options.layers)}
    kept = {name: value for name, value in chosen.items() if name not in WITHOUT_EFFECT}
    return hashlib.sha256(msgspec.json.encode([sha256, fingerprint, kept], order="sorted")).hexdigest()


def options_of(text: str) -> Options:
    """Return the options that a job keeps as text."""
    try:
        return Options.from_json(text)
    except BadOption as error:  # of an older version
        raise BadOption(f"the job was asked with options that this version does not have: {error.message}") from None
