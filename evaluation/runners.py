"""Runs the analysis over clips: in this process with ONNX Runtime, or in a tritonserver."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from evaluation import cues
from evaluation.cues import Cues
from evaluation.manifest import Clip
from evaluation.servers import server_at
from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import observe
from veracity.calibrate import scores
from veracity.calibrate.scores import ScoredClip, ScoreFile
from veracity.catalog import FACE_DETECTOR, MODELS, provenance
from veracity.catalog.profiles import children, choose
from veracity.decision.calibration import Calibration
from veracity.evidence.requests import ModelOutput
from veracity.media import Source
from veracity.settings import CHECKOUT, Settings
from veracity_client import Detector, Options, Verdict
from veracity_client.errors import AnalysisTimeout, BadVideo, InternalError, LimitExceeded, VeracityError

DEADLINE_SECONDS = 1800.0  # per clip; long, so that a busy machine loses no clip
CLIP_ERRORS = (BadVideo, LimitExceeded, AnalysisTimeout, InternalError)  # recorded, and the run continues
CODE = sorted(path for end in ("py", "toml") for path in (CHECKOUT / "veracity").rglob(f"*.{end}"))

Analyzed = tuple[Verdict, Mapping[str, ModelOutput]]


@dataclass(frozen=True)
class Runner:
    """``analyze`` analyses one file, ``cues`` reads what takes no model.

    ``fingerprint`` changes with weights, calibration and code.
    """

    analyze: Callable[[Path], Analyzed]
    fingerprint: str
    calibration: Calibration
    cues: Callable[[Path], Cues]


class _Local(LocalInfer):
    """Uses the installed face detector where the repository holds none."""

    def _file(self, model: str) -> Path:
        return _graph(self._repository, model)


def local_runner(settings: Settings, threads: int = 0) -> Runner:
    """Analyses in this process; with VERACITY_MODELS only those models' layers."""
    context = AnalysisContext.from_settings(settings)
    infer = _Local(settings.model_repository, threads)
    named = {MODELS[name.strip()].layer for name in settings.models.split(",") if name.strip()}
    layers = tuple(name for name in Options().layers if not named or name in named)
    options = Options(policy="exhaustive", layers=layers, deadline_seconds=DEADLINE_SECONDS)

    def analyze(path: Path) -> Analyzed:
        analysis = asyncio.run(observe(Source(path), infer, options, context))
        return analysis.verdict, analysis.outputs

    return Runner(analyze, _fingerprint("local", settings), context.calibration, _reader(context))


@contextmanager
def open_runner(where: str, url: str | None, settings: Settings, threads: int = 0) -> Iterator[Runner]:
    """Yield the ``local`` runner, or ``triton`` at ``url`` or, without one, in a server that is stopped on exit."""
    if where == "local":
        yield local_runner(settings, threads)
        return
    options = Options(policy="exhaustive", deadline_seconds=DEADLINE_SECONDS)
    with server_at(url) as address, Detector(address, timeout=DEADLINE_SECONDS) as detector:
        fingerprint = f"triton {url}" if url else _fingerprint("triton", settings)
        context = AnalysisContext.from_settings(settings)
        yield Runner(
            lambda path: (detector.analyze(path, options), {}), fingerprint, context.calibration, _reader(context)
        )


def _reader(context: AnalysisContext) -> Callable[[Path], Cues]:
    """Reads a file's cues; where that fails it says so, and there are none."""

    def read(path: Path) -> Cues:
        try:
            return cues.read(path, context.limits, context.ffmpeg)
        except VeracityError as error:
            tqdm.write(f"{path}: no cues: {error.to_wire()}", file=sys.stderr)
            return {}

    return read


def analyze_clips(
    clips: Sequence[Clip],
    folder: Path,
    runner: Runner,
    score_file: Path,
    alter: Callable[[Path], Path] | None = None,
    title: str = "clips",
) -> list[ScoredClip]:
    """The scores of each clip; clips that the score file holds are not analysed again, unless they ended in an error.

    ``alter`` makes the file that is analysed in place of the clip's own. Labels and sources always come from the
    manifest. Raises ScoresError, and errors that are not of a clip; the score file then holds all earlier clips.
    """
    known = {key: scored for key, scored in scores.read(score_file, runner.fingerprint).items() if scored.error is None}
    with ScoreFile(score_file) as file:
        for clip in tqdm([clip for clip in clips if clip.id not in known], title, disable=None):
            try:
                verdict, answers = runner.analyze(alter(clip.path) if alter else clip.path)
                scored = ScoredClip.of_verdict(clip, folder, runner.fingerprint, verdict, answers)
                scored = scored if alter else replace(scored, cues=runner.cues(clip.path))
            except CLIP_ERRORS as error:
                scored = ScoredClip.of_error(clip, folder, runner.fingerprint, error)
            file.add(scored)
            known[clip.id] = scored
    return [replace(known[clip.id], **scores.about(clip, folder)) for clip in clips]


def _fingerprint(where: str, settings: Settings) -> str:
    """The kind of runner and 12 digits of a hash over everything that determines its scores."""
    digest = hashlib.sha256()
    models = children(choose(settings.profile, settings.models))
    for path in (*CODE, *(_graph(settings.model_repository, model) for model in models)):
        digest.update(f"{path.name} {path.parent.parent.name}".encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    measured = [provenance.checkpoint(settings.model_repository / model) for model in models]
    facts = (measured, settings.profile, settings.models, settings.vad, settings.max_faces, settings.semantic_crops)
    digest.update(repr(facts).encode())
    return f"{where} {digest.hexdigest()[:12]}"


def _graph(repository: Path, model: str) -> Path:
    own = repository / model / provenance.GRAPH
    return (
        own if own.is_file() or model != FACE_DETECTOR.name else Settings().model_repository / model / provenance.GRAPH
    )
