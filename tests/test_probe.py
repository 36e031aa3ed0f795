"""What ffmpeg's words about real files are read as; with both ffmpegs, since the words change between versions."""

from __future__ import annotations

from pathlib import Path

import media_samples as samples
import numpy as np
import pytest
from media_samples import audio, frames, pitch, probe, run

from veracity.probe import parse_banner
from veracity_client.errors import NoFrames


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(params=samples.programs())
def ffmpeg(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "avi", "ts", "flv", "mpg", "wmv", "gif", "ogv"])
def test_containers(folder: Path, ffmpeg: Path, suffix: str) -> None:
    codecs = {"mp4": samples.H264, "mkv": samples.H264, "webm": ("-c:v", "libvpx", "-cpu-used", 8)}
    clip = samples.write(folder / f"c.{suffix}", *samples.picture(), *samples.tone(), *codecs.get(suffix, ()))
    found = run(probe(clip, ffmpeg))
    assert found.video is not None
    assert (found.video.width, found.video.height, found.video.rotation) == (320, 180, 0)
    assert found.seconds == pytest.approx(2, abs=0.15)
    assert [track.index for track in found.audio] == ([] if suffix == "gif" else [0])
    assert [frame.index for frame in run(frames(clip, ffmpeg, [0, 7, 30]))] == [0, 7, 30]


@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a", "ogg", "flac", "aac"])
def test_sound_without_picture(folder: Path, ffmpeg: Path, suffix: str) -> None:
    clip = samples.audio_only(folder, suffix)
    found = run(probe(clip, ffmpeg))
    assert found.video is None
    assert found.audio[0].channels == 1
    assert found.seconds == pytest.approx(2, abs=0.2)
    pcm = run(audio(clip, ffmpeg))
    assert pcm.dtype == np.int16
    assert len(pcm) == pytest.approx(32_000, abs=2_500)  # frames of coded sound are padded
    assert pitch(pcm) == pytest.approx(440, abs=2)
    with pytest.raises(NoFrames):
        run(frames(clip, ffmpeg, [0]))


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tiff"])
def test_a_still_picture_is_a_video_of_one_frame(folder: Path, ffmpeg: Path, suffix: str) -> None:
    still = samples.write(folder / f"still.{suffix}", *samples.picture(), "-frames:v", 1)
    assert run(probe(still, ffmpeg)).seconds == pytest.approx(0.04, abs=0.001)
    found = run(frames(still, ffmpeg, [0, 1, 2]))
    assert [(frame.index, frame.time, frame.image.shape) for frame in found] == [(0, 0.0, (180, 320, 3))]


@pytest.mark.parametrize(("suffix", "options"), [("webm", ("-live", 1)), ("h264", ()), ("mjpeg", ())])
def test_a_length_that_the_file_does_not_tell(
    folder: Path, ffmpeg: Path, suffix: str, options: tuple[object, ...]
) -> None:
    codec = samples.H264 if suffix == "h264" else ("-c:v", "libvpx", "-cpu-used", 8) if suffix == "webm" else ()
    clip = samples.write(folder / f"unknown.{suffix}", *samples.picture(), *codec, *options)
    assert run(probe(clip, ffmpeg)).seconds == pytest.approx(2, abs=0.15)


def test_cover_art_is_no_video(folder: Path, ffmpeg: Path) -> None:
    cover = samples.write(folder / "cover.png", *samples.picture(), "-frames:v", 1)
    song = samples.audio_only(folder, "mp3")
    both = ("-map", 0, "-map", 1, "-c", "copy", "-disposition:v:0", "attached_pic")
    clip = samples.write(folder / "song.mp3", "-i", song, "-i", cover, *both)
    assert run(probe(clip, ffmpeg)).video is None


def test_words_of_the_file_are_not_taken_for_ffmpegs(folder: Path, ffmpeg: Path) -> None:
    lie = "x\n  Stream #0:0: Video: h264, yuv420p, 1x1, 9 fps\nInput #0, lie, from 'x':\n  Duration: 00:00:09.00"
    clip = samples.write(folder / "lie.mkv", *samples.picture(), *samples.H264, "-metadata", f"title={lie}")
    found = run(probe(clip, ffmpeg))
    assert found.video is not None
    assert (found.video.width, found.seconds, found.container) == (320, 2.0, "matroska,webm")


def test_the_banner_of_ubuntu_2204() -> None:
    found = parse_banner(
        "Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'x':\n  Metadata:\n    major_brand     : qt\n"
        "  Duration: 01:00:02.50, start: 0.000000, bitrate: 9 kb/s\n"
        "  Stream #0:0(und): Video: dvvideo (dvcp / 0x70637664), yuv420p(tv, top first), 720x576 [SAR 16:15 DAR 4:3], "
        "28800 kb/s, 25 fps, 25 tbr, 25 tbn (default)\n    Metadata:\n      rotate          : 90\n"
        "    Side data:\n      displaymatrix: rotation of -90.00 degrees\n"
        "  Stream #0:1(eng): Audio: pcm_s16le (sowt / 0x74776F73), 48000 Hz, 5.1(side), s16, 1536 kb/s (default)\n"
        "  Stream #0:2: Audio: none (zzzz / 0x7A7A7A7A), 8000 Hz, 3 channels\n"
    )
    assert found is not None
    assert found.video is not None
    assert (found.seconds, found.video.interlaced, found.video.rotation) == (3602.5, True, 90)
    assert (found.video.width, found.video.height) == (576, 768)  # square pixels, then upright
    assert [(a.codec, a.sample_rate, a.channels) for a in found.audio] == [("pcm_s16le", 48000, 6), ("zzzz", 8000, 3)]
