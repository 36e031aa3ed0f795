"""Windows over speech: where they lie, how they are filled, and that odd sound gives none."""

from __future__ import annotations

from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from veracity.catalog.assets import VAD_FILE
from veracity.catalog.layers import SAMPLE_RATE, WINDOW_SAMPLES
from veracity.evidence.speech import (
    MIN_SPEECH_SECONDS,
    SileroVad,
    energy_vad,
    speech_windows,
)
from veracity.settings import Settings

WINDOW_SECONDS = WINDOW_SAMPLES / SAMPLE_RATE


def voice(seconds: float, seed: int = 0) -> NDArray[np.int16]:
    """A buzz with syllables: 140 Hz harmonics, four times a second, over faint noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 4 * time) + 0.7, 0, 1)
    pcm: NDArray[np.int16] = (3_000 * buzz * syllables + 10 * rng.standard_normal(len(time))).astype(np.int16)
    return pcm


def silence(seconds: float) -> NDArray[np.int16]:
    return np.zeros(round(seconds * SAMPLE_RATE), np.int16)


def whole(pcm: NDArray[np.int16]) -> list[tuple[float, float]]:
    return [(0.0, len(pcm) / SAMPLE_RATE)]


def extent(spans: list[tuple[float, float]]) -> tuple[float, float]:
    return spans[0][0], spans[-1][1]


@pytest.mark.parametrize("pcm", [silence(0), silence(1)[:1], silence(3), np.zeros(100, np.int16)])
def test_no_speech_no_windows(pcm: NDArray[np.int16]) -> None:
    assert energy_vad(pcm) == []
    assert speech_windows(pcm, energy_vad, limit=3) == []


def test_energy_vad_finds_the_voice_between_silences() -> None:
    pcm = np.concatenate([silence(1.5), voice(2.0), silence(1.5)])
    assert extent(energy_vad(pcm)) == pytest.approx((1.5, 3.5), abs=0.2)


def test_energy_vad_is_about_contrast_not_level() -> None:
    loud = np.concatenate([silence(1), voice(2), silence(1)])
    soft = (loud * 0.1).astype(np.int16)
    assert extent(energy_vad(soft)) == pytest.approx(extent(energy_vad(loud)), abs=0.1)


def test_steady_sound_counts_as_speech_throughout() -> None:
    tone = (8_000 * np.sin(2 * np.pi * 300 * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE)).astype(np.int16)
    assert energy_vad(tone) == [(0.0, 2.0)]


def test_short_speech_is_repeated_to_fill_the_window() -> None:
    pcm = np.concatenate([silence(1), voice(1.0), silence(1)])
    (window,) = speech_windows(pcm, lambda _: [(1.0, 2.0)], limit=3)
    assert (window.start, window.end) == (1.0, 2.0)
    assert window.samples.dtype == np.int16
    assert window.samples.shape == (WINDOW_SAMPLES,)
    assert np.array_equal(window.samples[:SAMPLE_RATE], pcm[SAMPLE_RATE : 2 * SAMPLE_RATE])
    assert np.array_equal(window.samples[SAMPLE_RATE : 2 * SAMPLE_RATE], window.samples[:SAMPLE_RATE])


def test_too_little_speech_says_nothing() -> None:
    pcm = voice(2)
    assert speech_windows(pcm, lambda _: [(0.2, 0.2 + MIN_SPEECH_SECONDS - 0.01)], limit=3) == []
    assert len(speech_windows(pcm, lambda _: [(0.2, 0.2 + MIN_SPEECH_SECONDS)], limit=3)) == 1


def test_two_short_spans_share_a_window_that_ends_with_the_speech() -> None:
    (window,) = speech_windows(voice(5), lambda _: [(0.5, 0.9), (2.0, 2.3)], limit=3)
    assert (window.start, window.end) == (0.5, 2.3)


def test_windows_follow_one_another_without_overlap_and_hold_the_clip_s_samples() -> None:
    pcm = voice(11)
    windows = speech_windows(pcm, whole, limit=10)
    assert [window.start for window in windows] == pytest.approx([0, WINDOW_SECONDS, 2 * WINDOW_SECONDS])
    assert windows[-1].end == pytest.approx(11)
    assert np.array_equal(np.concatenate([window.samples for window in windows])[: len(pcm)], pcm)


def test_more_windows_than_asked_for_are_spread_over_the_clip() -> None:
    pcm = voice(60)
    windows = speech_windows(pcm, whole, limit=3)
    assert len(windows) == 3
    assert windows[0].start == 0
    assert windows[1].start == pytest.approx(30, abs=WINDOW_SECONDS)
    assert windows[2].end == pytest.approx(60, abs=WINDOW_SECONDS)


def test_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="limit must be at least 1"):
        speech_windows(voice(1), energy_vad, limit=0)


def test_missing_silero_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="veracity weights fetch"):
        SileroVad(tmp_path / "silero_vad.onnx")


@pytest.fixture(scope="module")
def silero() -> SileroVad:
    path = Settings.from_env().weights / VAD_FILE
    if not path.is_file():
        pytest.skip(f"{VAD_FILE} is not installed: make models")
    return SileroVad(path)


@pytest.mark.parametrize("name", ["silero", "energy"])
def test_a_search_that_nobody_waits_for_ends(name: str, silero: SileroVad) -> None:
    """Ten minutes of silence; the second time that it asks, nobody waits any more."""
    asked = iter([False, True])
    with pytest.raises(CancelledError):
        (silero if name == "silero" else energy_vad)(silence(600), stopped=lambda: next(asked))
    assert next(asked, None) is None


def test_energy_vad_finds_a_voice_past_its_first_block() -> None:
    pcm = np.concatenate([silence(61), voice(2), silence(60)])
    assert extent(energy_vad(pcm)) == pytest.approx((61, 63), abs=0.1)


@pytest.mark.parametrize("samples", [0, 1, 511, 512, 513])
def test_silero_hears_nothing_in_silence(silero: SileroVad, samples: int) -> None:
    probabilities = silero.probabilities(np.zeros(samples, np.int16))
    assert len(probabilities) == -(-samples // 512)
    assert np.all(probabilities < 0.5)
    assert silero(np.zeros(samples, np.int16)) == []


def test_silero_hears_no_speech_in_noise(silero: SileroVad) -> None:
    noise = (500 * np.random.default_rng(0).standard_normal(3 * SAMPLE_RATE)).astype(np.int16)
    assert silero(noise) == []


def test_silero_forgets_the_clip_before(silero: SileroVad) -> None:
    first = silero.probabilities(voice(2))
    silero.probabilities(voice(3, seed=1))
    assert np.array_equal(silero.probabilities(voice(2)), first)
