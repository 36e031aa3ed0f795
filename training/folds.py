"""Subsets of the clips: training splits, five folds of sources, and a limit per source."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Literal

from evaluation.manifest import Clip
from veracity.calibrate.scores import Split

# Splits to train on; the other trainable clips validate. The shipped network is trained on both.
TrainingSplit = Literal["train", "validation", "both"]
TRAINING_SPLITS: Mapping[TrainingSplit, tuple[Split, ...]] = {
    "train": ("train",),
    "validation": ("validation",),
    "both": ("train", "validation"),
}

# Whole sources, real and fake in each fold, audio files and videos alike. Forgeries of a source's clips are in its fold
# (LibriSpeech's are); the voice of LJSpeech is real in one fold and synthetic in two others.
FOLDS: tuple[frozenset[str], ...] = (
    frozenset({"LibriSpeech test-other", "FastSpeech2", "gen espeak", "LatentSync", "AniPortrait"}),
    frozenset({"asterisk en", "asterisk es", "DiffGAN-TTS", "PortaSpeech", "LivePortrait driving",
               "LivePortrait source"}),
    frozenset({"LibriSpeech train-clean-100", "gen world", "gen griffinlim"}),
    frozenset({"autovc", "free-spoken-digit-dataset", "project-NN-Pytorch-scripts"}),
    frozenset({"TTS", "gen piper", "LipNet", "Syncnet_FCN"}),
)  # fmt: skip


def fold(clip: Clip) -> int:
    """The fold of a trainable clip, 0 to 4: that of its source, by a hash of its name where FOLDS lists none."""
    given = (number for number, sources in enumerate(FOLDS) if clip.source in sources)
    return next(given, zlib.crc32(clip.source.encode()) % len(FOLDS))


def limit_per_source(clips: Sequence[Clip], most: int) -> list[Clip]:
    """The first ``most`` of each source; 0 for all."""
    sources = [clip.source for clip in clips]
    return [clip for number, clip in enumerate(clips) if not most or sources[:number].count(clip.source) < most]
