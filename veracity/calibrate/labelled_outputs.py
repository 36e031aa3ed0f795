"""The clips to fit on: what each model answered about them, and which of them tell of which layer."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from veracity.calibrate import scores
from veracity.calibrate.errors import ManifestError
from veracity.calibrate.scores import Split
from veracity.catalog import LAYERS, MODELS
from veracity.evidence.requests import ModelOutput
from veracity_client.verdict import LayerName

# What a layer looks for, in the words of a manifest's `how`. It is fitted on real clips and on the fakes that show it:
# a swapped face says nothing of how well the whole picture is judged. The fusion is fitted on all of them together.
_SHOWS: Mapping[LayerName, re.Pattern[str]] = {
    "visual": re.compile(r"swap|drawn anew|re-?render|reenact|mouth|wav2lip|dub", re.I),
    "lipsync": re.compile(r"mouth|wav2lip|dub|desync|(moved|shifted|swapped) (sound|audio)|audio shifted", re.I),
    "semantic": re.compile(r"sadtalker|aniportrait|generated|talking head|whole picture", re.I),
}
_VOICE_ALONE = re.compile(r"(machine|cloned|converted|synthetic) voice|vocod", re.I)  # nothing of it can be seen


class CalibrationInputError(ManifestError):
    """The scores cannot be calibrated on; the message says why, and what is wanted."""


@dataclass(frozen=True, eq=False)
class LabelledClip:
    """One clip: whether it is fake, the collection that it is of, and each model's answer, raw."""

    id: str
    kind: str
    fake: bool
    source: str
    how: str
    tracks: tuple[str, ...]
    outputs: Mapping[str, ModelOutput]

    def is_evidence_for(self, layer: LayerName) -> bool:
        """Whether its label is one that the layer could know: sound files the voice's, films the pictures'.

        Of a film's voice nobody wrote down who made it. A fake of a making that is not known here tells of every layer.
        """
        if layer == "audio":
            return self.kind == "audio"
        if self.kind != "video" or (self.fake and _VOICE_ALONE.search(self.how)):
            return False
        shown = [name for name, words in _SHOWS.items() if words.search(self.how)]
        return not self.fake or not shown or layer in shown


@dataclass(frozen=True)
class TrainedOn:
    """Clips that a model was trained on, whose outputs measure nothing. An empty ``kind`` is any kind."""

    model: str
    split: str
    kind: str = ""

    @classmethod
    def parsed(cls, text: str) -> TrainedOn:
        """Read MODEL:SPLIT or MODEL:SPLIT:KIND; raises CalibrationInputError."""
        parts = text.split(":")
        if len(parts) not in (2, 3) or parts[0] not in MODELS or parts[1] not in get_args(Split):
            raise CalibrationInputError(f"--trained-on wants MODEL:SPLIT or MODEL:SPLIT:KIND, not {text!r}")
        return cls(*parts)

    def covers(self, one: scores.ScoredClip) -> bool:
        """Whether a clip is one of them."""
        return one.split == self.split and self.kind in ("", one.kind)


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
    answers: dict[str, ModelOutput] = {}
    for one in several:
        if one.label != first.label:
            raise CalibrationInputError(f"clip {first.id} is real in one file and fake in another")
        for model, items in one.outputs.items():
            if model in answers:
                raise CalibrationInputError(f"clip {first.id} has two answers of {model}: give each clip's once")
            if model not in MODELS:
                raise CalibrationInputError(f"clip {first.id} was answered by {model}, which no layer has")
            if items.logits and not any(what.model == model and what.covers(one) for what in trained_on):
                answers[model] = items.output(model)
    return LabelledClip(first.id, first.kind, bool(first.label), first.source, first.how, first.tracks, answers)


def able(row: LabelledClip) -> list[bool]:
    """Whether the file has the kind of track that each of LAYERS wants."""
    return [layer.about in row.tracks for layer in LAYERS]
