"""The documents' table of ``python -m benchmarks peers``: the product beside what else would serve its networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.markdown import NOTHING, Group, origin, table
from evaluation.results import load
from evaluation.tables import block


@block
def peers(profile: str) -> str:
    """Seconds of one video, and videos a minute, beside what the machine allows."""
    document = load(f"peers_{profile}")
    limit = document["limit"]
    parts = f"`ffmpeg -f null` {limit['ffmpeg_null_seconds']['median']:.2f} + networks {limit['networks_seconds']:.2f}"
    rows = [
        (f"the limit: {parts}", NOTHING, NOTHING, f"{limit['seconds']:.2f}", "1", NOTHING),
        *(_row(row, limit["seconds"]) for row in document["contenders"]),
    ]
    many = f"videos a minute, {document['clients']} at once" if document["clients"] else "videos at once were left out"
    head = ("", "start, s", "first video, s", "one video, s: median (range)", "× the limit", many)
    command = f"VERACITY_PROFILE={profile} python -m benchmarks peers"
    return f"{table(head, rows)}\n\n{_made_of(document)} {origin(document, command)}"


def _row(row: Group, limit: float) -> tuple[str, ...]:
    name, seconds = f"`{row['name']}`", row["seconds"]
    if row["refused"]:
        return (name, *4 * (NOTHING,), f"not counted: {row['refused']}")
    span = f"{seconds['median']:.2f} ({seconds['min']:.2f}–{seconds['max']:.2f})"
    many = f"{row['videos_per_minute']:.1f}" if "videos_per_minute" in row else NOTHING
    times = f"{seconds['median'] / limit:.1f}"
    return (name, f"{row['start_seconds']:.1f}", f"{row['first_seconds']:.2f}", span, times, many)


def _made_of(document: Mapping[str, Any]) -> str:
    limit, ran = document["limit"], document["peers_run"]
    work = sum(row["gflop"] for row in limit["networks"].values())
    by = {what: [f"`{model}`" for model in ran if ran[model] == what] for what in ran.values()}
    said = "; ".join(f"{what} for {', '.join(models)}" for what, models in by.items())
    versions = ", ".join(f"{name} {number}" for name, number in document["versions"].items())
    turns = f"{document['rounds']} rounds{', one contender after another' if document.get('apart') else ''}"
    return (
        f"Networks: {work:.0f} GFLOP, at the GEMM's {limit['gemm_gflop_per_second']['median']:.0f} GFLOP/s. "
        f"The peers ran {said}. {turns}. {versions}."
    )
