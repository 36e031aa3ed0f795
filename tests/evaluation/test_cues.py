"""Cues of real files, and of sound whose cues are known."""

from pathlib import Path

import cv2
import media_samples as samples
import numpy as np
import pytest

from evaluation import cues
from veracity.evidence.excerpts import fineness
from veracity.media import find_ffmpeg
from veracity_client.errors import BadVideo

RATE = 16_000


def test_cues_of_a_film(tmp_path: Path) -> None:
    clip = samples.write(tmp_path / "c.mp4", *samples.picture(), *samples.tone(), *samples.H264, "-ar", 22_050)
    found = cues.read(clip, samples.LIMITS, find_ffmpeg())
    words = ("container", "video_codec", "audio_codec", "width", "sample_rate")
    assert [found[name] for name in words] == ["mov,mp4,m4a,3gp,3g2,mj2", "h264", "aac", 320, 22_050]
    assert found["seconds"] == pytest.approx(2, abs=0.1)
    assert found["bytes_per_second"] == pytest.approx(clip.stat().st_size / float(found["seconds"]), abs=0.1)
    assert found["loudness"] == pytest.approx(-21, abs=1)  # a sine at an eighth: -18.06 - 3.01 dB


def test_a_picture_has_no_sound_and_a_sound_no_picture(tmp_path: Path) -> None:
    (tmp_path / "still.png").write_bytes(samples.png(64, 48))
    still = cues.read(tmp_path / "still.png", samples.LIMITS, find_ffmpeg())
    assert still.keys() == {"container", "video_codec", "width", "fineness", "seconds", "bytes_per_second"}
    assert (still["container"], still["width"]) == ("png_pipe", 64)
    tone = cues.read(samples.audio_only(tmp_path, "flac"), samples.LIMITS, find_ffmpeg())
    assert tone.keys() >= {"audio_codec", "sample_rate", "bandwidth", "loudness", "silence"}
    assert not {"video_codec", "width"} & tone.keys()
    (tmp_path / "broken.mp4").write_bytes(b"no media at all" * 100)
    with pytest.raises(BadVideo):
        cues.read(tmp_path / "broken.mp4", samples.LIMITS, find_ffmpeg())


def test_fineness_tells_a_soft_picture_from_a_sharp_one(tmp_path: Path) -> None:
    noise = np.asarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3)), np.uint8)
    assert fineness(np.full((60, 80, 3), 90, np.uint8)) == pytest.approx(np.log(0.1), abs=0.01)
    assert fineness(noise) > 3 > fineness(np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.uint8))
    grain = samples.write(tmp_path / "c.mp4", "-f", "lavfi", "-i", "testsrc2=size=320x240:duration=1", *samples.H264)
    soft = samples.write(tmp_path / "s.mp4", "-i", grain, "-vf", "gblur=sigma=3", *samples.H264)
    found = [float(cues.read(one, samples.LIMITS, find_ffmpeg())["fineness"]) for one in (grain, soft)]
    assert found[0] > found[1] + 0.5


def test_cues_of_sound() -> None:
    assert cues.of_sound(np.zeros(0, np.int16)) == {}
    time = np.arange(2 * RATE) / RATE
    sine = (16_384 * np.sin(2 * np.pi * 1000 * time)).astype(np.int16)
    assert 1000 <= float(cues.of_sound(sine)["bandwidth"]) <= 1100
    found = cues.of_sound(np.where(time < 1, sine, 0).astype(np.int16))
    assert found["silence"] == pytest.approx(0.5, abs=0.01)
    assert found["loudness"] == pytest.approx(-6.02 - 3.01 - 3.01, abs=0.05)
    noise = np.random.default_rng(0).normal(0, 3000, RATE).astype(np.int16)
    assert cues.of_sound(noise)["bandwidth"] == RATE / 2
    silent = cues.of_sound(np.zeros(RATE, np.int16))
    assert (silent["silence"], silent["loudness"]) == (1.0, -120.0)
    assert cues.of_sound(np.ones(5, np.int16))["silence"] == 1.0
