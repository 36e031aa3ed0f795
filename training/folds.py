"""Subsets of the clips: training splits, five folds of systems and sources, and a limit per source."""

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

# What each fold holds whole, of sound alone and of films: systems of fakes, corpora, voices and origins of reals. They
# are listed so that the folds are of one size and a corpus stands beside the fakes that were made of it; the smaller
# ones are shared out by a hash.
FOLDS: tuple[frozenset[str], ...] = (
    frozenset({
        "corpus:AISHELL-3", "corpus:LibriSpeech", "source:github:GoogleCloudPlatform/python-docs-samples",
        "source:github:taylorlu/Speaker-Diarization", "system:Assem-VC", "system:Cotatron", "system:Griffin-Lim",
        "system:Larynx GlowTTS", "system:WORLD", "system:zhrtvc SV2TTS",
    }),
    frozenset({
        "corpus:AISHELL-1", "source:debian:asterisk-core-sounds-fr-wav", "source:debian:asterisk-prompt-es-co",
        "source:github:maum-ai/cotatron", "source:github:tyiannak/pyAudioAnalysis", "system:Blow",
        "system:CycleGAN-VC2", "system:FragmentVC", "system:NSF", "system:PPG-VC", "system:UnivNet",
    }),
    frozenset({
        "source:debian:pocketsphinx-testdata", "source:github:lucadellalib/focalcodec",
        "source:github:yistLin/FragmentVC", "system:Deep Voice 3", "system:DiffSpeech", "system:MelGAN",
        "system:Piper", "system:PortaSpeech", "voice:Asterisk en, es", "voice:Thorsten",
    }),
    frozenset({
        "corpus:AMI", "corpus:Common Voice", "corpus:VCTK", "source:debian:fillets-ng-data-cs",
        "source:github:watson-developer-cloud/speech-to-text-nodejs", "system:DiffGAN-TTS", "system:HiFi-GAN",
        "system:Kokoro", "system:Mellotron-VC", "system:Tacotron 2", "system:WaveGrad 2",
    }),
    frozenset({
        "corpus:CMU Arctic", "source:github:lhotse-speech/lhotse", "source:github:maum-ai/assem-vc",
        "source:github:quickvc/QuickVC-VoiceConversion", "source:github:sh-lee-prml/HierSpeechpp",
        "system:Basis-MelGAN", "system:FastSpeech 2", "system:HierSpeech++", "system:QuickVC", "system:SpeedySpeech",
        "system:VITS", "voice:LJSpeech",
    }),
)  # fmt: skip


def group(clip: Clip) -> str:
    """What a fold holds whole: the system of a fake, the one corpus or voice of a real clip, else its source."""
    if systems := _links(clip, "system"):
        return min(systems)
    shared = set() if clip.fake else _links(clip, "corpus", "voice")
    return min(shared) if len(shared) == 1 else min(_links(clip, "source") or {clip.source})


def fold(clip: Clip) -> int:
    """The fold of a trainable clip, 0 to 4: that of its group, by a hash of its name where FOLDS lists none."""
    name = group(clip)
    given = (number for number, groups in enumerate(FOLDS) if name in groups)
    return next(given, zlib.crc32(name.encode()) % len(FOLDS))


def unrelated_to(held_out: int, clips: Sequence[Clip]) -> list[Clip]:
    """The clips that share nothing with those of a fold.

    That is no system and no source with any of them, and no corpus, voice or person with the real ones.
    """
    left = [clip for clip in clips if fold(clip) == held_out]
    taken = {link for clip in left for link in _origin(clip)}
    taken |= {link for clip in left if not clip.fake for link in _links(clip, "corpus", "voice", "person")}
    return [clip for clip in clips if fold(clip) != held_out and not taken & {*_origin(clip), *clip.links}]


def _origin(clip: Clip) -> set[str]:
    return _links(clip, "system", "source") or {clip.source}


def _links(clip: Clip, *kinds: str) -> set[str]:
    return {link for link in clip.links if link.partition(":")[0] in kinds}


def limit_per_source(clips: Sequence[Clip], most: int) -> list[Clip]:
    """The first ``most`` of each source; 0 for all."""
    sources = [clip.source for clip in clips]
    return [clip for number, clip in enumerate(clips) if not most or sources[:number].count(clip.source) < most]
