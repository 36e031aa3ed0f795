"""Forgeries of real speech, so that the members of a pair differ in the manipulation alone.

Each method takes float32 speech [n] at 16 kHz within ±1 and returns a re-synthesis of the same length: artefacts of
vocoders from parametric to neural ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from scipy import linalg, ndimage, signal

from veracity.catalog.layers import SAMPLE_RATE

with warnings.catch_warnings():
    # pyworld 0.3.5 asks pkg_resources for its own version, which setuptools before 81 warns about (and 81 lacks)
    warnings.filterwarnings("ignore", "pkg_resources is deprecated")
    import pyworld

Sound = npt.NDArray[np.float32]
Method = Callable[[Sound, np.random.Generator], Sound]


def world(speech: Sound, rng: np.random.Generator) -> Sound:
    """WORLD analysis and synthesis, half of the time with the pitch moved by up to a quarter."""
    return _synthesised(*_analysed(speech, rng), len(speech), rng)


def world_statistical(speech: Sound, rng: np.random.Generator) -> Sound:
    """WORLD with the envelope squeezed into a few coefficients, as in statistical synthesis and voice conversion.

    Half of the time envelope and pitch are smoothed over 25 to 150 ms too, as by a model that learned averages.
    """
    pitch, envelope, aperiodicity, period = _analysed(speech, rng)
    code = pyworld.code_spectral_envelope(envelope, SAMPLE_RATE, int(rng.integers(20, 50)))
    if rng.random() < 0.5:
        reach = rng.uniform(25, 150) / period / 2  # frames, of a deviation
        code = ndimage.gaussian_filter1d(code, reach, axis=0)
        pitch = np.where(pitch > 0, ndimage.gaussian_filter1d(_bridged(pitch), reach), 0.0)
    envelope = pyworld.decode_spectral_envelope(np.ascontiguousarray(code), SAMPLE_RATE, (envelope.shape[1] - 1) * 2)
    return _synthesised(pitch, envelope, aperiodicity, period, len(speech), rng)


def world_voice(speech: Sound, rng: np.random.Generator) -> Sound:
    """Another speaker by WORLD: formants moved by up to a sixth, pitch with them or against them."""
    pitch, envelope, aperiodicity, period = _analysed(speech, rng)
    factor = rng.uniform(0.84, 1.19)
    bins = np.minimum(np.arange(envelope.shape[1]) / factor, envelope.shape[1] - 1)
    left = bins.astype(int)
    right, share = np.minimum(left + 1, envelope.shape[1] - 1), bins - left
    moved = np.exp(np.log(envelope[:, left]) * (1 - share) + np.log(envelope[:, right]) * share)
    return _synthesised(pitch * rng.uniform(0.7, 1.45), moved, aperiodicity, period, len(speech), rng)


def griffin_lim(speech: Sound, rng: np.random.Generator) -> Sound:
    """A spectrogram's magnitudes with estimated phases (Griffin-Lim)."""
    size = int(rng.choice([400, 512, 800, 1024]))
    magnitude = _stft(speech, size).abs()
    return _guess_phases(magnitude, size, len(speech), rng)


def mel_griffin_lim(speech: Sound, rng: np.random.Generator) -> Sound:
    """A mel spectrogram brought back to linear bands, then Griffin-Lim: text-to-speech without a neural vocoder."""
    size = int(rng.choice([512, 800, 1024]))
    magnitude = _through_mel(_stft(speech, size).abs(), size, int(rng.integers(40, 129)))
    return _guess_phases(magnitude, size, len(speech), rng)


def mel_vocoder(speech: Sound, rng: np.random.Generator) -> Sound:
    """What a good neural vocoder gets nearly right: mel magnitudes, phases truer in the low bands than in the high.

    Half of the time the magnitudes are blurred over time first, as those that a text-to-speech model predicts.
    """
    size = int(rng.choice([512, 800, 1024]))
    spectrum = _stft(speech, size)
    loud = spectrum.abs()
    if rng.random() < 0.5:
        reach = rng.uniform(8, 40) / 1000 * SAMPLE_RATE / (size / 4)  # frames, of a deviation of 8 to 40 ms
        loud = torch.from_numpy(np.exp(ndimage.gaussian_filter1d(np.log(loud.numpy() + 1e-5), reach, axis=1)))
    magnitude = _through_mel(loud, size, int(rng.integers(40, 129)))
    return _istft(torch.polar(magnitude, spectrum.angle() + _phase_error(spectrum, rng)), size, len(speech))


