"""Every file of the hostile corpus through a real server: a verdict or an error of ours, and healthy after each."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.faults import model_processes
from benchmarks.load import Answer, Caller, Case
from benchmarks.printing import show
from benchmarks.target import installed, own_server
from evaluation import record
from veracity.server import Server
from veracity.settings import CHECKOUT
from veracity_client import Options, Verdict
from veracity_client.errors import InternalError, ModelUnavailable, Overloaded, ServerUnavailable

CORPUS = CHECKOUT / "tests" / "media" / "hostile_corpus.py"  # the script that writes the files
SEVERAL = 4  # files at once
OPTIONS = Options(policy="exhaustive", deadline_seconds=120.0)
FAULTS = (InternalError, ModelUnavailable, Overloaded, ServerUnavailable)  # blame the server and not the file
LEAKS = ("/proc", "/tmp", "/root", "/home", "/etc", "Traceback", "memfd")  # noqa: S108, words that no answer may hold


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--every", type=int, default=1, help="only each n-th file")
    parser.add_argument("--canary", type=int, default=20, help="files between two looks at the server")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write ``results/hostile.json``; returns 1 where an answer was none of ours."""
    with own_server() as (server, _), tempfile.TemporaryDirectory() as made:
        files, cases = corpus(Path(made) / "corpus")[:: args.every], load.cases(Path(made))
        found = asyncio.run(_measure(server, files, load.named(cases, "film, all layers"), args.canary))
    show("hostile files", [{"": name.replace("_", " "), "found": value} for name, value in found.items()])
    for sentence in found["broken"]:
        sys.stderr.write(f"{sentence}\n")
    sys.stderr.write(f"written to {record.write('hostile', {**installed(), **found})}\n")
    return int(bool(found["broken"]))


def corpus(folder: Path) -> list[Case]:
    """Have the script write its files, and return a case for each, in the order of their names."""
    folder.mkdir()
    paths = os.pathsep.join((str(CORPUS.parent), str(CORPUS.parent.parent)))
    subprocess.run([sys.executable, str(CORPUS), str(folder)], check=True, env={**os.environ, "PYTHONPATH": paths})
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [Case(path.name, "bad", path.read_bytes(), OPTIONS) for path in files]


async def _measure(server: Server, files: Sequence[Case], canary: Case, interval: int) -> dict[str, Any]:
    answers: list[Answer] = []
    before, broken = (server.pid, model_processes(server)), list[str]()
    async with load.callers(server, SEVERAL, retries=0) as callers:
        references = await load.alone(callers[0], [canary])
        canaries = 0
        for start in range(0, len(files), interval):
            part = files[start : start + interval]
            await load.ask_all(callers, part, answers)
            canaries += 1
            broken += await _look(server, callers[0], canary, references, before, part)
            before = (server.pid, model_processes(server))
    broken += [wrong for answer in answers if (wrong := fault(answer))]
    slowest = max(answers, key=lambda answer: answer.seconds)
    return {
        "files": len(files),
        "bytes": sum(len(case.video) for case in files),
        "sha256": hashlib.sha256(b"".join(hashlib.sha256(case.video).digest() for case in files)).hexdigest(),
        "answers": dict(Counter(answer.what for answer in answers).most_common()),
        "canaries": canaries,
        "slowest": {"file": slowest.case.name, "seconds": round(slowest.seconds, 1), "answer": slowest.what},
        "broken": broken,
    }


async def _look(
    server: Server, caller: Caller, canary: Case, references: Mapping[str, Verdict],
    before: tuple[int, list[int]], part: Sequence[Case],
) -> list[str]:  # fmt: skip
    """Return what is wrong with the server after these files: another verdict, or processes that ended."""
    found = load.fault(await caller.ask(canary), references)
    if (server.pid, model_processes(server)) != before:
        found = f"{found} processes ended".strip()
    return [f"after {part[0].name} to {part[-1].name}: {found}"] if found else []


def fault(answer: Answer) -> str:
    """Return what is wrong with an answer; empty for a verdict, and for an error of ours in short words."""
    if answer.verdict is not None:
        return ""
    if answer.what in {kind.__name__ for kind in FAULTS}:
        return f"{answer.case.name}: {answer.what}: {answer.message}"
    if any(leak in answer.message for leak in LEAKS) or len(answer.message) > 200:
        return f"{answer.case.name}: says too much: {answer.message}"
    return ""
