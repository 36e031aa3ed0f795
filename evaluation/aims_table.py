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


def _messenger(document: Document) -> str:
    if "messenger_seconds" not in document:
        return "not measured: `--clip` named another"
    return f"{document['messenger_seconds']['median']:.1f} s"


def _at_once(document: Document) -> str:
    """Decoding takes most; what it alone would allow is the bound, and the stages share the cores."""
    whole = document["policies"]["exhaustive"]
    decode = next(part for part in whole["parts"] if part["what"] == "decode")
    return f"at most {decode['share']:.2f}: decoding and networks share the cores"


def _orchestration(document: Document) -> str:
    parts = document["policies"]["exhaustive"]["parts"]
    return f"{next(part for part in parts if part['what'] == 'orchestration')['cpu_seconds']['median'] * 1000:.0f} ms"


def _peak(document: Document) -> str:
    return f"{next(level for level in document['levels'] if level['what'].startswith('4 × 1080p'))['peak_mb']} MB"


_AIMS: tuple[tuple[str, str, str, Callable[[Document], str]], ...] = (
    ("`starter`, 10 s 1080p clip, whole", "≤ 2.0 × ffmpeg's decode", "latency", _by_policy("exhaustive")),
    ("the same, stopped by the voice", "≤ 0.2 × ffmpeg's decode", "latency", _by_policy("fail_fast")),
    ("10 s of 720p as a messenger sends it, whole", "≤ 2.0 s", "latency", _messenger),
    ("`starter`, 8 clients, beside what the slowest stage alone allows", "≥ 0.8", "layers", _at_once),
    ("orchestration: all but decoding and networks", "≤ 60 ms", "layers", _orchestration),
    ("`bench`, whole: faster than", "4 × plain, 2 × FastAPI, 1.3 × the others", "peers_bench",
     _against("plain", "fastapi", "litserve", "ray_serve")),
    ("60-minute video beside the 60-second one", "≤ 3 ×", "long", _hour),
    ("cold start to ready", "≤ 6 s", "cold", lambda document: f"{document['ready_seconds']['median']:.1f} s"),
    ("memory of the idle server", "≤ 1200 MB", "cold", lambda document: f"{document['idle_mb']['median']:.0f} MB"),
    ("memory at its peak, 4 × 1080p at once", "≤ 2500 MB", "memory", _peak),
)  # fmt: skip
