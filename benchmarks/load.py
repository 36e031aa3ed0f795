"""Requests of every kind over the three ways that a client has, and what came back, held against what was due."""

from __future__ import annotations

import asyncio
import math
import random
import subprocess
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from veracity.catalog.assets import PORTRAIT_FILE
from veracity.media import find_ffmpeg
from veracity.sample import Clip, make_sample
from veracity.settings import Settings
from veracity_client import AsyncDetector, Options, VeracityError, Verdict
from veracity_client._wire import RETRIED
from veracity_client.errors import BadVideo, TooManyPixels

Way = Literal["grpc", "http", "stream"]
Kind = Literal["interactive", "bulk", "slow", "bad", "cancelled"]
WAYS: tuple[Way, ...] = get_args(Way)
SHARES: Mapping[Kind, float] = {"interactive": 0.35, "bulk": 0.25, "slow": 0.05, "bad": 0.2, "cancelled": 0.15}

# As a caller sets it who outlives all restarts: as many retries as ten minutes allow.
RETRIES, TIMEOUT_SECONDS = None, 600.0
CANCEL_SECONDS = 0.5  # after which a caller of the kind "cancelled" goes away
TOLERANCE = 1e-4  # between two verdicts on one file, whose scores are rounded to four digits
CANCELLED, RIGHT = "cancelled", "verdict"

SHORT = Clip(640, 360, 3.0, 1_000_000)
LONG = Clip(1280, 720, 10.0, 2_000_000)
TOO_LARGE = ("-f", "lavfi", "-i", "color=black:s=8200x4400", "-frames:v", "1")  # more than VERACITY_MAX_PIXELS


class Addressed(Protocol):
    """A server, or what another process has to know of one."""

    @property
    def grpc_url(self) -> str:
        """``host:port``."""

    @property
    def http_url(self) -> str:
        """``host:port``."""


@dataclass(frozen=True)
class Case:
    """A request that can be sent again and again; ``due`` is the answer's kind: ``verdict`` or the name of an error."""

    name: str
    kind: Kind
    video: bytes
    options: Options = field(default_factory=Options)
    due: str = RIGHT


@dataclass(frozen=True)
class Answer:
    """What one request ended with: ``verdict``, ``cancelled`` or the name of an error.

    ``again``: how often a stream broke after its first event, which the client leaves to its caller to repeat.
    """

    case: Case
    way: Way
    what: str
    seconds: float
    verdict: Verdict | None = None
    message: str = ""
    again: int = 0


def cases(folder: Path) -> list[Case]:
    """Make the files in ``folder``: films, a voice and a picture of some seconds, and what is refused."""
    settings = Settings.from_env()
    ffmpeg, portrait = find_ffmpeg(settings.ffmpeg), settings.weights / PORTRAIT_FILE

    def cut(source: Sequence[object], name: str, *arguments: str) -> bytes:
        target = folder / name
        command = [ffmpeg, "-nostdin", "-v", "error", "-y", *source, *arguments, target]
        subprocess.run([str(word) for word in command], check=True)
        return target.read_bytes()

    short = make_sample(folder / "short.mp4", portrait, ffmpeg, SHORT)
    long = make_sample(folder / "long.mp4", portrait, ffmpeg, LONG).read_bytes()
    film, given = short.read_bytes(), ("-i", short)
    voice = cut(given, "voice.wav", "-vn")
    picture = cut(given, "picture.jpg", "-frames:v", "1")
    silent = cut(given, "silent.mp4", "-an", "-c", "copy", "-t", "1")
    exhaustive = Options(policy="exhaustive")
    return [
        Case("film", "interactive", film),
        Case("voice", "interactive", voice),
        Case("picture", "interactive", picture),
        Case("film, all layers", "bulk", film, exhaustive),
        Case("voice, all layers", "bulk", voice, exhaustive),
        Case("silent film, all layers", "bulk", silent, exhaustive),
        Case("long film, all layers", "slow", long, exhaustive),
        Case("empty file", "bad", b"", due=BadVideo.__name__),
        Case("text", "bad", b"Dear Sir or Madam,\n" * 100, due=BadVideo.__name__),
        Case("film without its index", "bad", film[:200], exhaustive, due=BadVideo.__name__),
        Case("picture too large", "bad", cut(TOO_LARGE, "large.png"), due=TooManyPixels.__name__),
        Case("track that is not there", "bad", film, Options(audio_track=7), due="BadOption"),
        Case("caller who leaves", "cancelled", long, exhaustive, due=CANCELLED),
    ]


def named(of: Sequence[Case], name: str) -> Case:
    """Return the case of that name."""
    return next(case for case in of if case.name == name)


