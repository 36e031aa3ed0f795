"""The spectrogram shows a tone where it is, in time and in pitch, at a cost that does not grow with the sound."""

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from veracity.evidence.spectrogram import COLUMNS, log_mel


def tone(seconds: float, hertz: float) -> NDArray[np.int16]:
    return np.asarray(10_000 * np.sin(2 * np.pi * hertz * np.arange(round(16_000 * seconds)) / 16_000), np.int16)


@pytest.mark.parametrize("hertz", [100, 1000, 4000, 7900])
def test_a_tone_is_the_row_of_its_pitch(hertz: float) -> None:
    image = log_mel(tone(1, hertz))
    assert image.shape == (128, 100)
    mel = 2595 * np.log10(1 + np.array([hertz, 8000]) / 700)
    from_below = 127 - int(image[:, 50].argmax())
    assert from_below == pytest.approx(129 * mel[0] / mel[1] - 1, abs=1)


def test_a_column_is_its_time() -> None:
    image = log_mel(np.concatenate([np.zeros(16_000, np.int16), tone(1, 1000)]))
    assert image[:, :90].max() == 0
    assert image[:, 110:].max(axis=0).min() == 255


@pytest.mark.parametrize("samples", [1, 100, 1023, 1024, 1025])
def test_sound_of_any_length_has_one(samples: int) -> None:
    assert log_mel(tone(1, 440)[:samples]).shape[0] == 128


def test_an_hour_is_as_wide_as_a_minute_and_takes_seconds() -> None:
    begun = time.process_time()
    assert log_mel(np.resize(tone(1, 440), 3600 * 16_000)).shape == (128, COLUMNS)
    assert time.process_time() - begun < 10
