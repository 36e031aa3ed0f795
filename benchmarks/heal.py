"""How long until the next verdict, and until all is well again, after a process of the server is killed or hangs."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.faults import HEAL_SECONDS, POLL_SECONDS, Faults, Whole
from benchmarks.load import Answer, Caller, Case
from benchmarks.printing import show
from benchmarks.target import installed, own_server
from evaluation import record
from veracity.server import Server
from veracity_client.errors import VeracityError

KINDS = ("detector process", "face detector", "tritonserver", "tritonserver hangs", "proxy", "reaper")
AIM_SECONDS = 15.0
PAUSE_SECONDS = 0.5  # of each client of the load, after an answer
BEFORE_SECONDS = 2.0  # of load, before the fault
PROBE_SECONDS = 5.0  # that a probe waits for its verdict
# What is asked: little work, so that the clients' load does not hide when the server is back. A voice needs no faces.
ASKED = {kind: "picture" if kind == "face detector" else "voice" for kind in KINDS}


@dataclass(frozen=True)
class Healing:
    """One fault: seconds until a verdict came to a request that was sent after it, and until all was as before."""

    first_verdict: float
    whole: float
    answers: Sequence[Answer]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--times", type=int, default=5, help="each fault, each time on a server that was just started")
    parser.add_argument("--faults", nargs="+", choices=KINDS, default=list(KINDS), help="which of them")
    parser.add_argument("--seed", type=int, default=0, help="which of several processes it hits")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write ``results/heal.json``; returns 1 where a request was lost or the aim missed."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        cases = load.cases(Path(folder))
        for fault in args.faults:
            case, rounds = load.named(cases, ASKED[fault]), []
            for number in range(args.times):
                with own_server() as (server, _):
                    rounds.append(asyncio.run(measure(server, case, fault, args.seed + number)))
            rows.append(_row(fault, case, rounds))
            sys.stderr.write(f"{fault}: first verdict after {[round(one.first_verdict, 1) for one in rounds]} s\n")
    show("time to heal", rows)
    figures = {"seed": args.seed, "times": args.times, "clients": len(load.WAYS), "retries": load.RETRIES,
               "aim_seconds": AIM_SECONDS, **installed(), "faults": rows}  # fmt: skip
    sys.stderr.write(f"written to {record.write('heal', figures)}\n")
    return int(any(row["broken"] or row["first_verdict_max_s"] > AIM_SECONDS for row in rows))


async def measure(server: Server, case: Case, fault: str, seed: int) -> Healing:
    """Inject one fault under the load of a client for each way."""
    whole, answers, ended = Whole(server), list[Answer](), asyncio.Event()
    async with (
        load.callers(server, len(load.WAYS)) as callers,
        load.callers(server, 1, retries=0, timeout=PROBE_SECONDS) as (probe,),
    ):
        await load.alone(probe, [case])
        loads = [asyncio.create_task(_keep_asking(caller, case, answers, ended)) for caller in callers]
        try:
            await asyncio.sleep(BEFORE_SECONDS)
            began = time.monotonic()
            if not Faults(server, seed).inject(fault):
                raise VeracityError(f"there is no process for the fault: {fault}")
            await _first_verdict(probe, case)
            first_verdict = time.monotonic() - began
            seconds = await whole.again() - began
            ended.set()
            await asyncio.gather(*loads)
        finally:  # else a fault that is never healed leaves the load behind
            for task in loads:
                task.cancel()
            await asyncio.gather(*loads, return_exceptions=True)
    return Healing(first_verdict, seconds, answers)


async def _keep_asking(caller: Caller, case: Case, answers: list[Answer], ended: asyncio.Event) -> None:
    while not ended.is_set():
        answers.append(await caller.ask(case))
        await asyncio.sleep(PAUSE_SECONDS)


async def _first_verdict(probe: Caller, case: Case) -> None:
    deadline = time.monotonic() + HEAL_SECONDS
    while (await probe.ask(case)).verdict is None:
        if time.monotonic() > deadline:
            raise VeracityError(f"no verdict for {HEAL_SECONDS:.0f} s")
        await asyncio.sleep(POLL_SECONDS)


def _row(fault: str, case: Case, rounds: Sequence[Healing]) -> dict[str, Any]:
    answers = [answer for one in rounds for answer in one.answers]
    reference = next(answer.verdict for answer in answers if answer.verdict)  # of the time before the first fault
    broken = [wrong for answer in answers if (wrong := load.fault(answer, {case.name: reference}))]
    return {
        "fault": fault,
        "asked": case.name,
        **_spread("first_verdict", [one.first_verdict for one in rounds]),
        **_spread("whole", [one.whole for one in rounds]),
        "requests": len(answers),
        "lost": sum(answer.verdict is None for answer in answers),
        "broken": broken,
    }


def _spread(name: str, seconds: Sequence[float]) -> dict[str, float]:
    return {f"{name}_p50_s": round(statistics.median(seconds), 2), f"{name}_max_s": round(max(seconds), 2)}
