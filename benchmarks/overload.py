"""More requests than the queues hold: how soon the rest is refused, and that what was taken gets its verdict."""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from benchmarks import load
from benchmarks.load import Addressed, Answer, Caller, Case, Way
from benchmarks.printing import show
from benchmarks.target import installed, own_server
from evaluation import record
from veracity.catalog.serving import VIDEOS_AT_ONCE, VIDEOS_WAITING
from veracity_client import Verdict
from veracity_client._http import _post
from veracity_client._wire import build
from veracity_client.errors import Overloaded

PLACES = VIDEOS_AT_ONCE + VIDEOS_WAITING
AIM_MS = 100.0
PAUSE_SECONDS = 1.0  # of a client, after it was refused
FILL_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--clients", type=int, default=PLACES + 12, help="at once over one way, none of which retries")
    parser.add_argument("--seconds", type=float, default=30.0, help="over each way; what was taken then is waited for")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write ``results/overload.json``; returns 1 where a promise was broken."""
    with (
        own_server() as (server, folder),
        tempfile.TemporaryDirectory(dir=folder) as made,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as own_process,
    ):
        case, urls = load.named(load.cases(Path(made)), "voice"), Urls(server.grpc_url, server.http_url)
        rows = [own_process.submit(_measure, urls, way, case, args.clients, args.seconds).result() for way in load.WAYS]
    show("overload", rows)
    figures = {"clients": args.clients, "places": PLACES, "seconds": args.seconds, "bytes": len(case.video),
               "aim_ms": AIM_MS, **installed(), "ways": rows}  # fmt: skip
    sys.stderr.write(f"written to {record.write('overload', figures)}\n")
    return int(any(row["broken"] or row["p99_ms"] > AIM_MS for row in rows))


class Urls(NamedTuple):
    """Where the server is. The clients have a process of their own: beside the supervisor's threads they would wait."""

    grpc_url: str
    http_url: str


def _measure(urls: Urls, way: Way, case: Case, clients: int, seconds: float) -> dict[str, Any]:
    return asyncio.run(measure(urls, way, case, clients, seconds))


async def measure(server: Addressed, way: Way, case: Case, clients: int, seconds: float) -> dict[str, Any]:
    """Have so many clients insist over one way for so long; returns the figures once every one has its answer."""
    callers = [Caller(server, way, retries=0) for _ in range(clients)]
    references = await load.alone(callers[0], [case])
    answers: list[Answer] = []
    deadline = time.monotonic() + seconds

    async def insist(caller: Caller) -> None:
        if caller not in callers[:PLACES]:  # the others come when all places are taken
            await asyncio.sleep(FILL_SECONDS + random.uniform(0, PAUSE_SECONDS))  # noqa: S311, nothing secret
        while time.monotonic() < deadline:
            answers.append(await caller.ask(case))
            if answers[-1].what == Overloaded.__name__:
                await asyncio.sleep(PAUSE_SECONDS)

    insisting = asyncio.gather(*map(insist, callers))
    again = await _retry_after(server, case, deadline) if way == "http" else ""
    await insisting
    await asyncio.gather(*(caller.close() for caller in callers))
    return {"way": way, **_figures(answers, references), **({"retry_after": again} if way == "http" else {})}


async def _retry_after(server: Addressed, case: Case, deadline: float) -> str:
    """Return what the header of a refusal says: when to ask again; empty where it does not, or nothing was refused."""
    url = f"http://{server.http_url}/v2/models"
    async with httpx.AsyncClient(base_url=url, timeout=load.TIMEOUT_SECONDS) as client:
        while time.monotonic() < deadline:
            await asyncio.sleep(PAUSE_SECONDS / 10)
            response = await client.post(**_post(build(case.video, case.options, None)))
            if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                return str(response.headers.get("retry-after", ""))
    return ""


def _figures(answers: Sequence[Answer], references: Mapping[str, Verdict]) -> dict[str, Any]:
    refused = [1e3 * answer.seconds for answer in answers if answer.what == Overloaded.__name__]
    taken = [answer for answer in answers if answer.what != Overloaded.__name__]
    quantiles = statistics.quantiles(refused, n=100) if len(refused) > 1 else [0.0] * 99
    return {
        "sent": len(answers),
        "refused": len(refused),
        "p50_ms": round(quantiles[49], 1),
        "p99_ms": round(quantiles[98], 1),
        "max_ms": round(max(refused, default=0.0), 1),
        "taken": len(taken),
        "right_verdicts": sum(not load.fault(answer, references) for answer in taken),
        "answers": dict(Counter(answer.what for answer in answers).most_common()),
        "broken": [wrong for answer in taken if (wrong := load.fault(answer, references))],
    }
