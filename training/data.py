"""What there is to learn from, and which part of it: the manifest and THE split rule."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import soundfile

from veracity.speech import SAMPLE_RATE, Vad

Split = Literal["train", "validation", "test"]
Pcm = npt.NDArray[np.int16]
TRAINABLE = frozenset({"permissive", "sharealike", "train_only"})
_VALUES = {
    "kind": {"audio", "video", "images"},
    "label": {"real", "fake"},
    "use": TRAINABLE | {"test_only"},
}

# The first pattern found in a clip's path decides; what none matches is for training. Sources are held out whole,
# real and fake. LibriSpeech is one source of many speakers: those of train-clean-100 teach (and all fakes that the
# manifest has of them), the ten of test-other validate.
SPLIT_RULE: tuple[tuple[str, Split], ...] = (
    (r"CycleGAN-VC2__", "test"),  # AISHELL speaker S0913, and the same voice converted
    (r"sherpa__", "test"),  # Kokoro, VITS, Piper, Matcha, Melo, MMS
    (r"pocketsphinx__", "test"),
    (r"Real-Time-Voice-Cloning__", "test"),
    (r"asterisk_fr_", "test"),  # another speaker than en and es, which share theirs
    (r"FastSpeech2__", "validation"),
    (r"PortaSpeech__", "validation"),  # the voice of LJSpeech, whose real clips teach, as they do with DiffGAN-TTS
    (r"free-spoken-digit-dataset__", "validation"),
    (r"librispeech_test-other__", "validation"),
)

# A collection's name is what stands before the first of these in its file name.
_SOURCE_END = re.compile(r"__|_(?=\d+\.)|\.flac")
_SOURCE_NAMES: tuple[tuple[str, str], ...] = (
    (r"audio_fake/CycleGAN-VC2__", "CycleGAN-VC2"),
    (r"CycleGAN-VC2__data__", "AISHELL S0913"),
    (r"librispeech_test-other__", "LibriSpeech test-other"),
    (r"librispeech_train-clean-100__", "LibriSpeech train-clean-100"),
    (r"asterisk_(\w\w)_", "asterisk"),
    (r"gen_(world|griffinlim|espeak|piper)", "gen"),
)


class ManifestError(ValueError):
    """The manifest or a file that it names cannot be used; the message says which, and what is wrong."""


@dataclass(frozen=True)
class Clip:
    """One row of the manifest; `path` is ready to open, `source` is the collection that it belongs to."""

    path: Path
    kind: str
    label: str
    source: str
    use: str
    licence: str

    @property
    def fake(self) -> bool:
        """Whether it was made or altered by a machine."""
        return self.label == "fake"

    @property
    def split(self) -> Split:
        """`test` for whatever the licence does not let us learn from, else by SPLIT_RULE."""
        if self.use not in TRAINABLE:
            return "test"
        return next((split for pattern, split in SPLIT_RULE if re.search(pattern, self.path.name)), "train")


def read_manifest(folder: Path, kind: str) -> list[Clip]:
    """All clips of a kind under `folder`, in the order of its manifest.csv; raises ManifestError."""
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise ManifestError(f"no manifest at {manifest}: give the folder of the media with --data")
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(enumerate(csv.DictReader(file), start=2))
    return [_clip(folder, line, row) for line, row in rows if row.get("kind") == kind or not row.get("kind")]


def load(path: Path) -> Pcm:
    """The samples of a 16 kHz mono file, int16 [n]; raises ManifestError."""
    try:
        pcm, rate = soundfile.read(path, dtype="int16", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ManifestError(f"{path} cannot be read as sound: {error}") from error
    if rate != SAMPLE_RATE or pcm.shape[1] != 1:
        raise ManifestError(f"{path} has {rate} Hz and {pcm.shape[1]} channels; bring it to 16000 Hz mono first")
    return pcm[:, 0]  # type: ignore[no-any-return]  # soundfile has no types


def trim(pcm: Pcm, vad: Vad) -> Pcm:
    """From the first speech to the last, or nothing where nobody speaks."""
    spans = vad(pcm)
    if not spans:
        return pcm[:0]
    return pcm[round(spans[0][0] * SAMPLE_RATE) : round(spans[-1][1] * SAMPLE_RATE)]


def _clip(folder: Path, line: int, row: dict[str, str]) -> Clip:
    for column, allowed in _VALUES.items():
        if row.get(column) not in allowed:
            raise ManifestError(
                f"manifest.csv line {line}: {column} is {row.get(column)!r}, not one of {', '.join(sorted(allowed))}"
            )
    path = folder / (row.get("path") or "")
    if not path.is_file():
        raise ManifestError(f"manifest.csv line {line}: no file {row.get('path')!r} in {folder}")
    return Clip(path, row["kind"], row["label"], _source(row["path"]), row["use"], row.get("licence") or "unknown")


def _source(name: str) -> str:
    """The collection: `asterisk fr`, `gen piper`, `sherpa`, `AISHELL S0913`, …"""
    for pattern, source in _SOURCE_NAMES:
        if match := re.search(pattern, name):
            return " ".join((source, *match.groups()))
    return _SOURCE_END.split(Path(name).name)[0]
