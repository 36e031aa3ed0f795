"""Speech to learn from: what is said in each clip, and the fakes made of the real ones, cut once and kept."""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evaluation.manifest import Clip, ManifestError
from training import cache
from training.audio import fakes
from training.sound import Pcm, load, trim
from veracity.evidence.speech import MIN_SPEECH_SECONDS, SAMPLE_RATE, Vad

_SHORTEST = round(MIN_SPEECH_SECONDS * SAMPLE_RATE)
_LONGEST = 10 * SAMPLE_RATE


@dataclass(frozen=True)
class Spoken:
    """A clip's speech, int16 [n], and what each method of `training.audio.fakes` made of it, where it is real."""

    clip: Clip
    speech: Pcm
    made: dict[str, Pcm] = field(default_factory=dict)


def spoken(clips: Sequence[Clip], vad: Vad, folder: Path) -> tuple[list[Spoken], list[str]]:
    """The clips in which somebody speaks for half a second, and a line on each that is left out; raises FullDisk."""

    def cut(clip: Clip) -> cache.Arrays:
        speech = trim(heard(clip), vad)[:_LONGEST]
        if len(speech) < _SHORTEST:
            raise cache.Unusable("nobody speaks for half a second")
        return {"speech": speech, **({} if clip.fake else remade(speech, clip.id))}

    def read(clip: Clip, arrays: cache.Arrays) -> Spoken:
        return Spoken(clip, arrays["speech"], {name: arrays[name] for name in arrays if name != "speech"})

    version = Path(fakes.__file__).read_text(encoding="utf-8") + Path(__file__).read_text(encoding="utf-8")
    return cache.collect(clips, folder, cache.Cutter("speech", version, cut, read))


def heard(clip: Clip) -> Pcm:
    """The samples of a clip, int16 [n] at 16 kHz: of a film its first sound track; raises ManifestError."""
    if clip.kind == "audio":
        return load(clip.path)
    command = ("ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(clip.path), "-map", "0:a:0")
    options = ("-ac", "1", "-ar", str(SAMPLE_RATE), "-f", "s16le", "pipe:1")
    done = subprocess.run((*command, *options), capture_output=True, check=False)
    if done.returncode or not done.stdout:
        raise ManifestError("it has no sound track that can be read")
    return np.frombuffer(done.stdout, np.int16)


def remade(speech: Pcm, name: str) -> dict[str, Pcm]:
    """One fake by each method, as loud as the original; the same for the same ``name``."""
    sound = (speech / 32_768).astype(np.float32)
    level = np.sqrt(np.mean(sound.astype(np.float64) ** 2))
    answer = {}
    for method, make in fakes.METHODS.items():
        fake = make(sound, np.random.default_rng([zlib.crc32(name.encode()), *method.encode()]))
        gain = level / max(float(np.sqrt(np.mean(fake**2))), 1e-6)
        answer[method] = np.clip(fake * gain * 32_768, -32_768, 32_767).astype(np.int16)
    return answer
