"""The channel of one recording put on another: its level, its long-term spectrum, its noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve

Sound = npt.NDArray[np.float32]
Power = npt.NDArray[np.float64]

_SIZE, _HOP = 512, 128
_BROAD, _NARROW = 8, 3  # bins of a spectrum that are smoothed together: of a voice, and of a noise
_QUIET = 0.1  # share of the frames that hold the noise alone
_MOST = 10.0  # by how much a band is raised or lowered
_PEAK = 0.99


def as_recorded(speech: Sound, recording: Sound, rng: np.random.Generator) -> Sound:
    """``speech`` as it would sound in the channel of ``recording``; both float32 [n], of one sample rate."""
    there, here = _power(recording), _power(speech)
    wanted, found = _usual(there), _usual(here)
    gain = np.clip(np.sqrt(wanted / wanted.sum() / (found / found.sum())), 1 / _MOST, _MOST)
    shaped = _filtered(speech, gain)
    shaped *= np.sqrt(np.mean(recording**2) / max(float(np.mean(shaped**2)), 1e-12))
    noise, floor = _quiet(there), _quiet(_power(shaped))
    if noise.sum() > floor.sum():
        white = rng.standard_normal(len(shaped)).astype(np.float32)
        shaped = shaped + _filtered(white, np.sqrt(noise / _power(white).mean()))
    answer: Sound = (shaped / max(1.0, float(np.abs(shaped).max()) / _PEAK)).astype(np.float32)
    return answer


def _power(sound: Sound) -> Power:
    """The power of each frame and bin, [frames, 257]."""
    window = np.hanning(_SIZE + 1)[:-1]
    padded = np.pad(sound.astype(np.float64), _SIZE)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _SIZE)[::_HOP]
    spectrum = np.fft.rfft(frames * window)
    answer: Power = spectrum.real**2 + spectrum.imag**2
    return answer


def _usual(power: Power) -> Power:
    """The mean spectrum, smooth."""
    return _smooth(power.mean(0), _BROAD)


def _quiet(power: Power) -> Power:
    """The mean spectrum of the quietest frames that are not empty, smooth."""
    heard = power[power.sum(1) > 0]
    energy = heard.sum(1)
    return _smooth(heard[energy <= np.quantile(energy, _QUIET)].mean(0), _NARROW)


def _smooth(power: Power, bins: int) -> Power:
    kernel = np.hanning(2 * bins + 3)[1:-1]
    padded = np.pad(np.log(power + 1e-12), bins, mode="edge")
    answer: Power = np.exp(np.convolve(padded, kernel / kernel.sum(), "valid"))
    return answer


def _filtered(sound: Sound, gain: Power) -> Sound:
    """``sound`` through a filter without phase that has a gain in each of the 257 bins."""
    response = np.roll(np.fft.irfft(gain, _SIZE), _SIZE // 2) * np.hanning(_SIZE)
    answer: Sound = fftconvolve(sound, response, "same").astype(np.float32)
    return answer
