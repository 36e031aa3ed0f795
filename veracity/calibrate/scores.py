"""What was said of clips: JSON lines, one clip a line, kept so that no clip is analysed twice. No torch.

    {"id", "path", "kind", "label", "split", "source", "how", "person", "maker", "fake_seconds", "places",
     "fake_person", "original", "by", "seconds", "tracks",
     "outputs": {model: {"start", "end", "face", "width", "fineness", "logits", "distances"}},  as the graphs gave them
     "layers": {key: {"status", "reason", "fake_probability", "spans"}},     calibrated, as the verdict has them
     "faces": [{"id", "x", "seen", "fake_probability"}],                     of the verdict
     "cues": {cue: number or word},                                          of the file, read by no model
     "models": {model: sha256}, "fake_probability", "predicted_label", "thresholds": {"fake", "real"}, "error"}

What a clip has not got is left out: ``error`` where it could be analysed, the rest of the last lines where not.
``by`` names the models, the calibration and the code that answered. Lines are only ever added: of a clip's lines by
the same the last one counts, and those by others stay for whoever wants to compare.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol

import msgspec
import numpy as np

from veracity.calibrate.errors import ManifestError
from veracity.catalog.layers import tracks_of
from veracity.drift.observed import cues_of
from veracity.evidence.requests import ModelOutput, Sample
from veracity_client.errors import VeracityError
from veracity_client.verdict import Label, Span, Status, Thresholds, Verdict

Split = Literal["train", "validation", "test"]


class LabelledClip(Protocol):
    """What a manifest says of a clip: where it is, what it shows, and what it may be used for."""

    @property
    def path(self) -> Path: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def how(self) -> str: ...  # noqa: D102
    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def person(self) -> str: ...  # noqa: D102
    @property
    def maker(self) -> str: ...  # noqa: D102
    @property
    def fake_seconds(self) -> tuple[tuple[float, float], ...]: ...  # noqa: D102
    @property
    def places(self) -> tuple[tuple[float, float], ...]: ...  # noqa: D102
    @property
    def fake_person(self) -> tuple[tuple[float, float], ...]: ...  # noqa: D102
    @property
    def original(self) -> str: ...  # noqa: D102
    @property
    def fake(self) -> bool: ...  # noqa: D102
    @property
    def split(self) -> Split: ...  # noqa: D102


class ScoresError(ManifestError):
    """The file of scores cannot be read or written; the message says why, and what is safe."""


@dataclass(frozen=True)
class ItemScores:
    """A model's logits of n items with their times in seconds and their faces.

    ``width`` in pixels and ``fineness`` are of the face, or of the whole picture; ``distances`` [n, shifts] are a sync
    model's.
    """

    start: tuple[float, ...]
    end: tuple[float, ...]
    face: tuple[int | None, ...]
    logits: tuple[float, ...]
    distances: tuple[tuple[float, ...], ...] | None = None
    width: tuple[float | None, ...] | None = None
    fineness: tuple[float | None, ...] | None = None

    @classmethod
    def of(cls, answer: ModelOutput) -> ItemScores:
        """Keep all of an answer but what was looked at."""
        items, rows = answer.items, answer.details
        return cls(
            start=tuple(round(item.start, 4) for item in items),
            end=tuple(round(item.end, 4) for item in items),
            face=tuple(item.face for item in items),
            logits=tuple(round(float(logit), 6) for logit in answer.logits),
            width=None if all(item.width is None for item in items) else tuple(_rounded(item.width) for item in items),
            fineness=None if all(item.fineness is None for item in items) else tuple(item.fineness for item in items),
            distances=None if rows is None else tuple(tuple(round(float(d), 6) for d in row) for row in rows),
        )

    def output(self, model: str) -> ModelOutput:
        """The answer again, its items empty: to be pooled under another calibration."""
        unknown = [None] * len(self.start)
        told = zip(self.start, self.end, self.face, self.width or unknown, self.fineness or unknown)
        items = tuple(
            Sample(start, end, np.empty(0), face, width, fineness=fineness)
            for start, end, face, width, fineness in told
        )
        rows = None if self.distances is None else np.array(self.distances, np.float64)
        return ModelOutput(model, items, np.array(self.logits, np.float32), rows)


def _rounded(width: float | None) -> float | None:
    return None if width is None else round(width, 1)


@dataclass(frozen=True)
class LayerScore:
    """One layer's part of a verdict; ``spans`` are its items over time, of several faces at once the worst."""

    status: Status
    reason: str
    fake_probability: float | None
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class FaceScore:
    """One face of a verdict: ``x`` is where its middle is on average, in shares of the width; ``seen`` how often."""

    id: int
    x: float
    seen: int
    fake_probability: float | None


