"""Many videos: each is read, looked up in the file of results, and asked about where no line there answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from veracity_client._source import read
from veracity_client.client import Detector
from veracity_client.console import ERROR, EXIT_CODES
from veracity_client.errors import BadOption, VeracityError
from veracity_client.info import ServerInfo
from veracity_client.inputs import open_input
from veracity_client.options import WITHOUT_EFFECT
from veracity_client.reports import json_line
from veracity_client.results import Line, ResultsFile
from veracity_client.verdict import Options, Verdict

JOBS = 4  # of a server that does not say how many videos it analyses at the same time

Watch = Callable[[str, Detector, bytes, Options], Verdict]


def jobs_of(servers: list[ServerInfo | None]) -> int:
    """Return how many videos keep all servers busy."""
    return sum(server.videos_at_once if server else JOBS for server in servers)


def asked_in(options: Options, servers: list[ServerInfo | None]) -> dict[str, Any]:
    """Return what an answer depends on beside the file, as a line of results holds it.

    Raises :class:`BadOption` where the servers would answer differently.
    """
    prints = {server.fingerprint for server in servers if server}
    if len(prints) > 1:
        raise BadOption("the servers have other models or settings than one another; --out wants equal ones")
    chosen = msgspec.to_builtins(options) | {"layers": sorted(options.layers)}
    kept = {name: value for name, value in chosen.items() if name not in WITHOUT_EFFECT}
    return {"server": next(iter(prints), None), **kept}


@dataclass(frozen=True)
class Answer:
    """How one video ended; a ``Line`` where an earlier run has its answer. ``text`` is its line."""

    name: str
    found: Verdict | VeracityError | Line
    text: str

    @property
    def code(self) -> int:
        """The exit code that it asks for."""
        if isinstance(self.found, Line):
            return self.found.code
        return EXIT_CODES[self.found.final_verdict] if isinstance(self.found, Verdict) else ERROR


@dataclass(frozen=True)
class Batch:
    """Answers one video after another, in several threads. ``asked`` is None where there is no file of ``results``."""

    detector: Detector
    options: Options
    watch: Watch
    results: ResultsFile | None = None
    asked: dict[str, Any] | None = None

    def answer(self, name: str) -> Answer:
        """Read and answer one video; errors of ours are answers as well."""
        more = {} if self.asked is None else {"asked": self.asked}
        try:
            content = read(open_input(name))
        except VeracityError as error:
            return Answer(name, error, json_line(name, error, more))
        if self.results and self.asked is not None:
            sha256 = hashlib.sha256(content).hexdigest()
            if line := self.results.kept(name, sha256, self.asked):
                return Answer(name, line, self.results.text(line))
            more["input"] = {"sha256": sha256}  # of an error; a verdict has an ``input`` of its own
        found = self._ask(name, content)
        return Answer(name, found, json_line(name, found, more))

    def _ask(self, name: str, content: bytes) -> Verdict | VeracityError:
        try:
            return self.watch(name, self.detector, content, self.options)
        except VeracityError as error:
            return error
