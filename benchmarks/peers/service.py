"""What the peers that are servers share: how one is started, asked and stopped."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from benchmarks.peers.arrays import Arrays, items, joined, packed, unpacked
from benchmarks.peers.networks import installed
from veracity.analysis.context import AnalysisContext
from veracity.analysis.pipeline import analyze
from veracity.catalog import MODELS, smoke_test
from veracity.evidence.requests import Infer, State
from veracity.media import Source
from veracity.settings import Settings
from veracity_client import Options, Verdict
from veracity_client.errors import VeracityError

OPTIONS = Options(policy="exhaustive", deadline_seconds=1800.0)
FIELD = "content"  # of the form that carries a request
BINARY = "application/octet-stream"
LONGEST = 600.0  # seconds that a service may take to start, or to answer
STOP_SECONDS = 60.0

Urls = Mapping[str, str]  # of each model
Analyze = Callable[[Path], Verdict]


def analyzed(clip: Path, infer: Infer, context: AnalysisContext) -> Verdict:
    """Analyse a clip by our own pipeline; ``infer`` runs the networks."""
    return asyncio.run(analyze(Source(clip), infer, OPTIONS, context))


@dataclass(frozen=True)
class OneByOne:
    """Asks services for one item after the other; nothing else of the analysis goes on meanwhile."""

    client: httpx.Client
    urls: Urls

    def state(self, model: str) -> State:
        """Return whether a service has the model."""
        return "ready" if model in self.urls else "missing"

    async def __call__(self, model: str, inputs: Arrays) -> Arrays:
        """Block the whole analysis, as a plain loop does."""
        with answering(model):
            return joined([_answer(self.client.post(self.urls[model], files=_form(item))) for item in items(inputs)])


@dataclass(frozen=True)
class AllAtOnce:
    """Asks services for all items at once, which they make batches of."""

    client: httpx.AsyncClient
    urls: Urls

    def state(self, model: str) -> State:
        """Return whether a service has the model."""
        return "ready" if model in self.urls else "missing"

    async def __call__(self, model: str, inputs: Arrays) -> Arrays:
        """Leave the analysis to go on meanwhile."""
        posts = (self.client.post(self.urls[model], files=_form(item)) for item in items(inputs))
        with answering(model):
            return joined([_answer(response) for response in await asyncio.gather(*posts)])


@contextmanager
def answering(model: str) -> Iterator[None]:
    """Turn a connection that broke into an error of the model, which its contender is refused for."""
    try:
        yield
    except httpx.HTTPError as error:
        raise VeracityError(f"{model}'s service broke off: {error!r}") from None


@contextmanager
def one_by_one(module: str, settings: Settings, context: AnalysisContext) -> Iterator[Analyze]:
    """Start a process for each network, and yield what analyses a clip by calling them one after another."""
    processes = [[model] for model in installed(settings)]
    with running(module, processes, settings) as urls, httpx.Client(timeout=LONGEST, trust_env=False) as client:
        yield lambda clip: analyzed(clip, OneByOne(client, urls), context)


@contextmanager
def all_at_once(module: str, settings: Settings, context: AnalysisContext) -> Iterator[Analyze]:
    """Start one server of all networks, and yield what analyses a clip by sending it everything at once."""

    async def analysis(clip: Path, urls: Urls) -> Verdict:
        async with httpx.AsyncClient(timeout=LONGEST, trust_env=False) as client:
            return await analyze(Source(clip), AllAtOnce(client, urls), OPTIONS, context)

    with running(module, [installed(settings)], settings) as urls:
        yield lambda clip: asyncio.run(analysis(clip, urls))


@contextmanager
def running(module: str, processes: Sequence[Sequence[str]], settings: Settings) -> Iterator[Urls]:
    """Run ``python -m module MODEL… --port PORT`` for each list of models; yield addresses once all have answered."""
    with ExitStack() as stack:
        urls: dict[str, str] = {}
        started = [(models, *stack.enter_context(_process(module, models, settings))) for models in processes]
        for models, port, process, log in started:
            urls |= {model: f"http://127.0.0.1:{port}/{model}" for model in models}
            for model in models:
                _await_answer(model, urls[model], process, log)
        yield urls


@contextmanager
def _process(
    module: str, models: Sequence[str], settings: Settings
) -> Iterator[tuple[int, subprocess.Popen[str], IO[str]]]:
    port = _free_port()
    command = [sys.executable, "-m", module, *models, "--port", str(port)]
    with tempfile.TemporaryFile("w+") as log:
        env = {**os.environ, **settings.to_env()}
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, text=True, start_new_session=True)
        try:
            yield port, process, log
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            with suppress(ProcessLookupError):  # what it left of its own processes
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await_answer(model: str, url: str, process: subprocess.Popen[str], log: IO[str]) -> None:
    """Ask the smoke test's input until there is an answer; raises VeracityError with the process's last words."""
    form, end = _form(smoke_test.inputs(MODELS[model])), time.monotonic() + LONGEST
    while process.poll() is None and time.monotonic() < end:
        with suppress(httpx.HTTPError, VeracityError):
            _answer(httpx.post(url, files=form, timeout=LONGEST, trust_env=False))
            return
        time.sleep(0.2)
    log.seek(0)
    raise VeracityError(f"{' '.join(map(str, process.args))} did not answer: {log.read()[-2000:]}")  # type: ignore[arg-type]


def _form(item: Arrays) -> dict[str, bytes]:
    return {FIELD: packed(item)}


def _answer(response: httpx.Response) -> Arrays:
    if response.is_error:
        raise VeracityError(f"{response.url} answers {response.status_code}: {response.text[:200]}")
    return unpacked(response.content)


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def arguments(about: str) -> argparse.Namespace:
    """Parse a service's command line."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--port", type=int, default=8000)
    return parser.parse_args()
