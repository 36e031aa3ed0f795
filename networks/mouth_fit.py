"""How well a mouth and a sound fit, without trained weights: openness of the mouth against loudness of the voice."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SHIFT = 10  # frames that the sound is moved by at most, 0.4 s
NEAR = 3  # frames apart at most is together: so far lie real films, too
FRAME = 640  # samples of a frame, 40 ms at 16 kHz and 25 fps
_TOP, _LEFT, _HEIGHT, _WIDTH = 52, 44, 52, 56  # pixels of the mouth in lips of 144
_MIDDLE = slice(10, 18)  # of the mouth's 28 columns at half size
_BAND = (250.0, 2000.0)  # Hz: vowels, which open a mouth; hum below, hiss above
_TAPS = 129
_FLOOR = 30.0  # of 32,768: quieter sound counts as silence


class MouthFit(nn.Module):
    """Lips uint8 [batch, n, 144, 144], sound int16 [batch, (n + 20) × 640] → misfit [batch, 1], within -2 and 2.

    The sound begins 10 frames before the lips and ends 10 after them. Two lines of the mouth over time, its contrast
    and its darkest row, are correlated with the voice's log energy at every shift. The misfit is the highest
    correlation of those 5 to 10 frames away less that of those within 3: below 0 where they fit. Shifts that would
    read sound of exact zeros, which stands for none, are left out; it is 0 where either side has none left.
    """

    kernel: Tensor
    blur: Tensor
    together: Tensor
    apart: Tensor

    def __init__(self) -> None:
        super().__init__()
        time = torch.arange(_TAPS) - _TAPS // 2
        low, high = (2 * edge / 16_000 for edge in _BAND)
        kernel = (high * torch.sinc(high * time) - low * torch.sinc(low * time)) * torch.hann_window(_TAPS, False)
        row = torch.tensor([1.0, 2.0, 1.0]) / 4
        shifts = torch.arange(-SHIFT, SHIFT + 1).abs()
        self.register_buffer("kernel", kernel[None, None].float(), persistent=False)
        self.register_buffer("blur", torch.outer(row, row)[None, None], persistent=False)
        self.register_buffer("together", shifts <= NEAR, persistent=False)
        self.register_buffer("apart", shifts > NEAR + 1, persistent=False)

    def forward(self, lips: Tensor, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        curve, heard = self.curve(lips, sound)
        silent = torch.full_like(curve, -2.0)
        near = torch.where(heard & self.together, curve, silent).amax(1, keepdim=True)
        far = torch.where(heard & self.apart, curve, silent).amax(1, keepdim=True)
        return torch.where((near > -1.5) & (far > -1.5), far - near, torch.zeros_like(near))

    def curve(self, lips: Tensor, sound: Tensor) -> tuple[Tensor, Tensor]:
        """The correlation at each shift [batch, 21], and whether there is sound for it."""
        mouth = self._mouth(lips)
        voice = self._voice(sound).unfold(1, mouth.shape[2], 1)  # [batch, 21, n]
        heard = self._is_there(sound).unfold(1, mouth.shape[2], 1).all(2)
        mouth, voice = _standard(mouth), _standard(voice)
        return torch.einsum("bkn,bsn->bs", mouth, voice) / mouth.shape[1], heard

    def _mouth(self, lips: Tensor) -> Tensor:
        """[batch, 2, n]"""
        part = lips[:, :, _TOP : _TOP + _HEIGHT, _LEFT : _LEFT + _WIDTH].float()
        small = functional.avg_pool2d(part, 2)
        small = functional.conv2d(small.flatten(0, 1).unsqueeze(1), self.blur).reshape(*lips.shape[:2], 24, 26)
        contrast = small.flatten(2).var(2, unbiased=False).clamp(min=1e-3).sqrt()
        return torch.stack([contrast, -small[..., _MIDDLE].mean(3).amin(2)], dim=1)

    def _voice(self, sound: Tensor) -> Tensor:
        """[batch, n + 20]"""
        heard = functional.conv1d(sound.float().unsqueeze(1), self.kernel, padding=_TAPS // 2)[:, 0]
        power = heard.unflatten(1, (-1, FRAME)).square().mean(2)
        return (power + _FLOOR**2).log()

    def _is_there(self, sound: Tensor) -> Tensor:
        return (sound.unflatten(1, (-1, FRAME)) != 0).any(2)


def _standard(lines: Tensor) -> Tensor:
    """Lines [..., n] of mean 0 and length 1; one that hardly moves stays small."""
    centred = lines - lines.mean(-1, keepdim=True)
    return centred / (centred.square().sum(-1, keepdim=True) + 1e-2).sqrt()
