"""Frames that lie far apart are reached by key frames; they are the frames that decoding everything gives."""

from collections.abc import Sequence
from pathlib import Path

import media_samples as samples
import numpy as np
import pytest

from veracity.catalog.layers import FPS
from veracity.evidence.excerpts import FaceInFrame, FaceRun, WholeFrame
from veracity.evidence.sampling import plan
from veracity.media import Frame, Limits, Media, Probe, Source
from veracity.media.decoding import passes
from veracity.media.probe import Timeline, VideoStream

SECONDS = 40
FAR = [0, 250, 500, *range(600, 625), 750, 990]
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
CLIPS: dict[str, tuple[float, Sequence[object]]] = {
    "b-frames.mp4": (25, (*X264, "-bf", 3, "-g", 50)),
    "ntsc.mkv": (30000 / 1001, (*X264, "-bf", 3, "-x264-params", "open-gop=1:keyint=60")),
    "mpeg-4.mkv": (30, ("-c:v", "mpeg4", "-bf", 2, "-g", 60)),
    "uneven.mkv": (25, ("-vf", "select='not(mod(floor(n/7),3))'", "-fps_mode", "vfr", *X264, "-g", 25)),
    "late.mp4": (25, ("-vf", "setpts=PTS+3.3/TB", *X264, "-g", 50)),
    "interlaced.mkv": (50, ("-vf", "interlace", *X264, "-flags", "+ilme+ildct", "-g", 50)),
}


async def read(clip: Path, indices: Sequence[int]) -> tuple[Probe, list[Frame]]:
    with Media.open(Source(clip), Limits()) as media:
        return await media.probe(), [frame async for frame in media.frames(indices)]


@pytest.mark.parametrize("name", CLIPS)
def test_the_frames_are_the_same_to_the_bit(name: str, tmp_path: Path) -> None:
    rate, codec = CLIPS[name]
    clip = samples.write(tmp_path / name, *samples.picture(SECONDS, "160x96", rate), *samples.tone(SECONDS), *codec)
    probe, far = samples.run(read(clip, FAR))
    every = sorted({*FAR, *range(0, FAR[-1], FPS)})
    assert (len(passes(FAR, probe)), len(passes(every, probe))) == (6, 1)
    _, whole = samples.run(read(clip, every))
    known = {frame.index: frame.image for frame in whole}
    assert [frame.index for frame in far] == FAR
    for frame in far:
        assert np.array_equal(frame.image, known[frame.index]), frame.index


def test_a_clip_that_ends_too_early_says_so(tmp_path: Path) -> None:
    front = ("-movflags", "faststart", "-g", 25)
    clip = samples.write(tmp_path / "whole.mp4", *samples.picture(SECONDS, "160x96"), *X264, *front)
    content = clip.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: len(content) * 2 // 3])

    async def damage() -> tuple[list[int], tuple[str, ...]]:
        with Media.open(Source(cut), Limits()) as media:
            return [frame.index async for frame in media.frames(FAR)], media.damage

    came, notes = samples.run(damage())
    assert came == FAR[: len(came)]
    assert 3 < len(came) < len(FAR)
    assert len(notes) == 1
    assert "the pictures can be read up to" in notes[0]


def made(
    container: str = "mov,mp4,m4a,3gp,3g2,mj2", lag: float | None = 0.0, jumps: tuple[tuple[float, float], ...] = ()
) -> Probe:
    video = VideoStream("h264", 64, 48, 25.0, key_lag=lag)
    return Probe(3600.0, video, (), timeline=Timeline(jumps), container=container)


@pytest.mark.parametrize("probe", [made("mpegts"), made(lag=None), made(lag=100.0), made(jumps=((9.0, 20.0),))])
def test_one_pass_where_key_frames_are_no_help(probe: Probe) -> None:
    assert passes([0, 1000, 2000], probe) == [[0, 1000, 2000]]
    assert passes([0, 1000, 2000], made()) == [[0], [1000], [2000]]


def test_a_minute_of_video_is_decoded_in_one_pass() -> None:
    wanted = plan(60.0, (FaceInFrame, FaceRun, WholeFrame)).frame_indices
    assert len(passes(wanted, made())) == 1
    assert len(passes(plan(3600.0, (FaceInFrame,)).frame_indices, made())) == 32
