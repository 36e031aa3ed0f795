"""The documents' table of what speed is aimed at, and what was measured of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evaluation.markdown import table
from evaluation.results import RESULTS, RefusedResult, load

Document = Mapping[str, Any]


def aims(folder: Path = RESULTS) -> str:
    """A row an aim, out of the results in ``folder``; one whose result is refused says so in place of a figure."""
    rows = [(what, aim, result, _measured(result, read, folder)) for what, aim, result, read in _AIMS]
    return f"\n{table(('what', 'aim', 'benchmark', 'measured'), rows)}\n"


def _measured(result: str, read: Callable[[Document], str], folder: Path) -> str:
    try:
        return read(load(result, folder))
    except RefusedResult as refused:
        return f"no figure: {refused}"


def _by_policy(policy: str) -> Callable[[Document], str]:
    return lambda document: f"{document['times_ffmpeg_null'][policy]:.2f} ×"


def _hour(document: Document) -> str:
    (hour,) = (row for row in document["costs"] if (row["kind"], row["seconds"]) == ("video", 3600))
    return f"{hour['times_a_minute']:.1f} ×"


def _against(*names: str) -> Callable[[Document], str]:
    def read(document: Document) -> str:
        rows = {row["name"]: row for row in document["contenders"]}
        ours = rows["veracity"]["seconds"]["median"]
        return ", ".join(
            f"`{name}` not counted"
            if rows[name]["refused"]
            else f"{rows[name]['seconds']['median'] / ours:.1f} × `{name}`"
            for name in names
        )

    return read


_AIMS: tuple[tuple[str, str, str, Callable[[Document], str]], ...] = (
    ("`starter`, 10 s 1080p clip, whole", "≤ 2.0 × ffmpeg's decode", "latency", _by_policy("exhaustive")),
    ("the same, stopped by the voice", "≤ 0.2 × ffmpeg's decode", "latency", _by_policy("fail_fast")),
    ("`bench`, whole: faster than", "4 × plain, 2 × FastAPI, 1.3 × the others", "peers_bench",
     _against("plain", "fastapi", "litserve", "ray_serve")),
    ("60-minute video beside the 60-second one", "≤ 3 ×", "long", _hour),
    ("cold start to ready", "≤ 6 s", "cold", lambda document: f"{document['ready_seconds']['median']:.1f} s"),
    ("memory of the idle server", "≤ 1200 MB", "cold", lambda document: f"{document['idle_mb']['median']:.0f} MB"),
)  # fmt: skip
