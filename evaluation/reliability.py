"""The tables of docs/reliability.md: what the server does under faults, each out of one committed result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evaluation.markdown import origin, table
from evaluation.results import RefusedResult, load
from evaluation.tables import block

Document = Mapping[str, Any]
GIB = 2**30 / 1e6  # in MB


@block
def summary() -> str:
    """One row a question, each with the command that answers it."""
    rows = [row for name, lines in _SUMMARY.items() for row in _lines(name, lines)]
    return table(("what", "found", "aim", "command"), rows)


def _lines(name: str, lines: Callable[[Document], Sequence[tuple[str, str, str]]]) -> list[tuple[str, ...]]:
    command = f"`python -m benchmarks {name}`"
    try:
        return [(*line, command) for line in lines(load(name, of_server=True))]
    except RefusedResult as refused:
        return [(name, f"*no figures: {refused}*", "", command)]


def _concurrency(found: Document) -> list[tuple[str, str, str]]:
    return [
        ("faults injected", _counts(found["faults"]), ""),
        ("requests sent", f"{found['requests']} by {found['clients']} clients", ""),
        ("verdicts right", f"{found['right_verdicts']} of {found['due_verdicts']}", "all"),
        ("bad files with their own error", f"{found['right_errors']} of {found['due_errors']}", "all"),
        ("lost, doubled", f"{found['lost']}, {found['doubled']}", "0, 0"),
    ]


def _heal(found: Document) -> list[tuple[str, str, str]]:
    rows = found["faults"]
    p50, longest = (max(row[f"first_verdict_{of}_s"] for row in rows) for of in ("p50", "max"))
    worst = f"p50 {p50:.1f} s, max {longest:.1f} s"
    lost = sum(row["lost"] for row in rows)
    return [
        ("next verdict after a fault, of the worst kind", worst, f"under {found['aim_seconds']:.0f} s"),
        ("requests lost meanwhile", f"{lost} of {sum(row['requests'] for row in rows)}", "0"),
    ]


def _overload(found: Document) -> list[tuple[str, str, str]]:
    words = ", ".join(f"{row['way']} {row['p99_ms']:.0f} ms" for row in found["ways"])
    taken, right = (sum(row[name] for row in found["ways"]) for name in ("taken", "right_verdicts"))
    return [
        ("time to refuse under overload, p99", words, f"under {found['aim_ms']:.0f} ms"),
        ("requests taken meanwhile that got their verdict", f"{right} of {taken}", "all"),
    ]


def _hostile(found: Document) -> list[tuple[str, str, str]]:
    sentences = len(found["broken"])
    return [
        ("hostile files", f"{found['files']}: {_counts(found['answers'])}; {sentences} of them a fault", "no fault")
    ]


def _memory(found: Document) -> list[tuple[str, str, str]]:
    return [(f"memory, {row['what']}", _gib(row["peak_mb"]), _gib(row["budget_mb"])) for row in found["levels"]]


def _soak(found: Document) -> list[tuple[str, str, str]]:
    name = f"soak of {found['minutes']:.0f} minutes"
    return [(f"{name}: {_quantity(row)}", _change(row), _allowed(row)) for row in found["deltas"]]


def _gateway(found: Document) -> list[tuple[str, str, str]]:
    jobs = found["survival"]
    ended = f"{jobs['complete']} complete, {jobs['error']} error"
    return [
        ("jobs accepted while the gateway and tritonserver were killed", str(jobs["accepted"]), ""),
        ("jobs ended", ended, "all"),
        ("jobs lost, doubled", f"{jobs['lost']}, {jobs['doubled']}", "0, 0"),
        *(
            (f"more through the gateway, {row['request']}", f"p50 {row['p50_ms']:.1f} ms, p95 {row['p95_ms']:.1f} ms",
             "p50 at most 15 ms")
            for row in found["overhead"]
            if row["way"] == "more through the gateway"
        ),
    ]  # fmt: skip


def _cluster(found: Document) -> list[tuple[str, str, str]]:
    lost, doubled, requests = (sum(row[name] for row in found["rows"]) for name in ("lost", "doubled", "requests"))
    what = f"of {found['servers']} servers one killed, drained, added under load: requests lost, doubled"
    return [(what, f"{lost}, {doubled} of {requests}", "0, 0")]


_SUMMARY = {
    "concurrency": _concurrency, "heal": _heal, "overload": _overload, "hostile": _hostile, "memory": _memory,
    "soak": _soak, "gateway": _gateway, "cluster": _cluster,
}  # fmt: skip


@block
def concurrency() -> str:
    """Mixed requests under faults."""
    found = load("concurrency", of_server=True)
    rows = [
        *((what, value) for what, value, _ in _concurrency(found)),
        ("sent", _counts(found["sent"])),
        ("over", _counts(found["ways"])),
        ("answers", _counts(found["answers"])),
        ("largest difference from the verdict alone", f"{found['largest_difference']:g}"),
        ("streams that broke and were asked again by their caller", str(found["streams_asked_again"])),
        ("took", f"{found['seconds']:.0f} s"),
    ]
    return f"{table(('', ''), rows)}\n\n{origin(found)}"


_HEALING = ("first_verdict_p50_s", "first_verdict_max_s", "whole_p50_s", "whole_max_s")


@block
def heal() -> str:
    """Seconds by kind of fault."""
    found = load("heal", of_server=True)
    rows = [
        (row["fault"], *(f"{row[name]:.1f} s" for name in _HEALING), f"{row['lost']} of {row['requests']}")
        for row in found["faults"]
    ]  # fmt: skip
    head = ("", "next verdict, p50", "max", "all as before, p50", "max", "requests lost")
    return f"{table(head, rows)}\n\n{origin(found)}"


@block
def gateway() -> str:
    """Jobs under kills, and milliseconds by way."""
    found = load("gateway", of_server=True)
    rows = [
        (row["request"], row["way"], f"{row['p50_ms']:.1f} ms", f"{row['p95_ms']:.1f} ms") for row in found["overhead"]
    ]
    jobs = table(("", ""), [(what, value) for what, value, _ in _gateway(found)[:3]])
    return f"{jobs}\n\n{table(('request', 'through', 'p50', 'p95'), rows)}\n\n{origin(found)}"


@block
def cluster() -> str:
    """Requests while servers come and go, by way."""
    found = load("cluster", of_server=True)
    counts = ("requests", "answered", "lost", "doubled")
    rows = [
        (row["through"], row["phase"], *(str(row[name]) for name in counts), f"{row['p50_ms'] / 1e3:.2f} s",
         f"{row['p99_ms'] / 1e3:.2f} s")
        for row in found["rows"]
    ]  # fmt: skip
    return f"{table(('through', 'meanwhile', *counts, 'p50', 'p99'), rows)}\n\n{origin(found)}"


@block
def bulk() -> str:
    """A run of many files, a Ray node of which was killed."""
    found = load("bulk", of_server=True)
    rows = [
        ("files, rows", f"{found['files']}, {found['rows']}"),
        ("lost, doubled", f"{found['lost']}, {found['doubled']}"),
        (
            "Ray nodes, of which killed",
            f"{found['nodes']}, {found['nodes_killed']}, at {found['rows_when_killed']} rows",
        ),
        ("requests to servers for the rows", str(found["attempts"])),
        ("the whole run", f"{found['seconds']:.0f} s"),
        ("core-seconds of the server a video-hour", str(found["core_seconds_per_video_hour"])),
    ]
    return f"{table(('', ''), rows)}\n\n{origin(found)}"


@block
def overload() -> str:
    """Milliseconds to a refusal, by way."""
    found = load("overload", of_server=True)
    rows = [
        (row["way"], str(row["refused"]), *(f"{row[name]:.0f} ms" for name in ("p50_ms", "p99_ms", "max_ms")),
         f"{row['right_verdicts']} of {row['taken']}", _after(row))
        for row in found["ways"]
    ]  # fmt: skip
    head = ("", "refused", "p50", "p99", "max", "taken, with their verdict", "`Retry-After`")
    return f"{table(head, rows)}\n\n{origin(found)}"


def _after(row: Document) -> str:
    return "" if "retry_after" not in row else f"{row['retry_after']} s" if row["retry_after"] else "none"


@block
def hostile() -> str:
    """Outcomes of the hostile corpus by class."""
    found = load("hostile", of_server=True)
    slowest = found["slowest"]
    rows = [(what, str(count)) for what, count in found["answers"].items()]
    rows += [
        ("**files**", str(found["files"])),
        ("answers that were a fault", str(len(found["broken"]))),
        ("looks at the server's health between them", str(found["canaries"])),
        ("slowest file", f"`{slowest['file']}`, {slowest['seconds']:.1f} s"),
    ]
    return f"{table(('', ''), rows)}\n\n{origin(found)}"


@block
def memory() -> str:
    """Peaks and budgets by level."""
    found = load("memory", of_server=True)
    rows = [
        (
            row["what"],
            _gib(row["peak_mb"]),
            _gib(row["budget_mb"]),
            _gib(row["shared_memory_mb"]),
            str(row["processes"]),
        )
        for row in found["levels"]
    ]
    return f"{table(('', 'peak', 'budget', 'of it in /dev/shm', 'processes'), rows)}\n\n{origin(found)}"


@block
def soak() -> str:
    """What the first and the last fifth of a long load took."""
    found = load("soak", of_server=True)
    rows = [
        (_quantity(row), _number(row, "first"), _number(row, "last"), _change(row), _allowed(row))
        for row in found["deltas"]
    ]
    sent = f"{found['requests']} requests in {found['minutes']:.0f} minutes: {_counts(found['answers'])}; "
    text = f"{sent}{len(found['wrong_answers'])} of them not what was due."
    head = ("median", "first fifth", "last fifth", "change", "allowed")
    return f"{table(head, rows)}\n\n{text}\n\n{origin(found)}"


def _quantity(row: Document) -> str:
    return str(row["what"]).replace("_", " ")


def _number(row: Document, name: str) -> str:
    return f"{row[name] / 1e6:.0f} MB" if "memory" in row["what"] else f"{row[name]:.0f}"


def _change(row: Document) -> str:
    return ("+" if row["delta"] > 0 else "") + _number(row, "delta")


def _allowed(row: Document) -> str:
    return f"at most +{_number(row, 'allowed')}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _gib(megabytes: float) -> str:
    return f"{megabytes / GIB:.1f} GiB"
