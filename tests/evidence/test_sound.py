"""Which sound is examined: the track that carries some, and the channel in which somebody speaks."""

from __future__ import annotations

import wave
from pathlib import Path

import media_samples as samples
import numpy as np
import pytest
from media_samples import pitch, run
from numpy.typing import NDArray

from veracity.evidence.sound import Sound, find_speech, read_sound
from veracity.evidence.speech import Pcm, Spans, Stopped, energy_vad, never
from veracity.media import Media, Source
from veracity.media.ffmpeg import find_ffmpeg
from veracity_client.errors import BadOption


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sound")


def read(file: Path, track: int | None = None) -> list[Sound]:
    async def reading() -> list[Sound]:
        with Media.open(Source(file), samples.LIMITS) as media:
            return await read_sound(media, track)

    return run(reading())


def beeps(seconds: float = 4) -> tuple[str, ...]:
    """Return input arguments: a tone that comes and goes, which the energy detector takes for speech."""
    return "-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds},volume='lt(mod(t,1),0.6)':eval=frame"


def stereo(folder: Path, name: str, left: str, right: str) -> Path:
    """Return a file of two channels, each a gain of the beeps (c0)."""
    return samples.write(folder / f"{name}.flac", *beeps(), "-af", f"pan=stereo|FL={left}*c0|FR={right}*c0")


def test_channels_out_of_phase_do_not_cancel(folder: Path) -> None:
    (sound,) = read(stereo(folder, "opposite", "1", "-1"))
    assert sound.channel in (0, 1)
    assert pitch(sound.samples) == pytest.approx(440, abs=2)
    assert np.abs(sound.samples).max() > 3_000


@pytest.mark.parametrize(("left", "right"), [("1", "1"), ("1", "0.3"), ("1", "0")])
def test_an_ordinary_mix_is_what_ffmpeg_mixes(folder: Path, left: str, right: str) -> None:
    file = stereo(folder, f"in-phase-{right}", left, right)
    (sound,) = read(file)
    assert sound.channel is None
    assert np.array_equal(sound.samples, run(samples.audio(file, find_ffmpeg())))


def written(target: Path, channels: list[NDArray[np.float64]]) -> Path:
    """Write a wav without a channel layout; each channel is a float array [samples] at 16 kHz."""
    with wave.open(str(target), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.stack(channels, axis=1) * 32_767).astype("<i2").tobytes())
    return target


def beeping(seconds: int = 4) -> NDArray[np.float64]:
    """Return a tone of 440 Hz that comes and goes, float [samples]."""
    time = np.arange(seconds * 16_000) / 16_000
    tone: NDArray[np.float64] = 0.3 * np.sin(2 * np.pi * 440 * time) * (time % 1 < 0.6)
    return tone


def test_a_voice_on_one_side_and_noise_on_the_other(folder: Path) -> None:
    noise = np.random.default_rng(1).uniform(-0.9, 0.9, 64_000)
    file = written(folder / "sides.wav", [noise, beeping()])
    sounds = read(file)
    assert [sound.channel for sound in sounds] == [None, 0, 1]
    by_channel = {id(sound.samples): [] if sound.channel != 1 else [(0.0, 2.4)] for sound in sounds}

    def vad(pcm: Pcm, stopped: Stopped = never) -> Spans:
        return by_channel[id(pcm)]

    heard, spans = find_speech(sounds, vad)
    assert heard.channel == 1
    assert spans == [(0.0, 2.4)]
    assert pitch(heard.samples) == pytest.approx(440, abs=2)


def test_two_who_speak_on_either_side_are_mixed() -> None:
    pcm = [np.full(16_000, k, np.int16) for k in range(3)]
    sounds = [Sound(pcm[0], 0), Sound(pcm[1], 0, 0, 1.0), Sound(pcm[2], 0, 1, 1.0)]
    spans = {0: [(0.0, 4.0)], 1: [(0.0, 2.0)], 2: [(2.0, 4.0)]}

    def vad(pcm: Pcm, stopped: Stopped = never) -> Spans:
        return spans[int(pcm[0])]

    heard, found = find_speech(sounds, vad)
    assert heard.channel is None
    assert found == [(0.0, 4.0)]


def test_ten_channels_without_a_layout(folder: Path) -> None:
    file = written(folder / "ten.wav", [beeping() * (k == 6) for k in range(10)])
    sounds = read(file)
    assert [sound.channel for sound in sounds] == [6]
    heard, spans = find_speech(sounds, energy_vad)
    assert pitch(heard.samples) == pytest.approx(440, abs=2)
    assert spans


def test_the_default_track_and_the_one_that_carries_sound(folder: Path) -> None:
    silent = ("-f", "lavfi", "-i", "anullsrc=duration=4")
    both = ("-map", 0, "-map", 1, "-c:a", "flac")
    second = samples.write(folder / "silent-first.mka", *silent, *beeps(), *both)
    assert [sound.track for sound in read(second)] == [1]
    assert [sound.track for sound in read(second, 0)] == [0]
    other = ("-f", "lavfi", "-i", "sine=frequency=880:duration=4")
    default = ("-disposition:a:0", "0", "-disposition:a:1", "default")
    marked = samples.write(folder / "default-second.mka", *beeps(), *other, *both, *default)
    (sound,) = read(marked)
    assert sound.track == 1
    assert pitch(sound.samples) == pytest.approx(880, abs=2)
    with pytest.raises(BadOption, match="audio_track 2"):
        read(marked, 2)


def test_what_a_track_is_called_hides_nothing(folder: Path) -> None:
    lies = ("-metadata:s:a:0", "language=x): Audio: aac", "-metadata", "title=Cannot allocate memory")
    file = samples.write(folder / "lies.mkv", *samples.picture(), *beeps(), *samples.H264, "-c:a", "flac", *lies)
    (sound,) = read(file)
    assert pitch(sound.samples) == pytest.approx(440, abs=2)
