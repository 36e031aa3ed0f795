"""What is found in real files, with both ffmpegs."""

from __future__ import annotations

from pathlib import Path

import media_samples as samples
import numpy as np
import pytest
from media_samples import audio, frames, pitch, probe, run

from veracity_client.errors import NoFrames


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(params=samples.programs())
def ffmpeg(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "avi", "ts", "flv", "mpg", "wmv", "gif", "ogv"])
def test_containers(folder: Path, ffmpeg: Path, suffix: str) -> None:
    codecs = {"mp4": samples.H264, "mkv": samples.H264, "webm": ("-c:v", "libvpx", "-cpu-used", 8)}
    clip = samples.write(folder / f"c.{suffix}", *samples.picture(), *samples.tone(), *codecs.get(suffix, ()))
    found = run(probe(clip, ffmpeg))
    assert found.video is not None
    assert (found.video.width, found.video.height, found.video.orientation) == (320, 180, 1)
    assert found.seconds == pytest.approx(2, abs=0.15)
    assert [track.index for track in found.audio] == ([] if suffix == "gif" else [0])
    assert [frame.index for frame in run(frames(clip, ffmpeg, [0, 7, 30]))] == [0, 7, 30]


@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a", "ogg", "flac", "aac"])
def test_sound_without_picture(folder: Path, ffmpeg: Path, suffix: str) -> None:
    clip = samples.audio_only(folder, suffix)
    found = run(probe(clip, ffmpeg))
    assert found.video is None
    assert found.audio[0].index == 0
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


def test_a_length_that_ffmpeg_would_guess_is_measured(folder: Path, ffmpeg: Path) -> None:
    """From the rate of its first seconds: silence takes next to nothing, noise the most there is."""
    change = ("-f", "lavfi", "-i", "anoisesrc=duration=8:amplitude=0.5,volume=enable='lt(t,4)':volume=0")
    clip = samples.write(folder / "guess.mp3", *change, "-q:a", 0, "-write_xing", 0)
    assert run(probe(clip, ffmpeg)).seconds == pytest.approx(8, abs=0.1)


SLOW = ("-c:v", "libx264", "-bf", 3, "-pix_fmt", "yuv420p", "-c:a", "aac")


@pytest.mark.parametrize(
    ("suffix", "rate", "pictures", "sound"),
    [("mp4", 25, 2, 4), ("mkv", 25, 2, 4), ("ts", 25, 2, 4), ("mp4", 25, 4, 2), ("mp4", 1, 8, 12), ("mkv", 1, 8, 12)],
)
def test_the_end_of_the_pictures(
    folder: Path, ffmpeg: Path, suffix: str, rate: int, pictures: float, sound: float
) -> None:
    name = f"end-{rate}-{pictures}-{sound}.{suffix}"
    clip = samples.write(folder / name, *samples.picture(pictures, rate=rate), *samples.tone(sound), *SLOW)
    assert run(probe(clip, ffmpeg)).seconds == pytest.approx(max(pictures, sound), abs=0.15)
    end = run(samples.video_seconds(clip, ffmpeg))
    assert end == pytest.approx(pictures, abs=0.05)
    last = round(end * 25) - 2
    assert [frame.index for frame in run(frames(clip, ffmpeg, [last, last + 6]))] == [last]


def test_the_end_of_the_pictures_without_sound_or_pictures(folder: Path, ffmpeg: Path) -> None:
    still = samples.write(folder / "end.png", *samples.picture(), "-frames:v", 1)
    assert run(samples.video_seconds(still, ffmpeg)) == pytest.approx(0.04, abs=0.001)
    assert run(samples.video_seconds(samples.silent_video(folder), ffmpeg)) == 2.0
    assert run(samples.video_seconds(samples.audio_only(folder), ffmpeg)) == 0.0


def test_the_end_of_the_pictures_of_a_file_cut_short_is_where_they_are_cut(folder: Path, ffmpeg: Path) -> None:
    whole = samples.faststart(folder)
    half = whole[: len(whole) // 2]
    end = run(samples.video_seconds(half, ffmpeg))
    assert 1 < end < 3
    assert run(frames(half, ffmpeg, range(100)))[-1].time == pytest.approx(end, abs=0.1)
    found = run(probe(half, ffmpeg))
    assert found.cut
    assert found.declared == 4
    assert found.seconds == pytest.approx(end, abs=0.2)
    nothing = whole[: whole.index(b"mdat") + 4]
    assert run(samples.video_seconds(nothing, ffmpeg)) == 0


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
    assert (found.video.width, found.seconds) == (320, 2.0)
