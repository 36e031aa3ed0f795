"""What can be played counts, not what a container declares or a clock jumps to; and which track is shown."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import media_samples as samples
import numpy as np
import pytest
from media_samples import audio, frames, pitch, probe, run

from veracity.media import Media, Source
from veracity.media.ffmpeg import find_ffmpeg
from veracity.media.sandbox import Limits
from veracity_client.errors import BadOption, TooLong

FAULTS = Path(__file__).parents[3] / "shared" / "faults"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("playable")


@pytest.fixture(params=samples.programs())
def ffmpeg(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def with_a_jump(folder: Path, suffix: str, jump: float) -> Path:
    """Return 4 s of picture and sound whose clock goes on ``jump`` seconds later after the first two."""
    clock = f"setpts='PTS+gte(T,2)*{jump}/TB'"
    return samples.write(
        folder / f"jump-{jump}.{suffix}", *samples.picture(4), *samples.tone(4), "-vf", clock, "-af", f"a{clock}",
        *samples.H264, "-vsync", "passthrough", "-c:a", "flac" if suffix == "mkv" else "aac",
    )  # fmt: skip


@pytest.mark.parametrize(("suffix", "jump"), [("mkv", 900), ("mkv", 5000), ("mp4", 900)])
def test_a_jump_in_time_is_left_out(folder: Path, ffmpeg: Path, suffix: str, jump: int) -> None:
    clip = with_a_jump(folder, suffix, jump)
    found = run(probe(clip, ffmpeg))
    assert found.seconds == pytest.approx(4, abs=0.2)
    assert run(samples.video_seconds(clip, ffmpeg)) == pytest.approx(4, abs=0.2)
    assert len(run(frames(clip, ffmpeg, range(200)))) == pytest.approx(100, abs=5)
    sound = run(audio(clip, ffmpeg))
    assert len(sound) == pytest.approx(64_000, abs=3_000)
    assert pitch(sound) == pytest.approx(440, abs=2)
    (note,) = [note for note in run(samples.damage(clip, ffmpeg)) if "jumps" in note]
    assert f"{jump}" in note or f"{jump - 1}" in note


def test_a_recording_with_a_jump(ffmpeg: Path) -> None:
    if not FAULTS.is_dir():
        pytest.skip("../shared/faults is absent")
    clip = FAULTS / "recording_with_a_jump_in_time_6s.ts"
    assert run(probe(clip, ffmpeg)).seconds == pytest.approx(6, abs=0.1)
    assert len(run(frames(clip, ffmpeg, range(0, 149, 4)))) == 38
    assert len(run(audio(clip, ffmpeg))) == pytest.approx(6 * 16_000, abs=3_000)


def test_a_picture_that_says_it_is_two_hours_late(ffmpeg: Path) -> None:
    if not FAULTS.is_dir():
        pytest.skip("../shared/faults is absent")
    clip = FAULTS / "one_late_picture_3s_says_2h.mp4"
    assert run(probe(clip, ffmpeg)).seconds == pytest.approx(3, abs=0.1)
    images = [frame.image for frame in run(frames(clip, ffmpeg, range(75)))]
    assert len(images) == 75
    held = sum(np.array_equal(a, b) for a, b in pairwise(images))
    assert held <= 2


def test_limits_are_about_what_plays(folder: Path) -> None:
    clip = with_a_jump(folder, "mkv", 900)
    assert run(probe(clip, find_ffmpeg(), Limits(max_seconds=10))).seconds
    with pytest.raises(TooLong):
        run(probe(clip, find_ffmpeg(), Limits(max_seconds=3)))


def two_videos(folder: Path) -> Path:
    """Return a still black track that is the default, and a moving one beside it."""
    black = ("-f", "lavfi", "-i", "color=black:size=320x180:rate=25:duration=2")
    maps = ("-map", 0, "-map", 1, "-disposition:v:0", "default", "-disposition:v:1", "0")
    return samples.write(folder / "two.mkv", *black, *samples.picture(2, "640x360"), *maps, *samples.H264)


@pytest.mark.parametrize(("wanted", "width"), [(None, 640), (0, 320), (1, 640)])
def test_the_video_track_that_shows_something_or_the_one_asked_for(
    folder: Path, wanted: int | None, width: int
) -> None:
    async def look() -> tuple[int, int]:
        with Media.open(Source(two_videos(folder)), samples.LIMITS, video_track=wanted) as media:
            found = await media.probe()
            assert found.video is not None
            images = [frame.image async for frame in media.frames([0, 10])]
            assert images[0].shape[1] == found.video.width
            return found.video.width, found.video_tracks

    assert run(look()) == (width, 2)


def test_a_video_track_that_is_not_there(folder: Path) -> None:
    async def look() -> None:
        with Media.open(Source(two_videos(folder)), samples.LIMITS, video_track=2) as media:
            await media.probe()

    with pytest.raises(BadOption, match="video_track 2 asked for; the file has 2"):
        run(look())
