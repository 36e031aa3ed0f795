"""The features that a frozen encoder makes of sounds, computed once."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from networks import whisper
from training import cache
from veracity.install.graphs import ctranslate2

_AT_ONCE = 16  # sounds per encoder pass, 100 MB
_PIECE = 128  # sounds in one file

Pcms = npt.NDArray[np.int16]
FeatureExtractor = Callable[[Pcms, Path], Tensor]


def whisper_features(weights: Path) -> FeatureExtractor:
    """Features of sounds [m, n] by the encoder in the file `weights`, cached in the folder: float32 [m, 3072]."""
    encoder = whisper.encoder(ctranslate2.read(weights))
    name = f"whisper-{hashlib.sha256(weights.read_bytes() + inspect.getsource(whisper).encode()).hexdigest()[:12]}"

    def extract(sounds: Pcms, folder: Path) -> Tensor:
        pieces = [sounds[at : at + _PIECE] for at in range(0, len(sounds), _PIECE)]
        found = [_features(encoder, piece, folder / name) for piece in tqdm(pieces, "features", disable=None)]
        return torch.cat(found).float()

    return extract


@torch.inference_mode()
def _features(encoder: whisper.WhisperEncoder, sounds: Pcms, folder: Path) -> Tensor:
    path = folder / f"{hashlib.sha256(sounds.tobytes()).hexdigest()[:16]}.npz"
    if not path.is_file():
        parts = torch.split(torch.from_numpy(sounds).float() / 32_768, _AT_ONCE)
        cache.keep(path, {"statistics": torch.cat([encoder(part) for part in parts]).half().numpy()})
    with np.load(path) as file:
        return torch.from_numpy(file["statistics"])
