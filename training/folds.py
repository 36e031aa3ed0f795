"""Parts of the clips: the splits that teach, fifths of the sources that a network never heard, and a few of each."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Literal

from evaluation.manifest import Clip
from veracity.calibrate.scores import Split

# What teaches; what is left over of the trainable clips judges. The shipped network learns from both.
Teach = Literal["train", "validation", "both"]
TEACH: Mapping[Teach, tuple[Split, ...]] = {
    "train": ("train",),
    "validation": ("validation",),
    "both": ("train", "validation"),
}

# Whole sources, real and fake in each fold, sound files and films alike. Fakes made of a source's clips stand with it,
# as what was made of LibriSpeech does; the voice of LJSpeech is real in one fold and synthetic in two others.
FOLDS: tuple[frozenset[str], ...] = (
    frozenset({"LibriSpeech test-other", "FastSpeech2", "gen espeak", "LatentSync", "AniPortrait"}),
    frozenset({"asterisk en", "asterisk es", "DiffGAN-TTS", "PortaSpeech", "LivePortrait driving",
               "LivePortrait source"}),
    frozenset({"LibriSpeech train-clean-100", "gen world", "gen griffinlim"}),
    frozenset({"autovc", "free-spoken-digit-dataset", "project-NN-Pytorch-scripts"}),
    frozenset({"TTS", "gen piper", "LipNet", "Syncnet_FCN"}),
)  # fmt: skip


def fold(clip: Clip) -> int:
    """The fold of a trainable clip, 0 to 4: that of its source, which the source's name decides where none is set."""
    given = (number for number, sources in enumerate(FOLDS) if clip.source in sources)
    return next(given, zlib.crc32(clip.source.encode()) % len(FOLDS))


def few(clips: Sequence[Clip], most: int) -> list[Clip]:
    """The first ``most`` of each source; 0 for all."""
    sources = [clip.source for clip in clips]
    return [clip for number, clip in enumerate(clips) if not most or sources[:number].count(clip.source) < most]