def phase_blur(speech: Sound, rng: np.random.Generator) -> Sound:
    """The magnitudes kept, the phases disturbed above a random frequency."""
    size = int(rng.choice([320, 512, 1024]))
    spectrum = _stft(speech, size)
    return _istft(torch.polar(spectrum.abs(), spectrum.angle() + _phase_error(spectrum, rng)), size, len(speech))


def upsampled(speech: Sound, rng: np.random.Generator) -> Sound:
    """What layers that raise the sample rate leave: images of the low band in the high one, and a hum of their stride.

    The sound is taken to a quarter or half of its rate and back by a filter that is too short; the upper band of the
    original is mixed in again, more or less, so that not bandwidth tells.
    """
    factor = int(rng.choice([2, 4]))
    low = signal.resample_poly(speech, 1, factor)
    raised = np.zeros(len(low) * factor)
    raised[::factor] = low * factor
    taps = signal.firwin(2 * factor * int(rng.integers(1, 3)) + 1, 1 / factor, window="boxcar")
    images = np.resize(np.convolve(raised, taps, "same"), len(speech))
    high = speech - np.resize(signal.resample_poly(low, factor, 1), len(speech))
    stride = int(rng.choice([64, 128, 256]))
    ripple = (
        1 + rng.uniform(0.02, 0.15) * np.tile(rng.standard_normal(stride), len(speech) // stride + 1)[: len(speech)]
    )
    answer: Sound = ((images + rng.uniform(0.3, 1.0) * high) * ripple).astype(np.float32)
    return answer


def linear_prediction(speech: Sound, rng: np.random.Generator) -> Sound:
    """An all-pole envelope per frame, excited by pulses and noise: formant synthesis and old speech codecs."""
    hop, order = 160, int(rng.integers(14, 24))
    pitch, _ = pyworld.dio(speech.astype(np.float64), SAMPLE_RATE, frame_period=1000 * hop / SAMPLE_RATE)
    source = np.pad(_pulses(pitch, hop, len(speech), rng), 2 * hop)
    padded = np.pad(speech, 2 * hop)
    window = np.hanning(4 * hop)
    answer = np.zeros(len(padded))
    for begin in range(0, len(padded) - 4 * hop, hop):
        frame = slice(begin, begin + 4 * hop)
        answer[frame] += _shaped(source[frame], padded[frame] * window, order) * window / 2
    return answer[2 * hop : 2 * hop + len(speech)].astype(np.float32)


METHODS: dict[str, Method] = {
    method.__name__: method
    for method in (
        world,
        world_statistical,
        world_voice,
        griffin_lim,
        mel_griffin_lim,
        mel_vocoder,
        phase_blur,
        upsampled,
        linear_prediction,
    )
}


_Analysis = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64], float]