@dataclass(frozen=True)
class ScoredClip:
    """One clip and what was said of it; ``error`` where it could not be analysed. ``tracks``: audio, video, motion.

    ``person`` is who is seen or heard, ``maker`` the system that made a fake, ``fake_seconds`` start and end of each
    part that is fake, in a clip that is real elsewhere, ``places`` left and right of each of several people, in shares
    of the width, ``fake_person`` that of the fake one, and ``original`` the id of what it is a copy of, at another
    quality: all where the manifest says so.
    """

    id: str
    path: str
    kind: str
    label: int
    split: str
    source: str
    how: str
    by: str
    seconds: float | None = None
    tracks: tuple[str, ...] = ()
    outputs: Mapping[str, ItemScores] = field(default_factory=dict)
    layers: Mapping[str, LayerScore] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    fake_probability: float | None = None
    predicted_label: Label | None = None
    thresholds: Thresholds | None = None
    error: str | None = None
    person: str = ""
    fake_seconds: tuple[tuple[float, float], ...] = ()
    cues: Mapping[str, float | str] = field(default_factory=dict)
    maker: str = ""
    places: tuple[tuple[float, float], ...] = ()
    fake_person: tuple[tuple[float, float], ...] = ()
    faces: tuple[FaceScore, ...] = ()
    original: str = ""

    @classmethod
    def of_verdict(
        cls, clip: LabelledClip, root: Path, by: str, verdict: Verdict, outputs: Mapping[str, ModelOutput]
    ) -> ScoredClip:
        """A clip with its verdict and, where they could be had, the models' own answers."""
        layers = {
            key: LayerScore(r.status, r.reason, r.fake_probability, tuple(verdict.timeline.get(key, ())))
            for key, r in verdict.layer_results.items()
        }
        kept = {model: ItemScores.of(answer.spread) for model, answer in outputs.items()}
        models = {model.name: model.sha256 for r in verdict.layer_results.values() for model in r.models}
        seconds = verdict.input.seconds
        tracks = tracks_of("audio" in verdict.input.codecs, seconds if "video" in verdict.input.codecs else None)
        return cls(**about(clip, root), by=by, seconds=seconds, tracks=tracks,
                   outputs=kept, layers=layers, models=models, fake_probability=verdict.fake_probability,
                   predicted_label=verdict.label, thresholds=verdict.thresholds, cues=cues_of(verdict.input),
                   faces=_faces(verdict))  # fmt: skip

    @classmethod
    def of_error(cls, clip: LabelledClip, root: Path, by: str, error: VeracityError) -> ScoredClip:
        """A clip that could not be analysed, and why."""
        return cls(**about(clip, root), by=by, error=error.to_wire())


def _faces(verdict: Verdict) -> tuple[FaceScore, ...]:
    width = int((verdict.input.resolution or "1x1").partition("x")[0])
    middles = ((face, [(seen.box[0] + seen.box[2]) / 2 for seen in face.boxes]) for face in verdict.faces)
    return tuple(
        FaceScore(face.id, round(sum(xs) / len(xs) / width, 4), len(xs), face.fake_probability)
        for face, xs in middles
        if xs
    )


class ScoreFile:
    """The file, open for adding to; a context manager. What is in it survives whatever happens to the next line."""

    def __init__(self, path: Path) -> None:
        """Open or make the file, and cut off a last line that was never finished. Raises ScoresError."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            whole = path.read_bytes().rfind(b"\n") + 1
            os.ftruncate(self._file, whole)
        except OSError as error:
            raise ScoresError(f"{path} cannot be written: {error.strerror}") from error
        self._size = whole

    def add(self, clip: ScoredClip) -> None:
        """Write one line, whole or not at all. Raises ScoresError, for a full disk among others."""
        known = {name: value for name, value in msgspec.to_builtins(clip).items() if value is not None}
        line = (json.dumps(known, ensure_ascii=False, allow_nan=False) + "\n").encode()
        try:
            written = os.write(self._file, line)
            while written < len(line):  # what is left of a write that a full disk cut says why
                written += os.write(self._file, line[written:])
        except OSError as error:
            os.ftruncate(self._file, self._size)
            safe = f"the {self._size} bytes before are safe; make room and run the same command again"
            raise ScoresError(f"{self.path} cannot be written: {error.strerror}; {safe}") from error
        self._size += len(line)

    def __enter__(self) -> ScoreFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._file)


def read(path: Path, by: str | None = None) -> dict[str, ScoredClip]:
    """What the file holds, by the clips' ids; of ``by`` alone if given. Nothing where there is no file.

    A last line that was never finished is left out. Raises :class:`ScoresError` for a line that is none of ours.
    """
    if not path.is_file():
        return {}
    found: dict[str, ScoredClip] = {}
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break
        try:
            clip = msgspec.json.decode(line, type=ScoredClip)
        except ValueError as error:
            raise ScoresError(f"{path} line {number} is no line of scores: {error}") from error
        if by is None or clip.by == by:
            found[clip.id] = clip
    return found


def relative(path: Path, root: Path) -> str:
    """How a manifest in the folder ``root`` would name a file."""
    return Path(os.path.relpath(path, root)).as_posix()


def about(clip: LabelledClip, root: Path) -> dict[str, Any]:
    """What the manifest says of a clip, in the fields of :class:`ScoredClip`."""
    return {
        "id": clip.id,
        "path": relative(clip.path, root),
        "kind": clip.kind,
        "label": int(clip.fake),
        "split": clip.split,
        "source": clip.source,
        "how": clip.how,
        "person": clip.person,
        "maker": clip.maker,
        "fake_seconds": clip.fake_seconds,
        "places": clip.places,
        "fake_person": clip.fake_person,
        "original": clip.original,
    }
