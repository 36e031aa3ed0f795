"""Encoding and decoding of sound by the codecs of common recordings."""

from __future__ import annotations

import subprocess

import numpy as np

from training.sound import Pcm
from veracity.catalog.layers import SAMPLE_RATE

# name → container and options of the encoder; a `-ar 8000` also takes the upper half of the band
CODECS: dict[str, tuple[str, ...]] = {
    "opus-12k": ("ogg", "-c:a", "libopus", "-compression_level", "2", "-b:a", "12k"),
    "opus-28k": ("ogg", "-c:a", "libopus", "-compression_level", "2", "-b:a", "28k"),
    "mp3-32k": ("mp3", "-c:a", "libmp3lame", "-b:a", "32k"),
    "aac-32k": ("adts", "-c:a", "aac", "-b:a", "32k"),
    "gsm": ("gsm", "-ar", "8000", "-c:a", "libgsm"),
    "mulaw": ("wav", "-ar", "8000", "-c:a", "pcm_mulaw"),
    "speex-8k": ("ogg", "-ar", "8000", "-c:a", "libspeex"),
}
_PCM = ("-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1")


def through_codec(codec: str, clean: Pcm) -> Pcm:
    """Sound encoded and decoded by ffmpeg, as long as it was; the codec's own delay (milliseconds) stays."""
    container, *options = CODECS[codec]
    coded = _ffmpeg((*_PCM, "-i", "pipe:0", *options, "-f", container, "pipe:1"), clean.tobytes())
    decoded = np.frombuffer(_ffmpeg(("-f", _demuxer(container), "-i", "pipe:0", *_PCM, "pipe:1"), coded), np.int16)
    answer = np.zeros_like(clean)
    answer[: len(decoded)] = decoded[: len(answer)]
    return answer


def _demuxer(container: str) -> str:
    return "aac" if container == "adts" else container


def _ffmpeg(arguments: tuple[str, ...], data: bytes) -> bytes:
    """Runs ffmpeg from pipe to pipe; raises RuntimeError with its own words."""
    command = ("ffmpeg", "-hide_banner", "-loglevel", "error", *arguments)
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ffmpeg failed ({' '.join(arguments)}): {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
