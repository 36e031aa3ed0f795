"""Robustness: the same clips after the codecs, scaling and bandwidth that media go through in practice."""

from __future__ import annotations

import argparse
import errno
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import accuracy
from evaluation import csv_report, page, record, report, runners, selection
from evaluation.aggregate import brief, counts, decided, refuse_unheard
from evaluation.outputs import ScoredOutput, scored_outputs
from veracity.calibrate.errors import ManifestError
from veracity.calibrate.scores import ScoredClip
from veracity.media import find_ffmpeg
from veracity_client.errors import BadVideo

HALF = "scale=trunc(iw/4)*2:trunc(ih/4)*2"
EVEN = "scale=trunc(iw/2)*2:trunc(ih/2)*2"  # H.264 with 4:2:0 needs even sides
JPEG = ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-color_range", "pc")
H264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
UNTOUCHED_PICTURE = ("-c:v", "copy")
UNTOUCHED_SOUND = ("-c:a", "pcm_s16le")  # sound that is copied into another container begins with its decoder's run-in
IN_TIME = ("-avoid_negative_ts", "disabled")  # else the copy is put off by the delay of its first frames


@dataclass(frozen=True)
class Condition:
    """A degradation: ffmpeg's arguments for video or for audio; the other stream is unchanged."""

    name: str
    what: str
    picture: tuple[str, ...] = ()
    sound: tuple[str, ...] = ()

    def touches(self, scored: ScoredClip) -> bool:
        """Whether a clip has the stream that this degrades."""
        return scored.error is None and ("video" if self.picture else "audio") in scored.tracks


CONDITIONS = (
    *(Condition(f"h264-{crf}", f"H.264, crf {crf}", ("-vf", EVEN, *H264, "-crf", str(crf))) for crf in (23, 32, 40)),
    Condition("half", "half the width and height, then H.264 without loss", ("-vf", HALF, *H264, "-qp", "0")),
    Condition("jpeg", "every frame a JPEG, ffmpeg's -q:v 12", ("-vf", EVEN, *JPEG, "-q:v", "12")),
    Condition("opus-24k", "Opus, 24 kbit/s", sound=("-c:a", "libopus", "-b:a", "24k")),
    Condition("8khz", "8 kHz, one channel", sound=("-c:a", "pcm_s16le", "-ar", "8000", "-ac", "1")),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    accuracy.add_arguments(parser)
    names = ",".join(condition.name for condition in CONDITIONS)
    parser.add_argument("--conditions", default=names, help="which of them, separated by commas")


def run(args: argparse.Namespace) -> int:
    """Measure as it is and under each condition that alters a clip, print a table, write JSON, CSV and page."""
    conditions = _chosen(args.conditions)
    settings, clips = accuracy.settings_of(args), selection.clips_of(args)
    ffmpeg, folder = find_ffmpeg(settings.ffmpeg), selection.root(args.manifest)
    with runners.open_runner(args.through, args.url, settings, args.threads) as runner:
        whole = runners.analyze_clips(clips, folder, runner, args.out / report.SCORES, title=report.AS_IT_IS)
        refuse_unheard(whole)
        of = scored_outputs(whole, runner.calibration)
        found = [_row(report.AS_IT_IS, "no change", 0, whole, of)]
        for condition in conditions:
            touched = {one.id for one in whole if condition.touches(one)}
            if not touched:
                sys.stderr.write(f"{condition.name} is left out: none of the clips has what it alters\n")
                continue
            with tempfile.TemporaryDirectory() as temporary:
                degrade = functools.partial(_spoil, ffmpeg, condition, Path(temporary) / "altered.mkv")
                own = replace(runner, fingerprint=f"{runner.fingerprint}, {condition.what}")
                some = [clip for clip in clips if clip.id in touched]
                score_file = args.out / f"scores-{condition.name}.jsonl"
                scored = {
                    one.id: one for one in runners.analyze_clips(some, folder, own, score_file, degrade, condition.name)
                }
            altered = [scored.get(one.id, one) for one in whole]
            found.append(_row(condition.name, condition.what, len(scored), altered, of))
    _write(found, whole, args)
    return 0


def _chosen(names: str) -> list[Condition]:
    known = {condition.name: condition for condition in CONDITIONS}
    asked = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := [name for name in asked if name not in known]:
        raise ManifestError(f"no condition {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in asked]


def _spoil(ffmpeg: Path, condition: Condition, target: Path, source: Path) -> Path:
    """Write the altered copy over the last one and return its path; raises BadVideo with ffmpeg's message.

    Raises ManifestError where the disk has no room for the copy: that is no fault of the clip's.
    """
    coded = (*(condition.picture or UNTOUCHED_PICTURE), *(condition.sound or UNTOUCHED_SOUND), *IN_TIME)
    reading = ("-nostdin", "-v", "error", "-y", "-fflags", "+genpts", "-i", str(source))
    command = [str(ffmpeg), *reading, "-map", "0:V:0?", "-map", "0:a?", *coded, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if os.strerror(errno.ENOSPC) in done.stderr:
        raise ManifestError(f"no room for an altered copy in {target.parent}: make some, or name another TMPDIR")
    if done.returncode:
        printed = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise BadVideo(f"no copy of it can be made ({condition.what}): {printed[-1].rpartition('] ')[2]}")
    return target


def _row(
    name: str, what: str, altered: int, scored: Sequence[ScoredClip], of: Sequence[ScoredOutput]
) -> dict[str, Any]:
    measured = {output.name: brief(output, scored) for output in of}
    errors = sum(one.error is not None for one in scored)
    return {"name": name, "what": what, "altered": altered, "errors": errors, "decided": decided(scored),
            "subjects": measured}  # fmt: skip


def _write(found: Sequence[dict[str, Any]], whole: Sequence[ScoredClip], args: argparse.Namespace) -> None:
    about = {"title": "What breaks it", "manifest": report.manifest(args, whole), "through": args.through}
    models = {name: sha for one in whole for name, sha in one.models.items()}
    seconds = round(sum(one.seconds or 0 for one in whole), 1)
    figures = {**about, "clips": counts(whole), "seconds": seconds, "models": models, "conditions": list(found)}
    document = record.document("robustness", figures)
    record.write_all({
        args.out / "robustness.json": record.text(document),
        args.out / "robustness.csv": csv_report.write({row["name"]: row["subjects"] for row in found}),
        args.out / "robustness.html": page.robustness(document),
    })  # fmt: skip
    show(found)
    sys.stderr.write(f"{args.out.resolve() / 'robustness.html'}; beside it robustness.json, robustness.csv\n")


def show(found: Sequence[dict[str, Any]]) -> None:
    """Print AUC with its interval, a row a condition."""
    names = list(found[0]["subjects"])
    table = Table(title="AUC", title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for name in ("", "clips", *(name.lstrip("1234_") for name in names), "undecided"):
        table.add_column(name, no_wrap=True)
    for row in found:
        cells = [(row["subjects"][name]["figures"] or {}).get("auc") for name in names]
        words = [f"{c['value']:.2f}\n{c['low']:.2f}–{c['high']:.2f}" if c else "–" for c in cells]
        table.add_row(
            row["name"],
            str(row["altered"]),
            *words,
            f"{row['decided']['inconclusive']['value']:.0%}",
        )
    Console().print(table)
