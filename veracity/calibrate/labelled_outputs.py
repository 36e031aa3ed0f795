"""The clips to fit on: what each model answered about them, and which of them tell of which layer."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from veracity.calibrate import scores
from veracity.calibrate.errors import ManifestError
from veracity.calibrate.scores import Split
from veracity.catalog import LAYERS, MODELS
from veracity.catalog.layers import FileKind, kind_of_file
from veracity.evidence.requests import ModelOutput
from veracity_client.verdict import LayerName

# The kinds of fake, in the words of a manifest's `how`; the first that is found. A layer is fitted on real clips and on
# the kinds that it can see: a swapped face says nothing of how well the whole picture is judged.
_KINDS: Mapping[str, re.Pattern[str]] = {
    "synthetic voice": re.compile(r"(machine|cloned|converted|synthetic) voice|vocod", re.I),
    "shifted sound": re.compile(r"desync|(moved|shifted|swapped) (sound|audio)|audio shifted", re.I),
    "moved portrait": re.compile(
        r"sadtalker|aniportrait|(talking|listening) head|avatar|human video|drawn anew|re-?render|reenact", re.I
    ),
    "repainted mouth": re.compile(r"mouth|wav2lip|dub", re.I),
    "swapped face": re.compile(r"swap", re.I),
    "generated picture": re.compile(r"generated|text-to-image|diffusion|whole picture|morph", re.I),
}
# The kinds that a file can be. Where one of them was not measured, no such file is called real.
POSSIBLE: Mapping[FileKind, frozenset[str]] = {
    "sound": frozenset({"synthetic voice"}),
    "still": frozenset({"swapped face", "generated picture"}),
    "film": frozenset({"synthetic voice", "moved portrait", "repainted mouth", "swapped face", "generated picture"}),
}
_SEES: Mapping[LayerName, frozenset[str]] = {
    "visual": frozenset({"moved portrait", "repainted mouth", "swapped face", "generated picture"}),
    "lipsync": frozenset({"moved portrait", "repainted mouth", "shifted sound"}),
    "semantic": frozenset({"moved portrait", "generated picture"}),
}


def kind_of_fake(how: str) -> str:
    """What was done to make a fake of pictures, by a manifest's words; empty where they say nothing known."""
    return next((name for name, words in _KINDS.items() if words.search(how)), "")


def shows(kind: str, layer: LayerName) -> bool:
    """Whether a kind of fake leaves traces where a layer of the pictures looks."""
    return kind in _SEES[layer]


class CalibrationInputError(ManifestError):
    """The scores cannot be calibrated on; the message says why, and what is wanted."""


@dataclass(frozen=True, eq=False)
class LabelledClip:
    """One clip: whether it is fake, its collection, who made the fake, each model's answer, raw, and its cues.

    ``original`` is the id of the clip that it is a copy of, at another quality; empty for any other.
    """

    id: str
    kind: str
    fake: bool
    source: str
    how: str
    tracks: tuple[str, ...]
    outputs: Mapping[str, ModelOutput]
    maker: str = ""
    cues: Mapping[str, float | str] = field(default_factory=dict)
    original: str = ""

    @property
    def kind_of_fake(self) -> str:
        """What was done to make it; empty where nobody said so."""
        return "synthetic voice" if self.kind == "audio" else kind_of_fake(self.how)

    @property
    def file_kind(self) -> FileKind:
        """A sound file, a still picture or a film."""
        return kind_of_file(self.tracks)

    def is_evidence_for(self, layer: LayerName) -> bool:
        """Whether its label is one that the layer could know: sound files the voice's, films the pictures'.

        Of a film's voice nobody wrote down who made it. A fake of a making that is not known here tells of every layer.
        """
        if layer == "audio" or self.kind == "audio":
            return layer == self.kind
        return not self.fake or not self.kind_of_fake or shows(self.kind_of_fake, layer)


