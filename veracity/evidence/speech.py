"""Where somebody speaks, and the windows that the audio detectors score.

All sound here is int16 PCM, mono, 16 kHz. A voice-activity detector is anything that takes such an array [n] and
returns the spans of speech in seconds, in order and without overlap; two are here: `SileroVad`, a small network, and
`energy_vad`, which needs numpy alone. Both work through the sound a block at a time, so that half an hour takes no
copy of it, and ask before each block whether the result is still wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from veracity.catalog.layers import SAMPLE_RATE, WINDOW_SAMPLES

MIN_SPEECH_SECONDS = 0.5  # a window with less speech than this is too short to judge a voice by

Pcm = npt.NDArray[np.int16]
Spans = list[tuple[float, float]]
Bounds = tuple[int, int]  # first sample, and the first one after it
Stopped = Callable[[], bool]


def never() -> bool:
    """Say that the result is still wanted."""
    return False


class Vad(Protocol):
    """A voice-activity detector; raises CancelledError soon after ``stopped`` says so."""

    def __call__(self, pcm: Pcm, /, stopped: Stopped = never) -> Spans: ...  # noqa: D102  the class says it


_BLOCK_SECONDS = 60
_PCM_SCALE = 32_768.0
_PAD_SECONDS = 0.03  # kept on either side of a span: onsets are quieter than the threshold
_BRIDGE_SECONDS = 0.1  # a shorter pause does not end a span
_MIN_SPAN_SECONDS = 0.25  # shorter spans are clicks


@dataclass(frozen=True)
class SpeechWindow:
    """A stretch of a clip: `start` and `end` in seconds, `samples` int16 [WINDOW_SAMPLES]."""

    start: float
    end: float
    samples: Pcm


class SileroVad:
    """Silero's voice-activity detector (version 5 and 6 share the tensors), on one CPU thread.

    The graph reads 512 samples (32 ms) at a time, preceded by the last 64 samples of the chunk before, and carries a
    state [2, 1, 128] from chunk to chunk.
    """

    CHUNK = 512
    CONTEXT = 64
    THRESHOLD = 0.5
    RELEASE = 0.35  # a span goes on until the probability falls below this: no flicker around the threshold

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError when there is no file at `path`."""
        if not path.is_file():
            raise FileNotFoundError(f"no silero VAD at {path}: fetch it with `veracity weights fetch`")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, pcm: Pcm, /, stopped: Stopped = never) -> Spans:
        """Spans of speech in seconds."""
        probabilities = self.probabilities(pcm, stopped)
        speaking = _hysteresis(probabilities, self.THRESHOLD, self.RELEASE)
        return _spans(speaking, self.CHUNK / SAMPLE_RATE, len(pcm) / SAMPLE_RATE)

    def probabilities(self, pcm: Pcm, stopped: Stopped = never) -> npt.NDArray[np.float32]:
        """P(speech) of each chunk of 512 samples, the last one filled up with silence: float32 [ceil(n / 512)]."""
        chunks = -(-len(pcm) // self.CHUNK)
        sound = np.zeros((1, self.CONTEXT + self.CHUNK), np.float32)
        state = np.zeros((2, 1, 128), np.float32)
        rate = np.array(SAMPLE_RATE, np.int64)
        probabilities = np.empty(chunks, np.float32)
        for index in range(chunks):
            _go_on(stopped)
            chunk = pcm[index * self.CHUNK : (index + 1) * self.CHUNK]
            sound[0, : self.CONTEXT] = sound[0, -self.CONTEXT :]
            sound[0, self.CONTEXT :] = 0
            sound[0, self.CONTEXT : self.CONTEXT + len(chunk)] = chunk / _PCM_SCALE
            probability, state = self._session.run(None, {"input": sound, "state": state, "sr": rate})
            probabilities[index] = probability[0, 0]
        return probabilities


def energy_vad(pcm: Pcm, /, stopped: Stopped = never) -> Spans:
    """Spans in which the sound is well above the clip's own noise floor.

    It measures loudness: music and traffic pass too. Frames of 20 ms; the threshold lies 40 % of the way, in
    decibels, from the quiet tenth of the frames to the loud tenth. Steady sound (under 6 dB between the two) counts
    as speech throughout where it is above -50 dBFS, since nothing in it marks a pause; below that it is silence.
    """
    frame = SAMPLE_RATE // 50
    frames = len(pcm) // frame
    if frames == 0:
        return []
    power = np.empty(frames)
    for first in range(0, frames, _BLOCK_SECONDS * 50):
        _go_on(stopped)
        block = pcm[first * frame : min(first + _BLOCK_SECONDS * 50, frames) * frame].reshape(-1, frame)
        power[first : first + len(block)] = np.mean((block / _PCM_SCALE) ** 2, axis=1)
    level = 10 * np.log10(power + 1e-10)
    quiet, loud = np.maximum(np.percentile(level, (10, 90)), -60.0)  # digital silence is no floor to measure from
    threshold = -50.0 if loud - quiet < 6 else quiet + 0.4 * (loud - quiet)
    speaking = _hysteresis(level, threshold, threshold - 3)
    return _spans(speaking, frame / SAMPLE_RATE, len(pcm) / SAMPLE_RATE)


def _go_on(stopped: Stopped) -> None:
    if stopped():
        raise CancelledError


def speech_windows(pcm: Pcm, vad: Callable[[Pcm], Spans], *, limit: int) -> list[SpeechWindow]:
    """At most `limit` windows over the speech of a clip, in order; none where nobody speaks for half a second.

    A window begins where speech begins and ends with the last speech in reach, so that leading and trailing silence
    are not judged. What is shorter than a window is repeated until it is full, as the published detectors do. Where
    more than `limit` windows fit, those kept are spread evenly over the clip.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    bounds = list(window_bounds(vad(pcm), len(pcm)))
    if len(bounds) > limit:
        bounds = [bounds[index] for index in np.linspace(0, len(bounds) - 1, limit).round().astype(int)]
    return [window(pcm, *one) for one in bounds]


def window(pcm: Pcm, begin: int, end: int) -> SpeechWindow:
    """Cut a window out of a clip, from sample `begin` to `end`."""
    return SpeechWindow(begin / SAMPLE_RATE, end / SAMPLE_RATE, np.resize(pcm[begin:end], WINDOW_SAMPLES))


def window_bounds(spans: Iterable[tuple[float, float]], length: int) -> Iterator[Bounds]:
    """First and last sample of each window: spans are taken while they fit, a longer span is cut."""
    pending = [(round(start * SAMPLE_RATE), min(round(end * SAMPLE_RATE), length)) for start, end in spans]
    while pending:
        begin = pending[0][0]
        limit = begin + WINDOW_SAMPLES
        inside = [(start, min(end, limit)) for start, end in pending if start < limit]
        if sum(end - start for start, end in inside) >= MIN_SPEECH_SECONDS * SAMPLE_RATE:
            yield begin, inside[-1][1]
        pending = [(max(start, limit), end) for start, end in pending if end > limit]


def _hysteresis(values: npt.NDArray[np.floating[Any]], on: float, off: float) -> npt.NDArray[np.bool_]:
    """True from where a value reaches `on` until one falls below `off`."""
    marks = np.where(values >= on, 1, np.where(values < off, -1, 0))
    last = np.maximum.accumulate(np.where(marks != 0, np.arange(len(marks)), -1))
    return np.asarray((last >= 0) & (marks[last] > 0))


def _spans(speaking: npt.NDArray[np.bool_], step: float, duration: float) -> Spans:
    """Frames of `step` seconds → spans: short pauses bridged, short spans dropped, the rest padded."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], speaking, [False])).astype(np.int8)))
    merged: list[list[float]] = []
    for start, end in edges.reshape(-1, 2) * step:
        if merged and start - merged[-1][1] < _BRIDGE_SECONDS:
            merged[-1][1] = float(end)
        else:
            merged.append([float(start), float(end)])
    return [
        (max(start - _PAD_SECONDS, 0.0), min(end + _PAD_SECONDS, duration))
        for start, end in merged
        if end - start >= _MIN_SPAN_SECONDS
    ]
