"""Bad input: each file gets one error of ours, short, clean and within its limits."""

from __future__ import annotations

import os
import re
import sys
from contextlib import nullcontext
from pathlib import Path

import media_samples as samples
import pytest
from media_samples import audio, frames, probe, run

from veracity.media import Media, Source
from veracity.media.ffmpeg import find_ffmpeg
from veracity.media.sandbox import Limits
from veracity_client.errors import (
    BadVideo,
    LimitExceeded,
    NoFrames,
    TooLarge,
    TooLong,
    TooManyPixels,
    UnsupportedCodec,
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad-media")


@pytest.fixture(params=samples.programs())
def ffmpeg(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


async def everything(file: bytes | Path, ffmpeg: Path, limits: Limits = samples.LIMITS) -> None:
    """Ask all there is to ask."""
    found = await probe(file, ffmpeg, limits)
    if found.audio:
        await audio(file, ffmpeg, 0, limits)
    if found.video:
        await frames(file, ffmpeg, range(0, 100, 5), None, limits)


def test_bytes_that_are_no_media(folder: Path, ffmpeg: Path) -> None:
    whole = samples.clip(folder).read_bytes()
    bad = {
        "empty": b"",
        "one byte": b"\0",
        "text": b"Dear Sir or Madam,\n\nplease find attached my video.\n" * 50,
        "noise": bytes((k * k * 31 + k * 7) % 251 for k in range(50_000)),
        "zip": b"PK\x03\x04" + bytes(1000),
        "no index": whole[: len(whole) // 2],
        "subtitles": b"1\n00:00:01,000 --> 00:00:02,000\nHello\n\n" * 9,
        "half a png": samples.write(folder / "p.png", *samples.picture(), "-frames:v", 1).read_bytes()[:40],
    }
    for name, content in bad.items():
        with pytest.raises(BadVideo) as caught:
            run(everything(content, ffmpeg))
        assert samples.is_ours(caught.value), name
    with pytest.raises(BadVideo, match="cut short"):
        run(probe(bad["no index"], ffmpeg))


def test_a_file_cut_short_is_analysed_as_far_as_it_goes(folder: Path, ffmpeg: Path) -> None:
    fast = samples.write(folder / "fast.mp4", "-i", samples.clip(folder), "-c", "copy", "-movflags", "faststart")
    whole = fast.read_bytes()
    found = run(frames(whole[: len(whole) * 2 // 3], ffmpeg, range(50)))
    assert 10 < len(found) < 50
    with pytest.raises(NoFrames):
        run(frames(whole[: whole.index(b"mdat") + 8], ffmpeg, range(50)))


def _numbers(note: str) -> list[float]:
    return [float(number) for number in re.findall(r"(\d+\.\d) s", note)]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_file_cut_short_says_how_far_it_goes(folder: Path, ffmpeg: Path, suffix: str) -> None:
    whole = samples.faststart(folder)
    (folder / "fast.bin").write_bytes(whole)
    if suffix == "mkv":
        whole = samples.write(folder / "fast.mkv", "-i", folder / "fast.bin", "-c", "copy").read_bytes()
    cut = whole[: len(whole) // 2]
    last = run(frames(cut, ffmpeg, range(100)))[-1]
    heard = len(run(audio(cut, ffmpeg))) / 16_000
    for wanted in (range(100), range(0, 100, 10)):
        sound, pictures = run(samples.damage(cut, ffmpeg, wanted))
        assert sound == f"the sound can be read up to {heard:.1f} s of {_numbers(sound)[1]:.1f} s"
        assert pictures.startswith("the pictures can be read up to ")
        assert _numbers(pictures) == pytest.approx([last.time + 0.04, 4], abs=0.2)
        assert _numbers(sound) == pytest.approx([heard, 4], abs=0.1)
        assert samples.is_ours(BadVideo(sound))
        assert samples.is_ours(BadVideo(pictures))
    assert run(samples.damage(whole, ffmpeg, range(100))) == []


@pytest.mark.parametrize("suffix", ["m4a", "flac"])
def test_sound_cut_short_says_how_far_it_goes(folder: Path, ffmpeg: Path, suffix: str) -> None:
    front = ("-movflags", "faststart") if suffix == "m4a" else ()
    whole = samples.write(folder / f"cut.{suffix}", *samples.tone(4), *front).read_bytes()
    cut = whole[: len(whole) * 6 // 10]
    heard = len(run(audio(cut, ffmpeg))) / 16_000
    assert heard < 3
    assert run(samples.damage(cut, ffmpeg)) == [f"the sound can be read up to {heard:.1f} s of 4.0 s"]
    assert run(samples.damage(whole, ffmpeg)) == []


@pytest.mark.parametrize(("pictures", "sound"), [(2, 5), (5, 2), (2, 2)])
def test_what_ends_early_by_itself_is_not_cut_short(folder: Path, ffmpeg: Path, pictures: float, sound: float) -> None:
    clip = samples.uneven(folder, pictures, sound).read_bytes()
    scratched = samples.scratched(clip)
    assert samples.errors_of(scratched, ffmpeg)
    for content in (clip, scratched):
        assert run(samples.damage(content, ffmpeg, [*range(0, 130, 5)])) == []


def test_messages_say_what_to_do(ffmpeg: Path, tmp_path: Path) -> None:
    with pytest.raises(BadVideo, match=r"empty: was the upload cut short\?"):
        Media.open(Source(b""), samples.LIMITS)
    for content in (b"Dear Sir or Madam,\n" * 50, samples.png(9, 9)[:40], b"\xff\xfb\x90\0" + bytes(500)):
        with pytest.raises(BadVideo, match=r"no video or audio file.*; send one that plays") as caught:
            run(probe(content, ffmpeg))
        assert samples.is_ours(caught.value)
    broken = tmp_path / "ffmpeg"
    broken.write_text(f"#!{sys.executable} -IS\nimport ctypes\nctypes.string_at(0)\n")
    broken.chmod(0o755)
    with pytest.raises(BadVideo, match=r"broke down .*convert it anew or send another") as caught:
        run(frames(samples.png(9, 9), broken, [0]))
    assert samples.is_ours(caught.value)


def test_encrypted_media(folder: Path, ffmpeg: Path) -> None:
    key = ("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")
    scheme = ("-c", "copy", "-encryption_scheme", "cenc-aes-ctr", *key)
    locked = samples.write(folder / "locked.mp4", "-i", samples.clip(folder), *scheme)
    with pytest.raises(BadVideo, match="encrypted") as caught:
        run(everything(locked, ffmpeg))
    assert samples.is_ours(caught.value)


def test_a_box_of_more_bytes_than_there_are_in_the_world(folder: Path, ffmpeg: Path) -> None:
    endless = samples.clip(folder).read_bytes()[:32] + b"\0\0\0\1mdat" + b"\xff" * 8 + bytes(1000)
    with pytest.raises(BadVideo) as caught:
        run(everything(endless, ffmpeg))
    assert samples.is_ours(caught.value)
    film = samples.clip(folder).read_bytes()
    run(everything(film + b"\0\0\0\1free" + b"\xff" * 8, ffmpeg))


def test_an_unknown_codec_is_named(folder: Path, ffmpeg: Path) -> None:
    unknown = samples.silent_video(folder).read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC")
    with pytest.raises(UnsupportedCodec, match="zzzz") as caught:
        run(everything(unknown, ffmpeg))
    assert samples.is_ours(caught.value)


def test_more_pixels_than_allowed(folder: Path, ffmpeg: Path) -> None:
    for content in (samples.png(16384, 16384), samples.gif(65535, 65535, 3)):
        with pytest.raises(TooManyPixels, match="VERACITY_MAX_PIXELS") as caught:
            run(everything(content, ffmpeg))
        assert samples.is_ours(caught.value)
    small = samples.silent_video(folder)
    with pytest.raises(TooManyPixels):
        run(everything(small, ffmpeg, Limits(max_pixels=320 * 180 - 1)))
    run(everything(small, ffmpeg, Limits(max_pixels=320 * 180)))


def test_an_hour_is_taken_and_a_minute_more_is_not(folder: Path, ffmpeg: Path) -> None:
    for seconds, refused in ((3600.2, False), (3660, True)):
        tone = ("-f", "lavfi", "-i", f"anullsrc=r=8000:cl=mono:d={seconds}", "-c:a", "pcm_u8")
        sound = samples.write(folder / f"{seconds}.wav", *tone)
        with pytest.raises(TooLong, match=r"3660 s .* 3600") if refused else nullcontext():
            assert run(probe(sound, ffmpeg)).seconds == seconds


def test_three_hours_are_told_from_the_header(folder: Path, ffmpeg: Path) -> None:
    black = ("-f", "lavfi", "-i", "color=black:size=16x16:rate=1:duration=10800")
    film = samples.write(folder / "black.mp4", *black, *samples.H264)
    with pytest.raises(TooLong, match=r"10800 s .* 3600"):
        run(probe(film, ffmpeg))
    untold = samples.write(folder / "black.mkv", "-i", film, "-c", "copy", "-f", "matroska", "-live", 1)
    with pytest.raises(TooLong):
        run(probe(untold, ffmpeg, Limits(max_seconds=30)))


def test_more_bytes_or_frames_than_allowed(folder: Path) -> None:
    content = samples.silent_video(folder)
    with pytest.raises(TooLarge, match="VERACITY_MAX_FILE_BYTES"):
        Media.open(Source(content), Limits(max_file_bytes=1000))
    with pytest.raises(TooLarge, match="VERACITY_MAX_BYTES"):
        Media.open(Source(content.read_bytes()), Limits(max_bytes=1000))
    with pytest.raises(LimitExceeded, match="VERACITY_MAX_FRAMES"):
        run(probe(content, find_ffmpeg(), Limits(max_frames=49)))


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "absent", Path("/dev/zero"), Path("nul\0")):
        with pytest.raises(BadVideo) as caught:
            Media.open(Source(path), Limits())
        assert samples.is_ours(caught.value)
