"""A simulator of servers: how long requests take, and how many servers carry a load.

A server analyses ``places`` files at a time; more wait, and beyond ``waiting`` they are refused. A file takes so many
seconds of each resource, cores or GPUs, as were measured when it was alone; at most as many units at once as it used
then. Where all that run want more than there is, each gets its part (processor sharing).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

from veracity.catalog.serving import VIDEOS_AT_ONCE, VIDEOS_WAITING

_DONE = 1e-9  # seconds of work


@dataclass(frozen=True)
class Demand:
    """A kind of file: ``seconds`` of media, ``work`` seconds that it takes of each resource, ``alone`` by the clock."""

    seconds: float
    alone: float
    work: Mapping[str, float]


@dataclass(frozen=True)
class Machine:
    """One server: how many units of each resource it has, and its queue."""

    units: Mapping[str, float]
    places: int = VIDEOS_AT_ONCE
    waiting: int = VIDEOS_WAITING


@dataclass(frozen=True)
class Request:
    """A file that arrives at a time, in seconds."""

    at: float
    kind: str


@dataclass
class Outcome:
    """Seconds that each answered request took, in order of arrival; how many were refused; busy units by resource."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    lasted: float = 0.0
    busy: dict[str, float] = field(default_factory=dict)

    def percentile(self, share: float) -> float:
        """Return the seconds that this share (0 to 100) of the answered requests stayed under."""
        return float(np.percentile(self.seconds, share)) if self.seconds else math.inf


class _Shared:
    """One resource of one server, shared by what runs."""

    def __init__(self, env: simpy.Environment, units: float) -> None:
        self._env, self._units = env, units
        self._left: dict[Any, tuple[float, float]] = {}  # event → work left, most units at once
        self._since, self._turn = 0.0, itertools.count()
        self._last = 0
        self.worked = 0.0

    def work(self, seconds: float, most: float) -> Any:
        """Return the event that this much work is done."""
        self._advance()
        done = self._env.event()
        self._left[done] = (seconds, min(most, self._units))
        self._plan()
        return done

    def _rate(self) -> float:
        wanted = sum(most for _, most in self._left.values())
        return min(1.0, self._units / wanted) if wanted else 0.0

    def _advance(self) -> None:
        passed, rate = self._env.now - self._since, self._rate()
        self._left = {done: (left - passed * rate * most, most) for done, (left, most) in self._left.items()}
        self.worked += passed * rate * sum(most for _, most in self._left.values())
        self._since = self._env.now

    def _plan(self) -> None:
        self._last = next(self._turn)
        if self._left:
            rate = self._rate()
            soonest = min(left / (rate * most) for left, most in self._left.values())
            self._env.process(self._wake(max(soonest, 0.0), self._last))

    def _wake(self, seconds: float, turn: int) -> Generator[Any, Any, None]:
        yield self._env.timeout(seconds)
        if turn == self._last:  # else something came or went meanwhile
            self._advance()
            for done in [done for done, (left, _) in self._left.items() if left <= _DONE]:
                del self._left[done]
                done.succeed()
            self._plan()


class _Server:
    def __init__(self, env: simpy.Environment, machine: Machine) -> None:
        self.machine = machine
        self.places = simpy.Resource(env, machine.places)
        self.resources = {name: _Shared(env, units) for name, units in machine.units.items()}
        self.in_flight = 0

    @property
    def full(self) -> bool:
        return self.in_flight >= self.machine.places + self.machine.waiting


def simulate(requests: Sequence[Request], demands: Mapping[str, Demand], machine: Machine, servers: int) -> Outcome:
    """Send requests to equal servers, each to the one with the least in flight, as the client does."""
    env, outcome = simpy.Environment(), Outcome()
    those = [_Server(env, machine) for _ in range(servers)]
    taken: dict[int, float] = {}
    turns = itertools.count()

    def answer(number: int, request: Request) -> Generator[Any, Any, None]:
        yield env.timeout(request.at)
        turn = next(turns) % servers
        server = min(those[turn:] + those[:turn], key=lambda one: one.in_flight)
        if server.full:
            outcome.refused += 1
            return
        server.in_flight += 1
        with server.places.request() as place:
            yield place
            demand = demands[request.kind]
            wanted = sum(demand.work.values())
            idle = max(demand.alone - wanted, 0.0)  # waits for nothing that is shared
            for name, seconds in demand.work.items():
                if seconds:
                    yield server.resources[name].work(seconds, max(1.0, wanted / demand.alone))
            yield env.timeout(idle)
        server.in_flight -= 1
        taken[number] = env.now - request.at

    for number, request in enumerate(requests):
        env.process(answer(number, request))
    env.run()
    outcome.seconds = [taken[number] for number in sorted(taken)]
    outcome.lasted = env.now
    for name in machine.units:
        outcome.busy[name] = sum(one.resources[name].worked for one in those) / env.now if env.now else 0.0
    return outcome