def _analysed(speech: Sound, rng: np.random.Generator) -> _Analysis:
    """Pitch [frames], envelope and aperiodicity [frames, bins], and the frame period in ms, which is drawn."""
    sound, period = speech.astype(np.float64), float(rng.choice([5.0, 5.0, 8.0, 10.0]))
    rough, times = pyworld.dio(sound, SAMPLE_RATE, frame_period=period)
    pitch = pyworld.stonemask(sound, rough, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(sound, pitch, times, SAMPLE_RATE)
    return pitch, envelope, pyworld.d4c(sound, pitch, times, SAMPLE_RATE), period


def _synthesised(
    pitch: npt.NDArray[np.float64],
    envelope: npt.NDArray[np.float64],
    aperiodicity: npt.NDArray[np.float64],
    period: float,
    length: int,
    rng: np.random.Generator,
) -> Sound:
    if rng.random() < 0.5:
        pitch = pitch * rng.uniform(0.8, 1.25)
    answer = pyworld.synthesize(pitch, np.ascontiguousarray(envelope), aperiodicity, SAMPLE_RATE, period)
    return np.resize(answer, length).astype(np.float32)


def _bridged(pitch: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The pitch with straight lines where there is none."""
    voiced = np.flatnonzero(pitch)
    return np.interp(np.arange(len(pitch)), voiced, pitch[voiced]) if len(voiced) else pitch


def _pulses(pitch: npt.NDArray[np.float64], hop: int, length: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A pulse a pitch period where the voice sounds, noise elsewhere, both of unit power: [length]."""
    track = np.resize(np.repeat(pitch, hop), length)
    turns = np.floor(np.cumsum(track / SAMPLE_RATE))
    pulses = np.diff(turns, prepend=0.0) * np.sqrt(SAMPLE_RATE / np.maximum(track, 50.0))
    noise = rng.standard_normal(length)
    return np.where(track > 0, pulses + rng.uniform(0.0, 0.3) * noise, noise)


def _shaped(source: npt.NDArray[np.float64], frame: npt.NDArray[np.float64], order: int) -> npt.NDArray[np.float64]:
    """The source through the all-pole filter of a frame, as loud as the frame; nothing where the frame is silent."""
    correlation = np.correlate(frame, frame, "full")[len(frame) - 1 :][: order + 1]
    if correlation[0] < 1e-7:
        return np.zeros_like(source)
    correlation[0] *= 1.0001  # keeps the equations solvable
    poles = linalg.solve_toeplitz(correlation[:-1], correlation[1:])
    power = max(correlation[0] - poles @ correlation[1:], 1e-9) / np.sum(np.hanning(len(frame)) ** 2)
    return np.asarray(signal.lfilter([np.sqrt(power)], np.concatenate(([1.0], -poles)), source))


def _stft(speech: Sound, size: int) -> torch.Tensor:
    """Complex [size / 2 + 1, frames], a hop of a quarter of `size`."""
    return torch.stft(torch.from_numpy(speech), size, size // 4, window=torch.hann_window(size), return_complex=True)


def _istft(spectrum: torch.Tensor, size: int, length: int) -> Sound:
    window = torch.hann_window(size)
    answer: Sound = torch.istft(spectrum, size, size // 4, window=window, length=length).numpy()
    return answer


def _guess_phases(magnitude: torch.Tensor, size: int, length: int, rng: np.random.Generator) -> Sound:
    phases = torch.from_numpy(rng.uniform(-np.pi, np.pi, magnitude.shape).astype(np.float32))
    for _ in range(int(rng.integers(4, 33))):
        phases = _stft(_istft(torch.polar(magnitude, phases), size, length), size).angle()
    return _istft(torch.polar(magnitude, phases), size, length)


def _phase_error(spectrum: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Normal noise in radians: none up to a random frequency, then growing to the top."""
    bands, frames = spectrum.shape
    ramp = torch.linspace(0, 1, bands)[:, None]
    rise = ((ramp - rng.uniform(0.0, 0.5)) * 3).clamp(0, 1) * rng.uniform(0.4, 2.0)
    return rise * torch.from_numpy(rng.standard_normal((bands, frames)).astype(np.float32))


def _through_mel(magnitude: torch.Tensor, size: int, mels: int) -> torch.Tensor:
    """Magnitudes [bands, frames] → mel bands → the least-squares way back, never negative."""
    bank, inverse = _mel_bank(size, mels)
    return (inverse @ (bank @ magnitude)).clamp(min=1e-5)


@cache
def _mel_bank(size: int, mels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Triangles on the mel scale up to 8 kHz [mels, size / 2 + 1], and their pseudo-inverse."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)
    bands = np.linspace(0, SAMPLE_RATE / 2, size // 2 + 1)
    rise = (bands - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    fall = (corners[2:, None] - bands) / (corners[2:] - corners[1:-1])[:, None]
    bank = np.maximum(0, np.minimum(rise, fall))
    return torch.from_numpy(bank.astype(np.float32)), torch.from_numpy(np.linalg.pinv(bank).astype(np.float32))
