"""What reading a clip costs before any network: ffmpeg's decode to null, then our frames, our sound and our probe.

Every other round goes backwards. The programs that decode are counted with this process.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from benchmarks.costs import Cost, in_rounds, measured, spread
from benchmarks.printing import show
from benchmarks.target import clip_of, installed, messenger_clip
from evaluation import record
from veracity.evidence.excerpts import Excerpt, FaceInFrame, FaceRun, WholeFrame
from veracity.evidence.sampling import plan
from veracity.evidence.sound import read_sound
from veracity.media import Limits, Media, Source, find_ffmpeg

PICTURES: Collection[type[Excerpt]] = (FaceInFrame, WholeFrame)
NULL = "ffmpeg to null"
FULL_HD, MESSENGER = "10 s of 1080p, 6 Mbit/s", "10 s of 720p as a messenger sends it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--clip", type=Path, help="a video in place of the two that are made")
    parser.add_argument("--rounds", type=int, default=7)


def run(args: argparse.Namespace) -> int:
    """Measure, print a table a clip, write ``results/decode.json``."""
    clips = {args.clip.name: args.clip} if args.clip else {FULL_HD: clip_of(None), MESSENGER: messenger_clip()}
    figures = {name: measure(clip, args.rounds) for name, clip in clips.items()}
    for name, found in figures.items():
        show(name, [_row(step) for step in found["steps"]])
    written = record.write("decode", {"rounds": args.rounds, **installed(), "clips": figures})
    sys.stderr.write(f"written to {written}\n")
    return 0


def measure(clip: Path, rounds: int) -> dict[str, Any]:
    """Return the figures of one clip."""
    costs: dict[str, list[Cost]] = {name: [] for name in STEPS}
    counts: dict[str, int] = {}

    def work(name: str) -> None:
        cost, counts[name] = asyncio.run(_step(clip, STEPS[name]))
        costs[name].append(cost)

    in_rounds(list(STEPS), 1, work)  # warm
    costs |= {name: [] for name in STEPS}
    in_rounds(list(STEPS), rounds, work)
    steps = [
        {"what": name, "count": counts[name], "wall_seconds": spread([cost.wall for cost in costs[name]]),
         "cpu_seconds": spread([cost.cpu for cost in costs[name]])}
        for name in STEPS
    ]  # fmt: skip
    return {"bytes": clip.stat().st_size, "steps": steps}


Step = Callable[[Media, Path], Awaitable[int]]


async def _step(clip: Path, step: Step) -> tuple[Cost, int]:
    """Open the clip anew and take one step; all but the probe itself find the file probed."""
    async with Media.opened(Source(clip), Limits()) as media:
        if step is not _probe:
            await media.probe()
        with measured() as cost:
            count = await step(media, clip)
    return cost, count


async def _to_null(_media: Media, clip: Path) -> int:
    """Let ffmpeg decode pictures and sound, and drop them; returns nothing of them."""
    command = [str(find_ffmpeg(None)), "-nostdin", "-v", "error", "-i", str(clip), "-f", "null", "-"]
    subprocess.run(command, check=True)  # noqa: ASYNC221, nothing else is under way
    return 0


async def _probe(media: Media, _clip: Path) -> int:
    found = await media.probe()
    return len(found.audio) + bool(found.video)


async def _sound(media: Media, _clip: Path) -> int:
    return sum(len(sound.samples) for sound in await read_sound(media))


async def _pictures(media: Media, _clip: Path) -> int:
    return await _frames(media, PICTURES)


async def _with_mouths(media: Media, _clip: Path) -> int:
    return await _frames(media, (*PICTURES, FaceRun))


async def _frames(media: Media, excerpts: Collection[type[Excerpt]]) -> int:
    """Read the frames that an analysis of these excerpts takes, and return how many came."""
    indices = plan(await media.video_seconds(), excerpts).frame_indices
    return len([frame.index async for frame in media.frames(indices)])


STEPS: Mapping[str, Step] = {
    NULL: _to_null,
    "frames for faces and pictures": _pictures,
    "frames with mouths": _with_mouths,
    "sound": _sound,
    "probe": _probe,
}


def _row(step: Mapping[str, Any]) -> dict[str, Any]:
    seconds = {
        f"{kind} {part}": step[f"{kind}_seconds"][part] for kind in ("wall", "cpu") for part in ("median", "max")
    }
    return {"": step["what"], "count": step["count"], **seconds}
