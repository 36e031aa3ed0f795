"""Degradations of recordings, the same for a real sound and the fake that it is paired with.

Everything takes sound [groups, members, n] within ±1 and samples one set of parameters per group, noise included:
within a group only the manipulation tells real from fake.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from veracity.catalog.layers import SAMPLE_RATE

_Effect = Callable[[Tensor, torch.Generator], Tensor]


def degrade(sound: Tensor, generator: torch.Generator) -> Tensor:
    """Room, equaliser, noise, pauses, band limit, clipping and gain, each with its own chance; same shape."""
    sound = _normalised(sound)
    sound = _sometimes(0.25, _reverberate, sound, generator)
    sound = _sometimes(0.5, _equalise, sound, generator)
    sound = _sometimes(0.6, _add_noise, sound, generator)
    sound = _sometimes(0.15, _mute, sound, generator)
    sound = _sometimes(0.5, _limit_band, sound, generator)
    sound = _sometimes(0.1, _clip, sound, generator)
    gain = 10 ** (_uniform(-30, 0, sound, generator) / 20)
    peak = sound.abs().amax((1, 2), keepdim=True).clamp(min=1e-6)
    return (sound / peak * gain * 32_768).round() / 32_768  # int16 is what the detector is given


def _sometimes(chance: float, effect: _Effect, sound: Tensor, generator: torch.Generator) -> Tensor:
    chosen = torch.rand(sound.shape[0], 1, 1, generator=generator) < chance
    return torch.where(chosen, effect(sound, generator), sound)


def _uniform(low: float, high: float, sound: Tensor, generator: torch.Generator) -> Tensor:
    """One number a group: [groups, 1, 1]."""
    return low + (high - low) * torch.rand(sound.shape[0], 1, 1, generator=generator)


def _normalised(sound: Tensor) -> Tensor:
    """Every member at the same power, so that loudness says nothing."""
    level = sound.square().mean(2, keepdim=True).add(1e-10).sqrt()
    return 0.1 * sound / level


def _frequencies(sound: Tensor) -> Tensor:
    """Of each bin of the spectrum, in Hz."""
    answer: Tensor = torch.fft.rfftfreq(sound.shape[2], 1 / SAMPLE_RATE)
    return answer


def _filtered(sound: Tensor, response: Tensor) -> Tensor:
    answer: Tensor = torch.fft.irfft(torch.fft.rfft(sound) * response, n=sound.shape[2])
    return answer


def _reverberate(sound: Tensor, generator: torch.Generator) -> Tensor:
    """A room: noise that dies away within 0.1 to 0.6 s, 0 to 15 dB below the direct sound."""
    time = torch.arange(sound.shape[2]) / SAMPLE_RATE
    decay = torch.exp(-6.9 * time / _uniform(0.1, 0.6, sound, generator))
    room = torch.randn(sound.shape[0], 1, sound.shape[2], generator=generator) * decay
    room = room / room.square().sum(2, keepdim=True).sqrt() * 10 ** (_uniform(-15, 0, sound, generator) / 20)
    room[..., 0] = 1.0
    return _normalised(_filtered(sound, torch.fft.rfft(room)))


def _equalise(sound: Tensor, generator: torch.Generator) -> Tensor:
    """A smooth random curve of ±8 dB over the logarithm of frequency, and a high-pass between 20 and 300 Hz."""
    knots = torch.randn(sound.shape[0], 1, 8, generator=generator) * 4
    frequencies = _frequencies(sound)
    place = ((frequencies.clamp(min=60) / 60).log2() / 7.1 * 7).clamp(0, 6.999)
    left = place.floor().long()
    curve = knots[..., left] * (1 - (place - left)) + knots[..., left + 1] * (place - left)
    corner = _uniform(20, 300, sound, generator)
    high_pass = 1 / (1 + (corner / frequencies.clamp(min=1)) ** 4)
    return _filtered(sound, 10 ** (curve.clamp(-8, 8) / 20) * high_pass)


def _add_noise(sound: Tensor, generator: torch.Generator) -> Tensor:
    """Noise between white and brown, 5 to 45 dB below the speech."""
    slope = _uniform(0, 1, sound, generator)
    noise = torch.randn(sound.shape[0], 1, sound.shape[2], generator=generator)
    noise = _normalised(_filtered(noise, _frequencies(sound).clamp(min=50) ** -slope))
    return sound + noise * 10 ** (-_uniform(5, 45, sound, generator) / 20)


def _mute(sound: Tensor, generator: torch.Generator) -> Tensor:
    """Digital silence, at most 30 % of the length, anywhere."""
    place = torch.linspace(0, 1, sound.shape[2])
    begin = _uniform(0, 1, sound, generator)
    inside = (place >= begin) & (place < begin + _uniform(0.05, 0.3, sound, generator))
    return torch.where(inside, 0.0, sound)


def _limit_band(sound: Tensor, generator: torch.Generator) -> Tensor:
    """What a lower sample rate leaves: nothing above 3.3 to 8 kHz; a telephone for one group in three."""
    cutoff = _uniform(3300, 8000, sound, generator)
    telephone = torch.rand(sound.shape[0], 1, 1, generator=generator) < 1 / 3
    cutoff = torch.where(telephone, 3700.0, cutoff)
    steepness = _uniform(50, 400, sound, generator)
    return _filtered(sound, torch.sigmoid((cutoff - _frequencies(sound)) / steepness * 4))


def _clip(sound: Tensor, generator: torch.Generator) -> Tensor:
    """The peaks cut off at 0.2 to 0.8 of the loudest."""
    ceiling = sound.abs().amax((1, 2), keepdim=True) * _uniform(0.2, 0.8, sound, generator)
    return torch.minimum(torch.maximum(sound, -ceiling), ceiling)
