"""Reading of 16 kHz mono sound files."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from veracity.calibrate.errors import ManifestError
from veracity.catalog.assets import VAD_FILE
from veracity.catalog.layers import SAMPLE_RATE
from veracity.evidence.speech import SileroVad, Vad, energy_vad

Pcm = npt.NDArray[np.int16]


def load(path: Path) -> Pcm:
    """The samples of a 16 kHz mono file, int16 [n]; raises ManifestError."""
    try:
        pcm, rate = soundfile.read(path, dtype="int16", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ManifestError(f"{path} cannot be read as audio: {error}") from error
    if rate != SAMPLE_RATE or pcm.shape[1] != 1:
        raise ManifestError(f"{path} has {rate} Hz and {pcm.shape[1]} channels; convert it to 16000 Hz mono first")
    mono: Pcm = pcm[:, 0]
    return mono


def load_vad(options: argparse.Namespace) -> Vad:
    """The voice activity detector of ``options.vad``; raises FileNotFoundError where silero's file is missing."""
    return SileroVad(options.weights / VAD_FILE) if options.vad == "silero" else energy_vad


def trim(pcm: Pcm, vad: Vad) -> Pcm:
    """The samples from the first to the last speech, none where nobody speaks."""
    spans = vad(pcm)
    if not spans:
        return pcm[:0]
    return pcm[round(spans[0][0] * SAMPLE_RATE) : round(spans[-1][1] * SAMPLE_RATE)]
