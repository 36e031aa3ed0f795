"""`python -m training splice`: real speech with a few fake seconds in it, to measure whether those seconds are found.

Every fake voice of a part goes into speech of one real source, between two of its recordings, at their level. Beside
it stands the same with another real voice in its place: a voice that changes is not fake for that.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import soundfile
from tqdm import tqdm

from evaluation.manifest import Clip, read_clips
from evaluation.splicing import splice
from training.cache import list_made, room_for
from training.sound import Pcm, load, load_vad, trim
from veracity.calibrate.errors import ManifestError
from veracity.catalog.layers import SAMPLE_RATE
from veracity.install.files import atomic

WHOLE = 20.0  # seconds of real speech, at least
PART = (1.5, 6.0)  # seconds of the other voice, at least and at most

Speech = Mapping[str, Sequence[Pcm]]  # of each source, its recordings from the first word to the last


def run(options: argparse.Namespace) -> None:
    """Write the sounds of ``options.split`` and their manifest.csv to ``options.out``; raises ManifestError."""
    clips = [clip for clip in read_clips(options.data, ("audio",)) if clip.split == options.split]
    vad = load_vad(options)
    heard = {clip.id: trim(load(clip.path), vad) for clip in tqdm(clips, "speech", disable=None)}
    speech = _enough({clip.source for clip in clips if not clip.fake}, clips, heard)
    if len(speech) < 2:
        raise ManifestError(f"{options.data} has {len(speech)} sources with {WHOLE:g} s of real speech; wanted are two")
    options.out.mkdir(parents=True, exist_ok=True)
    rows = [row for clip in clips if clip.fake for row in _both(clip, heard[clip.id], speech, options)]
    if not rows:
        raise ManifestError(f"{options.data} has no fake voice of {PART[0]:g} s in the split {options.split}")
    list_made(rows, options.out / "manifest.csv")
    sys.stdout.write(f"{len(rows)} sounds in {options.out}\n")


def _enough(sources: set[str], clips: Sequence[Clip], heard: Mapping[str, Pcm]) -> Speech:
    """The sources that speak for long enough."""
    found: dict[str, list[Pcm]] = defaultdict(list)
    for clip in clips:
        if clip.source in sources and not clip.fake and len(heard[clip.id]):
            found[clip.source].append(heard[clip.id])
    long = WHOLE * SAMPLE_RATE
    return {source: of for source, of in sorted(found.items()) if len(of) > 1 and sum(map(len, of)) >= long}


def _both(clip: Clip, voice: Pcm, speech: Speech, options: argparse.Namespace) -> Iterator[dict[str, str]]:
    """The fake voice in real speech, and another real one in the same place."""
    if len(voice) < PART[0] * SAMPLE_RATE:
        return
    rng = np.random.default_rng(zlib.crc32(clip.id.encode()))
    name, other = (str(one) for one in rng.choice(sorted(speech), 2, replace=False))
    pieces = [speech[name][k] for k in rng.permutation(len(speech[name]))]
    another = max(speech[other], key=len)
    for label, part in (("fake", voice), ("real", another)):
        made = splice(pieces, part[: min(len(voice), int(PART[1] * SAMPLE_RATE))], WHOLE)
        path = options.out / f"{zlib.crc32(clip.id.encode()):08x}.{label}.flac"
        with room_for(path), atomic(path) as file:
            soundfile.write(file, made.sound, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        yield {
            "path": path.name,
            "kind": "audio",
            "label": label,
            "how": f"{clip.how}, spliced into real speech" if label == "fake" else "",
            "source": name,
            "licence": "as its parts",
            "use": "test_only" if options.split == "test" else "train_only",
            "split": "development" if options.split == "validation" else options.split,
            "notes": f"source:{name}",
            "maker": clip.maker if label == "fake" else "",
            "fake_seconds": f"{made.start:.3f}-{made.end:.3f}" if label == "fake" else "",
        }
