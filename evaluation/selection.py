"""Which clips of a manifest are measured, by the options of a command line."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from evaluation.manifest import Clip, read_clips
from veracity.calibrate.errors import ManifestError

KINDS = ("video", "audio", "images")  # the engine takes sound alone and a still picture as they are


def add_options(parser: argparse.ArgumentParser, out: Path) -> None:
    """Declare the options that select clips, and the output folder."""
    parser.add_argument("--manifest", type=Path, required=True,
                        help="a folder with manifest.csv, a CSV video_id,label,split,path, or a folder "
                        "train|val|test/<id>/video.mp4 with meta.json")  # fmt: skip
    parser.add_argument("--split", default="test", choices=("train", "validation", "test", "not-test", "all"))
    parser.add_argument("--kinds", default=",".join(KINDS), help="of clips, separated by commas")
    parser.add_argument("--limit", type=int, default=0, help="clips of a source and label at most; 0: all")
    parser.add_argument("--threads", type=int, default=0, help="of a model in this process; 0: as many as there are")
    parser.add_argument("--out", type=Path, default=out, help="folder of the results and the scores of each clip")


def clips_of(args: argparse.Namespace) -> list[Clip]:
    """The clips that the options select; raises ManifestError."""
    return choose_clips(args.manifest, args.split, kinds_of(args), args.limit)


def kinds_of(args: argparse.Namespace) -> list[str]:
    """The kinds of clips of ``--kinds``; raises ManifestError for an unknown one."""
    kinds = [kind.strip() for kind in str(args.kinds).split(",")]
    if unknown := set(kinds) - set(KINDS):
        raise ManifestError(f"--kinds knows {', '.join(KINDS)}, not {', '.join(sorted(unknown))}")
    return kinds


def choose_clips(manifest: Path, split: str, kinds: Sequence[str], limit: int = 0) -> list[Clip]:
    """The clips to measure on, at most ``limit`` per source and label; raises ManifestError for one label alone."""
    clips = of_split(read_clips(manifest, kinds), split)
    of_both_labels(clips, f"{manifest}, split {split}, {', '.join(kinds)}")
    return at_most(clips, limit, manifest)


def at_most(clips: Sequence[Clip], limit: int, manifest: Path) -> list[Clip]:
    """The first ``limit`` of each source and label, 0 for all; raises ManifestError where a name is there twice."""
    ids = [clip.id for clip in clips]
    if len(set(ids)) < len(ids):
        raise ManifestError(f"{manifest} names {max(ids, key=ids.count)!r} more than once")
    seen: Counter[tuple[str, str]] = Counter()
    kept = []
    for clip in clips:
        seen[clip.source, clip.label] += 1
        if not limit or seen[clip.source, clip.label] <= limit:
            kept.append(clip)
    return kept


def of_split(clips: Sequence[Clip], split: str) -> list[Clip]:
    """The clips of a split of ``--split``; ``not-test`` is train and validation."""
    wanted = {"all": ("train", "validation", "test"), "not-test": ("train", "validation")}.get(split, (split,))
    return [clip for clip in clips if clip.split in wanted]


def of_both_labels(clips: Sequence[Clip], where: str) -> None:
    """Raises ManifestError, which says ``where``, unless there are real clips and fake ones."""
    labels = {clip.label for clip in clips}
    if labels != {"real", "fake"}:
        what = f"all {len(clips)} clips are {labels.pop()}" if labels else "there is no clip"
        raise ManifestError(f"{where}: {what}; measuring needs real and fake ones")


def root(manifest: Path) -> Path:
    """The folder that a manifest's paths start from."""
    return manifest if manifest.is_dir() else manifest.parent
