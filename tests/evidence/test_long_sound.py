"""Long sound is searched and examined over its whole length, at a bounded cost."""

import numpy as np
import pytest
from numpy.typing import NDArray

from veracity.catalog.layers import AUDIO_WINDOWS, SAMPLE_RATE
from veracity.evidence.long_sound import HIGHEST, PLACES, SEARCHED_SECONDS, first_pass, search_places, second_pass
from veracity.evidence.sound import Sound, find_speech
from veracity.evidence.speech import Pcm, Spans, Stopped, energy_vad, never

HOUR = 3600


def everywhere(pcm: Pcm, /, stopped: Stopped = never) -> Spans:
    """Somebody speaks all the time."""
    return [(0.0, len(pcm) / SAMPLE_RATE)]


def noise(seconds: float, loud: float) -> NDArray[np.int16]:
    return np.random.default_rng(0).normal(0, loud, int(seconds * SAMPLE_RATE)).astype(np.int16)


@pytest.mark.parametrize(("seconds", "wanted"), [(8, 2), (60, AUDIO_WINDOWS), (400, AUDIO_WINDOWS), (1800, 36)])
def test_the_first_pass_grows_with_the_sound(seconds: int, wanted: int) -> None:
    windows = seconds // 4
    chosen = first_pass(windows, seconds)
    assert len(set(chosen)) == wanted
    assert (chosen[0], chosen[-1]) == (0, windows - 1)
    assert max(np.diff(chosen)) - min(np.diff(chosen)) <= 1


@pytest.mark.parametrize("seconds", [HOUR, 10 * HOUR])
def test_the_first_pass_of_an_hour_is_the_largest(seconds: int) -> None:
    assert len(first_pass(seconds // 4, seconds)) == PLACES


def test_the_second_pass_takes_what_lies_beside_the_highest() -> None:
    first = list(range(0, 100, 5))
    logits = np.full(len(first), -3.0)
    logits[[0, 7]] = 2.0
    logits[4 : 4 + HIGHEST - 1] = 1.0
    chosen = second_pass(first, logits, 100)
    assert chosen[0] == 1  # nothing is before the first window
    assert {34, 36} < set(chosen)
    assert len(chosen) == 2 * HIGHEST - 1
    assert not set(chosen) & set(first)


def test_neighbours_that_were_scored_are_not_scored_again() -> None:
    assert second_pass([0, 1, 2], np.zeros(3), 3) == []


def test_every_minute_of_an_hour_holds_a_whole_place() -> None:
    places = search_places(np.zeros(HOUR * SAMPLE_RATE, np.int16), everywhere)
    assert sum(end - start for start, end in places) == pytest.approx(SEARCHED_SECONDS)
    for begin in np.arange(0, HOUR - 60, 0.5):
        assert any(begin <= start and end <= begin + 60 for start, end in places), begin


def test_speech_of_long_sound_is_found_where_it_is() -> None:
    """The second half of each minute is loud: no place tells of speech in the first half."""
    second = np.arange(1200 * SAMPLE_RATE) / SAMPLE_RATE
    pcm = np.where(second % 60 < 30, noise(1200, 3), noise(1200, 3000)).astype(np.int16)
    _, spans = find_speech([Sound(pcm, 0)], energy_vad)
    assert sum(end - start for start, end in spans) == pytest.approx(SEARCHED_SECONDS / 2, rel=0.2)
    for start, end in spans:
        assert start % 60 >= 29.9 or end % 60 <= 0.1, (start, end)


def test_little_speech_of_long_sound_is_found_between_the_places_too() -> None:
    pcm = noise(1500, 3)
    pcm[700 * SAMPLE_RATE : 720 * SAMPLE_RATE] = noise(20, 3000)
    _, spans = find_speech([Sound(pcm, 0)], energy_vad)
    assert [(round(start), round(end)) for start, end in spans] == [(700, 720)]