def poisson(rate: float, count: int, mix: Mapping[str, float], seed: int = 0) -> list[Request]:
    """Return requests that come by chance, ``rate`` a second: of each kind its share, in an order by chance."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(1 / rate, count))
    kinds = rng.permutation(_dealt(mix, count))
    return [Request(float(at), str(kind)) for at, kind in zip(times, kinds)]


def _dealt(mix: Mapping[str, float], count: int) -> list[str]:
    """Return ``count`` kinds, each as often as its share says; what is left over goes to the largest remainders."""
    exact = {kind: count * share / sum(mix.values()) for kind, share in mix.items()}
    whole = {kind: int(number) for kind, number in exact.items()}
    most = sorted(mix, key=lambda kind: whole[kind] - exact[kind])
    for kind in most[: count - sum(whole.values())]:
        whole[kind] += 1
    return [kind for kind, number in whole.items() for _ in range(number)]


@dataclass(frozen=True)
class Load:
    """Video-hours a day, of kinds by their shares of the files; the busiest hour has ``peak`` times the mean."""

    hours: float
    mix: Mapping[str, float]
    peak: float = 2.0

    def rate(self, demands: Mapping[str, Demand]) -> float:
        """Return the files a second in the busiest hour."""
        shares = sum(self.mix.values())
        mean = sum(share * demands[kind].seconds for kind, share in self.mix.items()) / shares
        return self.hours * 3600 / mean / 86_400 * self.peak


@dataclass(frozen=True)
class Plan:
    """``needed`` servers hold the p95 in the busiest hour, ``servers`` with the spare ones; ``busy`` is a share then.

    ``simulated`` is how many were simulated; a larger number is as many more as the load is larger.
    """

    rate: float
    needed: int
    servers: int
    units: Mapping[str, float]
    p95: float
    busy: Mapping[str, float]
    simulated: int


MOST_SIMULATED = 32
REQUESTS = 2000


class ImpossibleError(Exception):
    """No number of servers does it; the message says why."""


def plan(load: Load, demands: Mapping[str, Demand], machine: Machine, p95: float, spare: int = 1) -> Plan:
    """Return the least servers that hold the p95 in the busiest hour while ``spare`` are away.

    Raises :class:`ImpossibleError` where files alone take longer than that.
    """
    rate = load.rate(demands)
    parts = max(1.0, _least(rate, load, demands, machine) / MOST_SIMULATED)
    requests = poisson(rate / parts, REQUESTS, load.mix)
    least = float(np.percentile([demands[request.kind].alone for request in requests], 95))
    if least > p95:
        raise ImpossibleError(
            f"of such files 5 % take over {least:.1f} s on a server that does nothing else, not {p95:g} s"
        )
    low, high = 0, max(1, math.ceil(_least(rate / parts, load, demands, machine)))
    while not (found := _holds(requests, demands, machine, high, p95)):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if better := _holds(requests, demands, machine, middle, p95):
            high, found = middle, better
        else:
            low = middle
    needed = math.ceil(high * parts)
    units = {name: count * (needed + spare) for name, count in machine.units.items()}
    busy = {name: round(found.busy[name] / (high * machine.units[name]), 3) for name in machine.units}
    return Plan(round(rate, 4), needed, needed + spare, units, round(found.percentile(95), 2), busy, high)


def _least(rate: float, load: Load, demands: Mapping[str, Demand], machine: Machine) -> float:
    """Servers that would be busy all the time."""
    shares = sum(load.mix.values())
    work = [sum(share * demands[kind].work.get(name, 0.0) for kind, share in load.mix.items()) / shares / units
            for name, units in machine.units.items()]  # fmt: skip
    return rate * max(work)


def _holds(
    requests: Sequence[Request], demands: Mapping[str, Demand], machine: Machine, servers: int, p95: float
) -> Outcome | None:
    found = simulate(requests, demands, machine, servers)
    return found if not found.refused and found.percentile(95) <= p95 else None
