"""Long files: what time and memory a minute, ten and an hour take, and whether a fake minute in a real hour is found.

Each hour is real speech of a manifest with a minute of one maker's voices in it, and beside it one with a minute of a
real voice. Everything runs in this process, which holds the models too: its memory counts from where a minute of video
has left it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from tqdm import tqdm

from benchmarks.printing import show
from benchmarks.target import installed
from evaluation import record
from evaluation.manifest import Clip, read_clips
from evaluation.selection import of_split
from evaluation.splicing import Pcm, Spliced, splice
from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.calibrate.errors import ManifestError
from veracity.catalog.assets import PORTRAIT_FILE
from veracity.catalog.layers import SAMPLE_RATE
from veracity.media import Media, Source, find_ffmpeg
from veracity.sample import Clip as Film
from veracity.sample import make_sample
from veracity.settings import Settings
from veracity_client import Options, Verdict

MB = 10**6
LENGTHS = (60, 600, 3600)  # seconds
PART = 60  # seconds of the other voice
FILM = Film(1280, 720, 60.0, 330_000)  # an hour of it can be sent
BUDGET_BYTES = 1_500 * MB
TIMES_A_MINUTE = 3.0  # what an hour of video may take
SHORTEST = 1.0  # seconds of a recording
TOP = 3  # windows that a person would listen to
RESET_PEAK = "5"  # proc(5), clear_refs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--manifest", type=Path, required=True, help="a folder with manifest.csv, or a CSV")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test", "not-test", "all"))
    parser.add_argument("--makers", type=int, default=8, help="of fake voices, an hour each, and as many real hours")
    parser.add_argument("--rounds", type=int, default=3, help="of time and memory; the median counts")


def run(args: argparse.Namespace) -> int:
    """Measure, print tables, write ``results/long.json``; returns 1 where a bound was exceeded."""
    context = AnalysisContext.from_settings(Settings.from_env())
    infer = LocalInfer(context.settings.model_repository)
    clips = of_split(read_clips(args.manifest, ("audio",)), args.split)
    real = [sound for clip in clips if not clip.fake if len(sound := _read(clip, context)) >= SHORTEST * SAMPLE_RATE]
    if len(real) < 2:
        raise ManifestError(f"{args.manifest}, split {args.split}: {len(real)} recordings of real speech; wanted are 2")
    with tempfile.TemporaryDirectory(prefix="veracity-") as folder:
        costs = _costs(context, infer, _speech(real, 0, max(LENGTHS)), Path(folder), args.rounds)
        hours = [
            _find(context, infer, name, hour, Path(folder) / "hour.flac")
            for name, hour in tqdm(_hours(clips, real, context, args.makers), "hours", 2 * args.makers, disable=None)
        ]
    show("what a length takes", costs)
    show(f"a minute of another voice in an hour of {len(real)} real recordings", hours)
    figures = {**installed(), "recordings": len(real), "costs": costs, "hours": hours}
    sys.stderr.write(f"written to {record.write('long', figures)}\n")
    return int(any(row["broken"] for row in costs))


def _read(clip: Clip, context: AnalysisContext) -> Pcm:
    """Return a clip from the first word to the last."""

    async def decode() -> Pcm:
        async with Media.opened(Source(clip.path), context.limits, context.ffmpeg) as media:
            return await media.audio()

    sound = asyncio.run(decode())
    spans = context.vad(sound)
    return sound[round(spans[0][0] * SAMPLE_RATE) : round(spans[-1][1] * SAMPLE_RATE)] if spans else sound[:0]


def _speech(real: Sequence[Pcm], seed: int, seconds: float) -> list[Pcm]:
    """Return recordings of so many seconds in an order of chance, again from the first where they are too few."""
    rng, order, total = np.random.default_rng(seed), [], 0
    while total < seconds * SAMPLE_RATE:
        for k in rng.permutation(len(real)):
            order.append(real[k])
            total += len(real[k])
    return order


def _hours(
    clips: Sequence[Clip], real: Sequence[Pcm], context: AnalysisContext, makers: int
) -> Iterator[tuple[str, Spliced]]:
    """Yield an hour with a minute of each maker, those with the most clips first, and as many of real voices."""
    fakes = defaultdict(list)
    for clip in clips:
        if clip.fake:
            fakes[clip.maker or clip.source].append(clip)
    for seed, maker in enumerate(sorted(fakes, key=lambda name: (-len(fakes[name]), name))[:makers]):
        place = float(np.random.default_rng(seed).uniform(0.05, 0.95))
        voices = [sound for clip in fakes[maker] if len(sound := _read(clip, context))]
        another = real[seed * len(real) // makers]
        for name, of in ((maker, voices), ("real", [another])):
            minute = np.resize(np.concatenate(of), PART * SAMPLE_RATE)
            hour = splice(_speech(real, seed, max(LENGTHS)), minute, max(LENGTHS) * 0.9, place)  # pauses come on top
            yield name, hour


def _find(context: AnalysisContext, infer: LocalInfer, name: str, hour: Spliced, file: Path) -> dict[str, Any]:
    soundfile.write(file, hour.sound[: max(LENGTHS) * SAMPLE_RATE], SAMPLE_RATE)
    verdict = _ask(context, infer, file)
    spans = sorted(verdict.timeline["1_audio"], key=lambda span: -span.score)
    inside = [k for k, span in enumerate(spans, 1) if span.start < hour.end and hour.start < span.end]
    why = verdict.inconclusive_reason
    return {
        "maker": name,
        "from_second": round(hour.start),
        "windows": len(spans),
        "in_the_minute": len(inside),
        "best_rank": inside[0] if inside else 0,
        "among_the_top": bool(inside) and inside[0] <= TOP,
        "highest": spans[0].score,
        "highest_in_the_minute": spans[inside[0] - 1].score if inside else None,
        "fake_probability": verdict.fake_probability,
        "label": verdict.label,
        "reason": why.code if why else "",
    }


def _costs(
    context: AnalysisContext, infer: LocalInfer, speech: Sequence[Pcm], folder: Path, rounds: int
) -> list[dict[str, Any]]:
    files = dict(_files(context, np.concatenate(speech), folder))
    _ask(context, infer, files["video", min(LENGTHS)])  # warm
    idle = _memory("VmRSS")
    measured: Mapping[tuple[str, int], list[tuple[float, float, int]]] = defaultdict(list)
    for _ in range(rounds):
        for key, file in files.items():
            measured[key].append(_cost(context, infer, file))
    rows = []
    for (kind, seconds), found in measured.items():
        wall, cpu, peak = (float(np.median(values)) for values in zip(*found))
        minute = np.median(measured[kind, min(LENGTHS)], axis=0)
        row = {"kind": kind, "seconds": seconds, "wall_seconds": round(wall, 2), "cpu_seconds": round(cpu, 2)}
        times = wall / minute[0]
        wrong = [f"{kind} of {seconds} s: {(peak - idle) / MB:.0f} MB"] if peak - idle > BUDGET_BYTES else []
        if kind == "video" and times > TIMES_A_MINUTE:
            wrong.append(f"{kind} of {seconds} s: {times:.1f} times a minute's time")
        row |= {"times_a_minute": round(times, 2), "times_its_cpu": round(cpu / minute[1], 2)}
        rows.append(row | {"grown_mb": round(max(0.0, peak - idle) / MB), "broken": wrong})
    return rows


def _cost(context: AnalysisContext, infer: LocalInfer, file: Path) -> tuple[float, float, int]:
    """Return seconds, processor seconds with the decoders', and the peak of this process's memory."""
    Path("/proc/self/clear_refs").write_text(RESET_PEAK)
    wall, cpu = time.monotonic(), _processor()
    _ask(context, infer, file)
    return time.monotonic() - wall, _processor() - cpu, _memory("VmHWM")


def _ask(context: AnalysisContext, infer: LocalInfer, file: Path) -> Verdict:
    return asyncio.run(analyze(Source(file), infer, Options(policy="exhaustive", deadline_seconds=3600), context))


def _files(context: AnalysisContext, sound: Pcm, folder: Path) -> Iterator[tuple[tuple[str, int], Path]]:
    """Make a sound file and a film of each length: a portrait that moves for a minute, again and again."""
    settings = context.settings
    minute = make_sample(folder / "minute.mp4", settings.weights / PORTRAIT_FILE, find_ffmpeg(settings.ffmpeg), FILM)
    for seconds in LENGTHS:
        voice, film = folder / f"{seconds}.wav", folder / f"{seconds}.mp4"
        soundfile.write(voice, sound[: seconds * SAMPLE_RATE], SAMPLE_RATE)
        pictures = ["-stream_loop", "-1", "-i", str(minute), "-i", str(voice), "-map", "0:v", "-map", "1:a"]
        coded = ["-c:v", "copy", "-c:a", "aac", "-b:a", "64k", "-t", f"{seconds}", "-movflags", "+faststart"]
        subprocess.run([str(context.ffmpeg), "-v", "error", "-nostdin", *pictures, *coded, str(film)], check=True)
        yield ("sound", seconds), voice
        yield ("video", seconds), film


def _processor() -> float:
    children, own = resource.getrusage(resource.RUSAGE_CHILDREN), os.times()
    return own.user + own.system + children.ru_utime + children.ru_stime


def _memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))
