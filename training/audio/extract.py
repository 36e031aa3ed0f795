"""Speech of each clip, and forgeries of the real ones, extracted once and cached."""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evaluation.manifest import Clip
from training import cache
from training.audio import forgeries
from training.sound import Pcm, load, trim
from veracity.calibrate.errors import ManifestError
from veracity.catalog.layers import SAMPLE_RATE
from veracity.evidence.speech import MIN_SPEECH_SECONDS, Vad

_SHORTEST = round(MIN_SPEECH_SECONDS * SAMPLE_RATE)
_LONGEST = 10 * SAMPLE_RATE


@dataclass(frozen=True)
class SpeechClip:
    """A clip's speech, int16 [n], and of a real clip the forgery by each method of `training.audio.forgeries`."""

    clip: Clip
    speech: Pcm
    forgeries: dict[str, Pcm] = field(default_factory=dict)


def extract_speech(clips: Sequence[Clip], vad: Vad, folder: Path) -> tuple[list[SpeechClip], list[str]]:
    """The clips with at least half a second of speech, and a line on each skipped clip; raises DiskFull."""

    def extract(clip: Clip) -> cache.Arrays:
        speech = trim(read_sound(clip), vad)[:_LONGEST]
        if len(speech) < _SHORTEST:
            raise cache.UnusableClip("less than half a second of speech")
        return {"speech": speech, **({} if clip.fake else forge_all(speech, clip.id))}

    def read(clip: Clip, arrays: cache.Arrays) -> SpeechClip:
        return SpeechClip(clip, arrays["speech"], {name: arrays[name] for name in arrays if name != "speech"})

    version = Path(forgeries.__file__).read_text(encoding="utf-8") + Path(__file__).read_text(encoding="utf-8")
    return cache.collect(clips, folder, cache.Extractor("speech", version, extract, read))


def read_sound(clip: Clip) -> Pcm:
    """The samples of a clip, int16 [n] at 16 kHz: of a video its first audio track; raises ManifestError."""
    if clip.kind == "audio":
        return load(clip.path)
    command = ("ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(clip.path), "-map", "0:a:0")
    options = ("-ac", "1", "-ar", str(SAMPLE_RATE), "-f", "s16le", "pipe:1")
    done = subprocess.run((*command, *options), capture_output=True, check=False)
    if done.returncode or not done.stdout:
        raise ManifestError("it has no readable audio track")
    return np.frombuffer(done.stdout, np.int16)


def forge_all(speech: Pcm, name: str) -> dict[str, Pcm]:
    """One forgery by each method, as loud as the original; seeded by ``name``."""
    sound = (speech / 32_768).astype(np.float32)
    level = np.sqrt(np.mean(sound.astype(np.float64) ** 2))
    answer = {}
    for method, make in forgeries.METHODS.items():
        fake = make(sound, np.random.default_rng([zlib.crc32(name.encode()), *method.encode()]))
        gain = level / max(float(np.sqrt(np.mean(fake**2))), 1e-6)
        answer[method] = np.clip(fake * gain * 32_768, -32_768, 32_767).astype(np.int16)
    return answer
