"""What a network is given of a sound: the sound itself, or what a frozen encoder in front of it says, said once."""

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

_AT_ONCE = 16  # sounds, which is 100 MB
_PIECE = 128  # sounds that are kept together

Pcms = npt.NDArray[np.int16]
Hearing = Callable[[Pcms, Path], Tensor]


def plainly(sounds: Pcms, _folder: Path) -> Tensor:
    """The sounds [m, n] themselves, int16."""
    return torch.from_numpy(sounds)


def by_whisper(weights: Path) -> Hearing:
    """What the encoder in the file `weights` says of sounds [m, n], kept in the folder: float32 [m, 2304]."""
    encoder = whisper.encoder(ctranslate2.read(weights))
    name = f"heard-{hashlib.sha256(weights.read_bytes() + inspect.getsource(whisper).encode()).hexdigest()[:12]}"

    def hear(sounds: Pcms, folder: Path) -> Tensor:
        pieces = [sounds[at : at + _PIECE] for at in range(0, len(sounds), _PIECE)]
        said = [_heard(encoder, piece, folder / name) for piece in tqdm(pieces, "hearing", disable=None)]
        return torch.cat(said).float()

    return hear


@torch.inference_mode()
def _heard(encoder: whisper.WhisperEncoder, sounds: Pcms, folder: Path) -> Tensor:
    path = folder / f"{hashlib.sha256(sounds.tobytes()).hexdigest()[:16]}.npz"
    if not path.is_file():
        parts = torch.split(torch.from_numpy(sounds).float() / 32_768, _AT_ONCE)
        cache.keep(path, {"statistics": torch.cat([encoder(part) for part in parts]).half().numpy()})
    with np.load(path) as file:
        return torch.from_numpy(file["statistics"])