@dataclass(frozen=True)
class TrainedOn:
    """Clips that a model was trained on, whose outputs measure nothing. An empty ``kind`` or ``label`` is any."""

    model: str
    split: str
    kind: str = ""
    label: str = ""

    @classmethod
    def parsed(cls, text: str) -> TrainedOn:
        """Read MODEL:SPLIT[:KIND[:LABEL]]; raises CalibrationInputError."""
        parts = text.split(":")
        known = len(parts) in (2, 3, 4) and parts[0] in MODELS and parts[1] in get_args(Split)
        if not known or parts[3:] not in ([], ["real"], ["fake"]):
            raise CalibrationInputError(f"--trained-on wants MODEL:SPLIT[:KIND[:LABEL]], not {text!r}")
        return cls(*parts)

    def covers(self, one: scores.ScoredClip) -> bool:
        """Whether a clip is one of them."""
        label = "fake" if one.label else "real"
        return one.split == self.split and self.kind in ("", one.kind) and self.label in ("", label)


def read(
    paths: Sequence[Path],
    refused: Collection[str] = ("test",),
    trained_on: Collection[TrainedOn] = (),
    own: Sequence[scores.ScoredClip] = (),
) -> list[LabelledClip]:
    """All clips of the files that were analysed, and those of ``own``; the same id in several files is one clip.

    A clip of a ``refused`` split is an error, since a file that holds one was not made for this; what a model says of
    clips that it was trained on (``trained_on``) is left out. Raises CalibrationInputError.
    """
    clips: dict[str, list[scores.ScoredClip]] = {}
    for path in paths:
        if not path.is_file():
            raise CalibrationInputError(f"no scores at {path}")
        for one in scores.read(path).values():
            _check(one, path, refused)
            if one.error is None:
                clips.setdefault(one.id, []).append(one)
    for one in own:
        if one.error is None:
            clips.setdefault(one.id, []).append(one)
    if not clips:
        raise CalibrationInputError(f"{', '.join(map(str, paths)) or 'the labelled clips'}: no clip could be analysed")
    return [_row(several, trained_on) for _, several in sorted(clips.items())]


def _check(one: scores.ScoredClip, path: Path, refused: Collection[str]) -> None:
    if one.label not in (0, 1):
        raise CalibrationInputError(f"{path}: clip {one.id} has label {one.label}, not 0 or 1")
    if one.split in refused:
        why = (
            "what was fitted on test clips measures nothing on them; leave them out, or give them with --test"
            if one.split == "test"
            else "--test is for test clips alone"
        )
        raise CalibrationInputError(f"{path}: clip {one.id} is of split {one.split}: {why}")


def _row(several: Sequence[scores.ScoredClip], trained_on: Collection[TrainedOn]) -> LabelledClip:
    first = several[0]
    kind = kind_of_file(first.tracks)
    answers: dict[str, ModelOutput] = {}
    for one in several:
        if one.label != first.label:
            raise CalibrationInputError(f"clip {first.id} is real in one file and fake in another")
        for model, items in one.outputs.items():
            if model in answers:
                raise CalibrationInputError(f"clip {first.id} has two answers of {model}: give each clip's once")
            if model not in MODELS:
                raise CalibrationInputError(f"clip {first.id} was answered by {model}, which no layer has")
            if kind not in MODELS[model].file_kinds:
                continue  # it is not asked of such files any more
            if items.logits and not any(what.model == model and what.covers(one) for what in trained_on):
                answers[model] = items.output(model)
    cues = next((one.cues for one in several if one.cues), {})
    return LabelledClip(
        first.id, first.kind, bool(first.label), first.source, first.how, first.tracks, answers, first.maker, cues,
        first.original,
    )  # fmt: skip


def able(row: LabelledClip) -> list[bool]:
    """Whether the file has the kind of track that each of LAYERS wants."""
    return [layer.about in row.tracks for layer in LAYERS]
