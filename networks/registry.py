"""Networks for sound by the name under which a checkpoint stores them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from networks.melspec import MelSpecResNet
from networks.rawnet2 import RawNet2
from networks.spectrum import SpectrumNet
from networks.whisper import WhisperHead

AUDIO_NETS: dict[str, Callable[[], nn.Module]] = {
    "melspec": MelSpecResNet,
    "rawnet2": RawNet2,
    "spectrum": SpectrumNet,
    "spectrum-phase": partial(SpectrumNet, phase=True),
    "whisper": WhisperHead,
}
# no longer trained; `python -m export migrate` converts old weights to them
OLD_AUDIO_NETS: dict[str, Callable[[], nn.Module]] = {
    "rawnet2-as-is": partial(RawNet2, level=False),
}


def parameters(net: nn.Module) -> int:
    """The number of trainable weights."""
    return sum(weight.numel() for weight in net.parameters())
