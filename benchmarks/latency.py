"""How long one clip takes on a warm server, beside what ffmpeg needs to decode it, in one run.

Every round measures ffmpeg's decode to null and then each policy, so that a machine whose speed drifts drifts for all.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.target import clip_of, decode_to_null, messenger_clip, timed
from evaluation import record
from evaluation.servers import server_at
from veracity_client import Detector, Options, VeracityError, Verdict
from veracity_client.verdict import Policy

POLICIES: tuple[Policy, ...] = ("fail_fast", "decided", "exhaustive")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--clip", type=Path, help="a video; without it a 10 s 1080p clip with speech and a face is made"
    )
    parser.add_argument("--url", help="a server that runs; without it one is started")
    parser.add_argument("--rounds", type=int, default=7)


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write ``results/latency.json``."""
    clip, messenger = clip_of(args.clip), None if args.clip else messenger_clip()
    with server_at(args.url) as url, Detector(url) as detector:
        for policy in POLICIES:
            detector.analyze(clip, Options(policy=policy))  # warm
        rounds = [_round(detector, clip, messenger) for _ in range(args.rounds)]
    if "frames" in rounds[-1]["fail_fast_verdict"].timings:
        raise VeracityError("the voice of this clip does not stop fail_fast, so that nothing of it would be measured")
    figures = _figures(clip, rounds)
    _print(figures)
    sys.stderr.write(f"written to {record.write('latency', figures)}\n")
    return 0


def _round(detector: Detector, clip: Path, messenger: Path | None) -> dict[str, Any]:
    decode, _ = timed(lambda: decode_to_null(clip))
    measured: dict[str, Any] = {"ffmpeg_null": decode}
    for policy in POLICIES:
        seconds, verdict = timed(lambda policy=policy: detector.analyze(clip, Options(policy=policy)))  # type: ignore[misc]
        measured[policy] = seconds
        measured[f"{policy}_verdict"] = verdict
    if messenger is not None:
        measured["messenger"], _ = timed(lambda: detector.analyze(messenger, Options(policy="exhaustive")))
    return measured


def _figures(clip: Path, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    def spread(name: str) -> dict[str, float]:
        values = [r[name] for r in rounds]
        return {
            "min": round(min(values), 3),
            "median": round(statistics.median(values), 3),
            "max": round(max(values), 3),
        }

    ratios = {p: round(statistics.median(r[p] / r["ffmpeg_null"] for r in rounds), 2) for p in POLICIES}
    verdicts: dict[str, Verdict] = {p: rounds[-1][f"{p}_verdict"] for p in POLICIES}
    return {
        "clip": {"bytes": clip.stat().st_size, "seconds": verdicts["fail_fast"].input.seconds,
                 "resolution": verdicts["fail_fast"].input.resolution},
        "rounds": len(rounds),
        "profile": verdicts["exhaustive"].profile.name,
        "models": {m.name: m.sha256 for r in verdicts["exhaustive"].layer_results.values() for m in r.models},
        "ffmpeg_null_seconds": spread("ffmpeg_null"),
        "seconds": {p: spread(p) for p in POLICIES},
        **({"messenger_seconds": spread("messenger")} if "messenger" in rounds[-1] else {}),
        "times_ffmpeg_null": ratios,
        "stages": {p: _stages([r[f"{p}_verdict"] for r in rounds]) for p in POLICIES},
        "answers": {p: _answer(v) for p, v in verdicts.items()},
    }  # fmt: skip


def _stages(verdicts: list[Verdict]) -> dict[str, float]:
    names = verdicts[0].timings
    return {name: round(statistics.median(v.timings[name] for v in verdicts), 3) for name in names}


def _answer(verdict: Verdict) -> dict[str, Any]:
    layers = {key: result.status for key, result in verdict.layer_results.items()}
    return {"label": verdict.label, "fake_probability": verdict.fake_probability, "layers": layers}


def _print(figures: dict[str, Any]) -> None:
    table = Table(
        "", "min s", "median s", "max s", "× ffmpeg null", "scored", title="latency of one clip", title_justify="left"
    )
    null = figures["ffmpeg_null_seconds"]
    table.add_row("ffmpeg -f null", *(f"{null[k]:.3f}" for k in ("min", "median", "max")), "1.00", "")
    for policy, row in figures["seconds"].items():
        scored = sum(s == "scored" for s in figures["answers"][policy]["layers"].values())
        values = [f"{row[k]:.3f}" for k in ("min", "median", "max")]
        table.add_row(policy, *values, f"{figures['times_ffmpeg_null'][policy]:.2f}", f"{scored} of 4 layers")
    if "messenger_seconds" in figures:
        values = [f"{figures['messenger_seconds'][k]:.3f}" for k in ("min", "median", "max")]
        table.add_row("exhaustive, from a messenger", *values, "", "")
    console = Console()
    console.print(table)
    for policy, stages in figures["stages"].items():
        console.print(f"{policy}: " + ", ".join(f"{name} {seconds:.3f}" for name, seconds in stages.items()))
