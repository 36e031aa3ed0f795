"""What ``veracity calibrate`` does: analyse the clips that were not analysed yet, fit, write."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import observe
from veracity.calibrate import scores, toml_tables
from veracity.calibrate.job import Job, calibrate
from veracity.calibrate.labelled_clips import FolderClip, read_clips
from veracity.calibrate.labelled_outputs import TrainedOn, read
from veracity.calibrate.scores import ScoredClip, ScoreFile
from veracity.catalog import provenance
from veracity.catalog.profiles import children, choose
from veracity.decision.calibration import FILE
from veracity.drift import reference
from veracity.media import Source
from veracity.settings import Settings
from veracity_client.errors import AnalysisTimeout, BadVideo, InternalError, LimitExceeded
from veracity_client.verdict import InputInfo, Options

SCORES_SUFFIX = ".scores.jsonl"
DEADLINE_SECONDS = 1800.0  # for one clip
CLIP_ERRORS = (BadVideo, LimitExceeded, AnalysisTimeout, InternalError)  # the next clip may do better
STILL_SECONDS = 0.05  # a picture is a film of one frame at 25 fps


def run(args: argparse.Namespace) -> Iterator[str]:
    """Yield a line a table that was written, and how to use them. Raises :class:`ManifestError`."""
    settings = Settings.from_env()
    base = args.out if args.out.is_file() else settings.calibration or FILE
    before = toml_tables.present(base)
    files = [path for path in args.data if path.suffix == ".jsonl"]
    clips = [clip for path in args.data if path.suffix != ".jsonl" for clip in read_clips(path)]
    own = score(clips, settings, args.scores or args.out.with_suffix(SCORES_SUFFIX)) if clips else []
    trained_on = [TrainedOn.parsed(text) for text in args.trained_on]
    job = Job(
        rows=read(files, () if args.allow_test else ("test",), trained_on, own),
        tested=read(args.test, ("train", "validation")) if args.test else [],
        profile=settings.profile,
        models={
            layer: [name for name, _ in models] for layer, models in choose(settings.profile, settings.models).items()
        },
        date=datetime.datetime.now(tz=datetime.timezone.utc).date(),
        before=before,
        repository=settings.model_repository,
    )
    done = calibrate(job)
    tables = done.tables
    toml_tables.replace(args.out, tables, base)
    kept = reference.write(args.out, job.profile, job.date.isoformat(), done.references, base)
    yield from (f"[{name}] {_line(values)}\n" for name, values in tables.items())
    if not any(name.startswith(f"profiles.{job.profile}.fusion.") for name in tables):
        yield _without_fusion(job)
    yield f"{kept}: what these clips were like, for `veracity drift`\n"
    if args.out.resolve() != FILE.resolve():
        yield f"use it with VERACITY_CALIBRATION={args.out.resolve()}\n"


def score(clips: Sequence[FolderClip], settings: Settings, target: Path) -> list[ScoredClip]:
    """Return every layer's outputs for the clips, labelled as they are now; ``target`` keeps them for the next run."""
    context = AnalysisContext.from_settings(settings)
    infer, by = LocalInfer(settings.model_repository), _fingerprint(settings)
    known = {name: scored for name, scored in scores.read(target, by).items() if scored.error is None}
    left = [clip for clip in clips if clip.id not in known]
    options = Options(policy="exhaustive", deadline_seconds=DEADLINE_SECONDS)
    with ScoreFile(target) as file, Progress(console=Console(stderr=True)) as progress:
        for clip in progress.track(left, description="analysing"):
            try:
                seen = asyncio.run(observe(Source(clip.path), infer, options, context))
                kind = _kind(seen.verdict.input)
                scored = ScoredClip.of_verdict(replace(clip, kind=kind), Path("/"), by, seen.verdict, seen.outputs)
            except CLIP_ERRORS as error:
                progress.console.print(f"{clip.path}: {error.to_wire()}", markup=False)
                scored = ScoredClip.of_error(clip, Path("/"), by, error)
            file.add(scored)
            known[clip.id] = scored
    return [replace(known[clip.id], label=int(clip.fake), source=clip.source) for clip in clips]


def _kind(found: InputInfo) -> str:
    if "video" not in found.codecs:
        return "audio"
    return "images" if (found.seconds or 0.0) <= STILL_SECONDS else "video"


def _fingerprint(settings: Settings) -> str:
    """The models whose outputs are kept: other weights score anew."""
    models = children(choose(settings.profile, settings.models))
    weights = [(model, provenance.checkpoint(settings.model_repository / model)) for model in models]
    return f"calibrate {hashlib.sha256(repr((weights, settings.vad)).encode()).hexdigest()[:12]}"


def _without_fusion(job: Job) -> str:
    if not job.is_the_profiles:
        return "these models are not the profile's own, so that no fusion was fitted: no file gets a label\n"
    return "there are no real and fake clips of one kind of file, so that no fusion was fitted: no file gets a label\n"


def _line(values: Mapping[str, toml_tables.Value] | None) -> str:
    """A table on one line, for whoever runs the command."""
    if values is None:
        return "is taken out"
    return ", ".join(f"{key} = {toml_tables.plain(value)}" for key, value in values.items() if key != "data")
