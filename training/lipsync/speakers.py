"""`python -m training speakers`: how often speech is linked to the face that speaks, in films of two real people.

Every person who speaks stands beside one who does not and beside another who does, whose own sound is left out; the
sides change. Each film goes through the product. The first sources are those that the rule was made on.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from evaluation.manifest import Clip, read_clips
from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import observe
from veracity.calibrate.errors import ManifestError
from veracity.catalog import SPEAKER
from veracity.media import Source, find_ffmpeg
from veracity.settings import Settings
from veracity_client.explanation import HeardFace
from veracity_client.verdict import Options, Verdict

# parts of the names of real films: of people whose voice is heard, and of people who do not speak
SPEAK: Mapping[str, Sequence[str]] = {
    "first": ("LipNet__", "driving__d10.", "driving__d11.", "driving__d12.", "driving__d20.", "driving__d6."),
    "second": ("LatentSync__", "Thin-Plate-Spline", "__video_8s.", "__0907_1_.", "Syncnet_FCN__data__example."),
}
SILENT: Mapping[str, Sequence[str]] = {
    "first": ("driving__d3.", "driving__d14.", "driving__d18."),
    "second": ("WolfgangLanger_Pexels__a.", "asl_gestures__book."),
}
SECONDS = 6  # of a film at most
SIDE = 320  # pixels of the middle square that is shown of each
ASKED = Options(policy="exhaustive", explain=True, layers=("audio", "lipsync"))
OUTCOMES = ("right", "wrong", "speaker_unclear", "nobody_speaks")


def run(options: argparse.Namespace) -> None:
    """Print a line for each half of the sources and each kind of companion; raises ManifestError."""
    settings = Settings.from_env()
    infer = LocalInfer(settings.model_repository, threads=options.threads)
    if infer.state(SPEAKER.name) != "ready":
        raise ManifestError(f"{SPEAKER.name} is not installed: python -m export {SPEAKER.name}")
    context = AnalysisContext.from_settings(settings)
    films = [clip for clip in read_clips(options.data) if not clip.fake]
    for half, parts in SPEAK.items():
        talkers, silent = _named(films, parts), _named(films, SILENT[half])
        if len(talkers) < 2 or not silent:
            raise ManifestError(f"{options.data} has not the films of the {half} half")
        beside = {
            "one who is silent": [silent[k % len(silent)] for k in range(len(talkers))],
            "one who talks": [talkers[(k + len(talkers) // 2) % len(talkers)] for k in range(len(talkers))],
        }
        for what, companions in beside.items():
            counts: Counter[str] = Counter()
            pairs = enumerate(zip(talkers, companions))
            for k, (speaks, other) in tqdm(list(pairs), f"{half}, {what}", disable=None):
                counts.update(_outcomes(speaks, other, k % 2 == 0, infer, context))
            said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
            sys.stdout.write(f"{half} half, beside {what}: {len(talkers)} films, {counts.total()} seconds: {said}\n")


def _named(films: Sequence[Clip], parts: Sequence[str]) -> list[Clip]:
    return [clip for clip in films if any(part in clip.path.name for part in parts)]


def _outcomes(speaks: Clip, other: Clip, left: bool, infer: LocalInfer, context: AnalysisContext) -> list[str]:
    """Return an outcome for each second of speech of a film of two people, the one who is heard on one side."""
    with tempfile.TemporaryDirectory(prefix="veracity-speakers-") as folder:
        film = Path(folder, "two.mp4")
        _compose(film, (speaks, other) if left else (other, speaks), 0 if left else 1, context.settings.ffmpeg)
        verdict = asyncio.run(observe(Source(film), infer, ASKED, context)).verdict
    found = verdict.explanation and verdict.explanation.speakers
    return [_outcome(heard, verdict, left) for heard in found.heard_face] if found else []


def _outcome(heard: HeardFace, verdict: Verdict, left: bool) -> str:
    if heard.face is None:
        return heard.reason.code if heard.reason else "nobody_speaks"
    (x0, _, x1, _) = next(face.boxes[0].box for face in verdict.faces if face.id == heard.face)
    return "right" if ((x0 + x1) / 2 < SIDE) == left else "wrong"


def _compose(film: Path, sides: Sequence[Clip], sound: int, ffmpeg: Path | None) -> None:
    """Write two films side by side, as long as the shorter, with the sound of one. Raises ManifestError."""
    inputs = [word for clip in sides for word in ("-i", str(clip.path))]
    half = f"fps=25,scale={SIDE}:{SIDE}:force_original_aspect_ratio=increase,crop={SIDE}:{SIDE}"
    graph = f"[0:v]{half}[left];[1:v]{half}[right];[left][right]hstack=shortest=1[both]"
    command = [str(find_ffmpeg(ffmpeg)), "-v", "error", "-nostdin", "-y", *inputs, "-filter_complex", graph]
    command += ["-map", "[both]", "-map", f"{sound}:a", "-t", str(SECONDS), "-shortest"]
    command += [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-crf",
        "20",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        str(film),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ManifestError(f"ffmpeg cannot join {sides[0].id} and {sides[1].id}: {done.stderr.strip()}")
