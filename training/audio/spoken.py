"""`python -m training speak`: what real clips say, spoken by text-to-speech systems, for the voice to learn from.

Each sentence is spoken by every system and kept twice: as the system gives it, and in the channel of the real clip,
where the two differ by who speaks alone. A real clip and what was made of it are of one part.
"""

from __future__ import annotations

import argparse
import csv
import logging
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from evaluation.manifest import Clip, read_clips
from training.audio.channel import as_recorded
from training.audio.speakers import Sound, Speaker, speakers
from training.cache import list_made, room_for
from training.sound import load, load_vad, trim
from veracity.calibrate.errors import ManifestError
from veracity.catalog.layers import SAMPLE_RATE
from veracity.evidence.speech import Vad
from veracity.install.files import atomic

log = logging.getLogger(__name__)

TRANSCRIPTS = Path(__file__).resolve().parents[1] / "data" / "transcripts.csv"
LONGEST = 5.0  # seconds kept
STUDENTS = {"hibari": "Kokoro"}  # trained on another system's speech
_PARTS = {"train": "train", "validation": "development"}


def run(options: argparse.Namespace) -> None:
    """Write the sounds and their manifest.csv to ``options.out``; raises ManifestError, DiskFull."""
    made = speak(options.data, options.out, speakers(options.cache / "networks"), load_vad(options))
    log.info("%d sounds in %s", len(made), options.out)


def speak(data: Path, out: Path, systems: Mapping[str, Speaker], vad: Vad) -> list[dict[str, str]]:
    """The rows of the sounds, which are made where they are missing: an interrupted run goes on."""
    said = {row["path"]: row["text"] for row in _transcripts()}
    reals = [clip for clip in read_clips(data, ("audio",)) if clip.id in said and clip.split in _PARTS]
    if not reals:
        raise ManifestError(f"{data} has none of the clips whose words are in {TRANSCRIPTS.name}")
    out.mkdir(parents=True, exist_ok=True)
    rows = [row for clip in tqdm(reals, "spoken", disable=None) for row in _of(clip, said[clip.id], out, systems, vad)]
    list_made(rows, out / "manifest.csv")
    return rows


def _transcripts() -> Sequence[dict[str, str]]:
    with TRANSCRIPTS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _of(clip: Clip, sentence: str, out: Path, systems: Mapping[str, Speaker], vad: Vad) -> Iterator[dict[str, str]]:
    for system, say in systems.items():
        clean, recorded = (out / f"{system}__{clip.path.stem}{end}.flac" for end in ("", "__recorded"))
        if not recorded.is_file():
            rng = np.random.default_rng(zlib.crc32(f"{system} {clip.id}".encode()))
            speech = _cut(say(sentence, rng), vad)
            if not len(speech):
                log.info("%s: %s said nothing of it", clip.id, system)
                continue
            _write(clean, speech)
            _write(recorded, as_recorded(speech, load(clip.path).astype(np.float32) / 32_768, rng))
        yield _row(clean, clip, system, f"{system} speaks the sentence of its pair")
        yield _row(recorded, clip, system, f"{system} speaks the sentence of its pair, in its channel")


def _cut(speech: Sound, vad: Vad) -> Sound:
    """From the first word to the last, float32 within ±1; nothing where there is no speech."""
    pcm = np.clip(speech * 32_767, -32_768, 32_767).astype(np.int16)
    answer: Sound = trim(pcm, vad)[: round(LONGEST * SAMPLE_RATE)].astype(np.float32) / 32_768
    return answer


def _write(path: Path, sound: Sound) -> None:
    with room_for(path), atomic(path) as part:
        soundfile.write(part, sound, SAMPLE_RATE, "PCM_16", format="FLAC")


def _row(path: Path, real: Clip, system: str, how: str) -> dict[str, str]:
    return {
        "path": path.name,
        "kind": "audio",
        "label": "fake",
        "how": how,
        "source": f"made with {system}",
        "licence": real.licence,
        "use": real.use,
        "split": _PARTS[real.split],
        "notes": f"system:{STUDENTS.get(system, system)}; source:made with {system}; pair:{real.id}",
    }
