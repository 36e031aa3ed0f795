"""``veracity bulk``: the process that knows the input, has Ray ask, and alone writes the rows."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from veracity_bulk import on_ray, schema
from veracity_bulk.inputs import Entry, entries
from veracity_bulk.output import Earlier, Output
from veracity_bulk.progress import Progress
from veracity_bulk.worker import Job
from veracity_client import Detector, Options
from veracity_client.batch import asked_in, jobs_of
from veracity_client.errors import BadVideo, LimitExceeded, ServerUnavailable, Unauthorized

PART_ROWS = 500
GIVE_UP = 20  # files in a row, beyond those under way, for which no server could be reached or that it did not let in
NO_SERVER = (ServerUnavailable.__name__, Unauthorized.__name__)


@dataclass(frozen=True)
class Task:
    """A run, as the command line says it. ``in_flight``: files at once a server; None for as many as it analyses.

    ``part_seconds``: how long a row waits to be written with others; kill -9 costs at most the answers of this time.
    """

    given: str
    out: str
    options: Options
    column: str = "uri"
    urls: tuple[str, ...] = ()
    api_key: str | None = None
    ray: str | None = None
    in_flight: int | None = None
    attempts: int = 10
    max_bytes: int = 200 << 20
    part_seconds: float = 30.0
    cores: float | None = None


@dataclass
class Tally:
    """What a run did. ``dead``: the files that have no verdict."""

    kept: int = 0
    rows: int = 0
    attempts: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    video_seconds: float = 0.0
    server_seconds: float = 0.0
    dead: list[tuple[str, str, str, int]] = field(default_factory=list)

    def keep(self, uri: str, row: Earlier) -> None:
        """Count a file that an earlier run answered."""
        self.kept += 1
        self._dead(uri, row.error_class, row.error, row.attempts)

    def add(self, row: schema.Row) -> None:
        """Count a row of this run."""
        self.rows += 1
        self.attempts += row["attempts"]
        if row.get("label"):
            self.labels[row["label"]] += 1
        self.video_seconds += row.get("seconds") or 0.0
        self.server_seconds += row.get("server_seconds") or 0.0
        self._dead(row["uri"], row.get("error_class"), row.get("error"), row["attempts"])

    def _dead(self, uri: str, error_class: str | None, error: str | None, attempts: int) -> None:
        if error_class:
            self.errors[error_class] += 1
            self.dead.append((uri, error_class, error or "", attempts))

    def report(self, files: int, seconds: float, servers: int, cores: float | None) -> dict[str, Any]:
        """Return what report.json holds: times in seconds, costs in those of a server, or core, a video-hour."""
        hours = self.video_seconds / 3600
        cost = {
            "busy_server_seconds_per_video_hour": _per(self.server_seconds, hours),
            "server_seconds_per_video_hour": _per(seconds * servers, hours),
            "core_seconds_per_video_hour": _per(seconds * servers * (cores or 0), hours) if cores else None,
        }
        return {
            "schema": schema.VERSION, "files": files, "kept": self.kept, "rows": self.rows, "attempts": self.attempts,
            "labels": dict(self.labels), "errors": dict(self.errors), "dead_letters": len(self.dead),
            "seconds": round(seconds, 1), "servers": servers, "cores_a_server": cores,
            "video_hours": round(hours, 4), "cost": cost,
        }  # fmt: skip


def run(task: Task) -> int:
    """Do it, print the report's main lines, and return 0, or 1 where a file has no verdict.

    Raises an error of ours where the run cannot go on; rows that are written stay, and the same run goes on.
    """
    began = time.monotonic()
    found, notes = entries(task.given, task.column)
    for note in notes:
        sys.stderr.write(f"{note}\n")
    with ExitStack() as stack:
        output = stack.enter_context(Output(task.out))
        detector = stack.enter_context(Detector(list(task.urls), api_key=task.api_key))
        _let_in(detector)
        servers = detector.info()
        job = _job(task, asked_in(task.options, servers), jobs_of(servers) / len(servers))
        in_flight = task.in_flight * len(servers) if task.in_flight else jobs_of(servers)
        work = _Work(output, found, output.earlier(job.server, job.asked))
        if work.left:
            stack.enter_context(on_ray.cluster(task.ray))
            work.do(job, in_flight, task.part_seconds)
        report = work.tally.report(len(found), time.monotonic() - began, len(servers), task.cores)
        output.finish(sorted(work.tally.dead), report)
    _print(report, task.out)
    return int(bool(work.tally.dead))


class _Work:
    """The files of a run: those that are kept, those that are left, and the rows that are not written yet."""

    def __init__(self, output: Output, found: Sequence[Entry], earlier: dict[str, list[Earlier]]) -> None:
        self._output, self.tally, self._files = output, Tally(), len(found)
        self._earlier = {(uri, row.id): row for uri, rows in earlier.items() for row in rows if row.stands}
        self.left: list[on_ray.Item] = []
        drop: dict[str, set[str]] = defaultdict(set)
        for entry in found:
            rows = earlier.get(entry.uri, [])
            standing = [row for row in rows if row.stands]
            same = [row for row in standing if row.file_version is not None and row.file_version == entry.version]
            if same:
                self.tally.keep(entry.uri, same[0])
                continue
            for row in rows:
                if not row.stands:
                    drop[row.part].add(entry.uri)
            self.left.append((entry.uri, json.dumps([(r.file_version, r.content_sha256, r.id) for r in standing])))
        output.drop(drop)

    def do(self, job: Job, in_flight: int, part_seconds: float) -> None:
        """Have every file that is left answered, and write the rows. What came before an error is written as well."""
        rows: list[schema.Row] = []
        since, refused = 0.0, 0
        with Progress(self._files, self.tally.kept, in_flight) as progress:
            try:
                for uri, answer in on_ray.answers(self.left, job, in_flight):
                    progress.done()
                    if "kept" in answer:
                        self.tally.keep(uri, self._earlier[uri, answer["kept"]])
                        continue
                    row = _died(uri, answer["died"], job) if "died" in answer else answer
                    self.tally.add(row)
                    since = since if rows else time.monotonic()
                    rows.append(row)
                    refused = refused + 1 if row.get("error_class") in NO_SERVER else 0
                    if refused >= GIVE_UP + in_flight:
                        raise ServerUnavailable(f"{refused} files in a row were refused: {row['error']}")
                    if len(rows) >= PART_ROWS or time.monotonic() - since >= part_seconds:
                        written, rows = rows, []
                        self._output.write(written)
            finally:
                self._output.write(rows)


def _let_in(detector: Detector) -> None:
    """Ask about an empty file: where nobody answers, or a key is missing, the run need not begin."""
    try:
        detector.analyze(b"", Options(deadline_seconds=60.0))
    except (BadVideo, LimitExceeded):
        return


def _job(task: Task, asked: dict[str, Any], places: float) -> Job:
    server = asked.pop("server")
    text = json.dumps(asked, sort_keys=True)
    seconds = task.options.deadline_seconds
    return Job(
        task.urls, task.api_key, task.options, server, text, task.attempts, seconds, task.max_bytes, 1, places
    )  # fmt: skip


def _died(uri: str, text: str, job: Job) -> schema.Row:
    return {
        "id": schema.identity(None, job.server, job.asked), "uri": uri, "server": job.server, "options": job.asked,
        "attempts": 0, "finished": time.time(), **schema.of_error(on_ray.died(text)),
    }  # fmt: skip


def _per(seconds: float, hours: float) -> float | None:
    return round(seconds / hours, 1) if hours else None


def _print(report: dict[str, Any], out: str) -> None:
    said = [f"{count} {label}" for label, count in sorted(report["labels"].items())]
    said += [f"{count} {error}" for error, count in sorted(report["errors"].items())]
    cost = report["cost"]["core_seconds_per_video_hour"] or report["cost"]["server_seconds_per_video_hour"]
    unit = "core" if report["cost"]["core_seconds_per_video_hour"] else "server"
    sys.stdout.write(
        f"{report['files']} files: {report['kept']} kept from earlier runs, {report['rows']} rows written to {out}"
        f" ({', '.join(said) or 'nothing new'})\n"
        f"{report['seconds']} s, {report['video_hours']} hours of video"
        f"{f', {cost} {unit}-seconds a video-hour' if cost else ''}\n"
    )
    if report["dead_letters"]:
        sys.stdout.write(f"{report['dead_letters']} files have no verdict: {out.rstrip('/')}/dead-letters.csv\n")
