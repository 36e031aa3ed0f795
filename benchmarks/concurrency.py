"""Mixed requests from many clients while processes are killed: right verdicts, each bad file's own error, none lost.

There is no option for interactive or bulk work: here the one is the policy ``fail_fast``, the other ``exhaustive``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.faults import Faults, Whole
from benchmarks.load import Answer, Case
from benchmarks.printing import show
from benchmarks.target import installed, own_server
from evaluation import record
from veracity.server import Server
from veracity_client import Verdict

MODEL_SECONDS = 10.0  # between two kills of a model's process
DECODER_SECONDS = (5.0, 15.0)
SHARE_BEFORE_THE_SERVER = 0.4  # of the requests are answered when tritonserver is killed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=16, help="at once; gRPC, HTTP and the stream in turn")
    parser.add_argument("--seed", type=int, default=0, help="of the order and of the faults")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write ``results/concurrency.json``; returns 1 where a promise was broken."""
    with own_server() as (server, folder), tempfile.TemporaryDirectory(dir=folder) as made:
        found = asyncio.run(measure(server, load.cases(Path(made)), args.requests, args.clients, args.seed))
    show("mixed requests under faults", [{"": name.replace("_", " "), "found": value} for name, value in found.items()])
    sys.stderr.write(f"written to {record.write('concurrency', {'seed': args.seed, **installed(), **found})}\n")
    return int(bool(found["broken"]))


async def measure(server: Server, cases: Sequence[Case], requests: int, clients: int, seed: int) -> dict[str, Any]:
    """Ask every case alone, then all of them at once under faults; returns the figures."""
    whole = Whole(server)
    async with load.callers(server, clients) as callers:
        references = await load.alone(callers[0], cases)
        await asyncio.gather(*(caller.ask(load.named(cases, "voice")) for caller in callers))  # all have a connection
        answers: list[Answer] = []
        began = time.monotonic()
        async with _faults(server, seed, answers, requests) as faults:
            await load.ask_all(callers, load.mixed(cases, requests, seed), answers)
        seconds = time.monotonic() - began
        await whole.again()
    return {
        "requests": requests,
        "clients": clients,
        "retries": load.RETRIES,
        "timeout_seconds": load.TIMEOUT_SECONDS,
        "seconds": round(seconds, 1),
        "faults": dict(faults.injected),
        **summary(answers, references, requests),
    }


@asynccontextmanager
async def _faults(server: Server, seed: int, answers: list[Answer], requests: int) -> AsyncIterator[Faults]:
    faults = Faults(server, seed)

    async def kill_tritonserver() -> None:
        while len(answers) < SHARE_BEFORE_THE_SERVER * requests:  # noqa: ASYNC110, a list tells nobody that it grew
            await asyncio.sleep(0.1)
        faults.inject("tritonserver")

    tasks = [
        asyncio.create_task(work)
        for work in (
            faults.again_and_again("model process", MODEL_SECONDS, MODEL_SECONDS),
            faults.again_and_again("decoder", *DECODER_SECONDS),
            kill_tritonserver(),
        )
    ]
    try:
        yield faults
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def summary(answers: Sequence[Answer], references: Mapping[str, Verdict], requests: int) -> dict[str, Any]:
    """Return the figures of the answers: what was sent, what came back, and each promise that was broken."""
    wrong = {k: fault for k, answer in enumerate(answers) if (fault := load.fault(answer, references))}
    good = [k for k, answer in enumerate(answers) if answer.case.due == load.RIGHT]
    bad = [k for k, answer in enumerate(answers) if answer.case.kind == "bad"]
    verdicts = [(answer.verdict, references.get(answer.case.name)) for answer in answers if answer.verdict]
    apart = [load.difference(verdict, alone) for verdict, alone in verdicts if alone]
    ids = Counter(verdict.video_id for verdict, _ in verdicts)
    doubled = [f"the analysis {name} answered {count} requests" for name, count in ids.items() if count > 1]
    missing = [f"{requests - len(answers)} requests have no end"] * (len(answers) != requests)
    return {
        "sent": {kind: sum(answer.case.kind == kind for answer in answers) for kind in load.SHARES},
        "ways": dict(Counter(answer.way for answer in answers)),
        "due_verdicts": len(good),
        "right_verdicts": len({*good} - {*wrong}),
        "due_errors": len(bad),
        "right_errors": len({*bad} - {*wrong}),
        "largest_difference": max((one for one in apart if one != float("inf")), default=0.0),
        "answers": dict(Counter(answer.what for answer in answers).most_common()),
        "streams_asked_again": sum(answer.again for answer in answers),
        "lost": sum(answer.what != answer.case.due for answer in answers) + len(missing),
        "doubled": len(doubled),
        "broken": [*wrong.values(), *doubled, *missing],
    }  # fmt: skip
