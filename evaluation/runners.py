"""Two doors to one pipeline, in this process with ONNX Runtime or in a tritonserver; and all clips through one."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

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
from veracity_client.errors import AnalysisTimeout, BadVideo, InternalError, LimitExceeded

PATIENCE = 1800.0  # seconds for one clip: a machine that is busy with other work is slow, and no clip is lost by that
OF_THE_CLIP = (BadVideo, LimitExceeded, AnalysisTimeout, InternalError)  # the next clip may do better
CODE = sorted(path for end in ("py", "toml") for path in (CHECKOUT / "veracity").rglob(f"*.{end}"))

Heard = tuple[Verdict, Mapping[str, ModelOutput]]


@dataclass(frozen=True)
class Door:
    """``ask`` analyses one file; ``by`` names what answers: weights, calibration and the context's code."""

    ask: Callable[[Path], Heard]
    by: str
    calibration: Calibration


class _Local(LocalInfer):
    """Finds faces with the installed detector where a repository of candidates holds none."""

    def _file(self, model: str) -> Path:
        return _graph(self._repository, model)


def local(settings: Settings, threads: int = 0) -> Door:
    """The pipeline in this process; of VERACITY_MODELS, if set, the layers alone."""
    context = AnalysisContext.from_settings(settings)
    infer = _Local(settings.model_repository, threads)
    named = {MODELS[name.strip()].layer for name in settings.models.split(",") if name.strip()}
    layers = tuple(name for name in Options().layers if not named or name in named)
    options = Options(policy="exhaustive", layers=layers, deadline_seconds=PATIENCE)

    def ask(path: Path) -> Heard:
        seen = asyncio.run(observe(Source(path), infer, options, context))
        return seen.verdict, seen.outputs

    return Door(ask, _fingerprint("local", settings), context.calibration)


@contextmanager
def through(door: str, url: str | None, settings: Settings, threads: int = 0) -> Iterator[Door]:
    """Yield the door: ``local``, or ``triton`` at ``url`` or, without one, in a server that runs until we leave."""
    if door == "local":
        yield local(settings, threads)
        return
    options = Options(policy="exhaustive", deadline_seconds=PATIENCE)
    with server_at(url) as address, Detector(address, timeout=PATIENCE) as detector:
        by = f"triton {url}" if url else _fingerprint("triton", settings)
        yield Door(
            lambda path: (detector.analyze(path, options), {}), by, AnalysisContext.from_settings(settings).calibration
        )


def ask_all(
    clips: Sequence[Clip],
    folder: Path,
    door: Door,
    ledger: Path,
    alter: Callable[[Path], Path] | None = None,
    title: str = "clips",
) -> list[ScoredClip]:
    """What is said of each clip, of those that the ledger does not hold yet anew; errors are tried again.

    ``alter`` makes the file that is asked about in place of the clip's own. What a clip is comes from the manifest
    every time. Raises ScoresError, and the errors that are no clip's fault; the ledger then holds what came before.
    """
    known = {key: said for key, said in scores.read(ledger, door.by).items() if said.error is None}
    with ScoreFile(ledger) as book:
        for clip in tqdm([clip for clip in clips if clip.id not in known], title, disable=None):
            try:
                verdict, answers = door.ask(alter(clip.path) if alter else clip.path)
                said = ScoredClip.of_verdict(clip, folder, door.by, verdict, answers)
            except OF_THE_CLIP as error:
                said = ScoredClip.of_error(clip, folder, door.by, error)
            book.add(said)
            known[clip.id] = said
    return [replace(known[clip.id], **scores.about(clip, folder)) for clip in clips]


def _fingerprint(door: str, settings: Settings) -> str:
    """The door and the first 12 digits of a hash over whatever decides an answer."""
    digest = hashlib.sha256()
    models = children(choose(settings.profile, settings.models))
    for path in (*CODE, *(_graph(settings.model_repository, model) for model in models)):
        digest.update(f"{path.name} {path.parent.parent.name}".encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    measured = [provenance.checkpoint(settings.model_repository / model) for model in models]  # else it is uncalibrated
    words = (measured, settings.profile, settings.models, settings.vad, settings.max_faces, settings.semantic_crops)
    digest.update(repr(words).encode())
    return f"{door} {digest.hexdigest()[:12]}"


def _graph(repository: Path, model: str) -> Path:
    own = repository / model / provenance.GRAPH
    return (
        own if own.is_file() or model != FACE_DETECTOR.name else Settings().model_repository / model / provenance.GRAPH
    )