def mixed(of: Sequence[Case], count: int, seed: int) -> list[Case]:
    """Return ``count`` cases, each kind's share of them, in an order that the seed decides."""
    dice = random.Random(seed)  # noqa: S311, nothing secret
    chosen: list[Case] = []
    for kind, share in SHARES.items():
        own = [case for case in of if case.kind == kind]
        chosen += [own[k % len(own)] for k in range(max(1, round(share * count)))]
    dice.shuffle(chosen)
    return chosen[:count]


class Caller:
    """One client over one way, with connections of its own."""

    def __init__(
        self, server: Addressed, way: Way, retries: int | None = RETRIES, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        url = f"http://{server.http_url}" if way == "http" else server.grpc_url
        self.way = way
        self._retries, self._timeout, self._again = retries, timeout, 0
        self._detector = AsyncDetector(url, retries=retries, timeout=timeout)

    async def ask(self, case: Case) -> Answer:
        """Send a request and wait for its end; whoever is of the kind ``cancelled`` goes away before."""
        began, self._again = time.monotonic(), 0
        verdict, message = None, ""
        try:
            waiting = CANCEL_SECONDS if case.kind == "cancelled" else None
            verdict, what = await asyncio.wait_for(self._verdict(case), waiting), RIGHT
        except asyncio.TimeoutError:
            what = CANCELLED
        except VeracityError as error:
            what, message = type(error).__name__, error.message
        return Answer(case, self.way, what, time.monotonic() - began, verdict, message, self._again)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._detector.close()

    async def _verdict(self, case: Case) -> Verdict:
        if self.way != "stream":
            return await self._detector.analyze(case.video, case.options)
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                return await self._streamed(case, deadline - time.monotonic())
            except RETRIED:
                if time.monotonic() >= deadline or (self._retries is not None and self._again >= self._retries):
                    raise
                self._again += 1

    async def _streamed(self, case: Case, timeout: float) -> Verdict:
        async with aclosing(self._detector.stages(case.video, case.options, timeout=timeout)) as events:
            (verdict,) = [event async for event in events if isinstance(event, Verdict)]  # a second one is a fault
        return verdict


@asynccontextmanager
async def callers(server: Addressed, count: int, **settings: Any) -> AsyncIterator[list[Caller]]:
    """Yield clients, the three ways in turn."""
    made = [Caller(server, WAYS[k % len(WAYS)], **settings) for k in range(count)]
    try:
        yield made
    finally:
        await asyncio.gather(*(caller.close() for caller in made))


async def alone(caller: Caller, of: Sequence[Case]) -> dict[str, Verdict]:
    """Ask each case that is due a verdict, one after another; raises VeracityError where one gets none."""
    found = {}
    for case in of:
        if case.due == RIGHT:
            answer = await caller.ask(case)
            if answer.verdict is None:
                raise VeracityError(f"{case.name} gets no verdict alone: {answer.what}: {answer.message}")
            found[case.name] = answer.verdict
    return found


async def ask_all(clients: Sequence[Caller], of: Iterable[Case], answers: list[Answer]) -> None:
    """Send each case once, every client one at a time, and add each answer to ``answers`` when it comes."""
    left = iter(of)

    async def work(caller: Caller) -> None:
        for case in left:
            answers.append(await caller.ask(case))  # noqa: PERF401, others look at it meanwhile

    await asyncio.gather(*map(work, clients))


def difference(one: Verdict, other: Verdict) -> float:
    """Return the largest difference between the scores of two verdicts; infinite where they say something else."""
    if facts(one) != facts(other):
        return math.inf
    pairs = zip(scores(one), scores(other))
    return round(max((abs(a - b) for a, b in pairs if a is not None and b is not None), default=0.0), 6)


def facts(verdict: Verdict) -> tuple[Any, ...]:
    """Return what two verdicts on one file have to have in common."""
    layers = {key: (result.status, result.fake_probability is None) for key, result in verdict.layer_results.items()}
    return verdict.label, verdict.degraded, verdict.fake_probability is None, verdict.input.sha256, layers


def scores(verdict: Verdict) -> list[float | None]:
    """Return the probability of the verdict and of each layer."""
    return [verdict.fake_probability, *(result.fake_probability for result in verdict.layer_results.values())]


def fault(answer: Answer, references: Mapping[str, Verdict]) -> str:
    """Return what is wrong with an answer; empty where it is the one that was due."""
    if answer.what != answer.case.due:
        seconds = f"after {answer.seconds:.1f} s" + (f": {answer.message}" if answer.message else "")
        return f"{answer.case.name} over {answer.way}: {answer.what} instead of {answer.case.due} {seconds}"
    if answer.verdict is None:
        return ""
    apart = difference(answer.verdict, references[answer.case.name])
    if apart <= TOLERANCE:
        return ""
    said = "; ".join(reason.text for reason in answer.verdict.degraded_reasons)
    return f"{answer.case.name} over {answer.way}: {apart} from the verdict that it gets alone {said}".rstrip()
