"""The networks that `training/` teaches and `export/` turns into ONNX, by the name that a checkpoint carries."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from training.nets.melspec import MelSpecResNet
from training.nets.rawnet2 import RawNet2
from training.nets.spectrum import SpectrumNet
from training.nets.whisper import HIDDEN, MEMBERS, WhisperHead

AUDIO_NETS: dict[str, Callable[[], nn.Module]] = {
    "melspec": MelSpecResNet,
    "rawnet2": RawNet2,
    "spectrum": SpectrumNet,
    "spectrum-phase": partial(SpectrumNet, phase=True),
    "whisper": partial(WhisperHead, HIDDEN * MEMBERS),
}
# that nobody teaches any more and that `python -m export migrate` makes of old weights
OLD_AUDIO_NETS: dict[str, Callable[[], nn.Module]] = {
    "rawnet2-as-is": partial(RawNet2, level=False),
}


def parameters(net: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(weight.numel() for weight in net.parameters())
