"""Real files through real ffmpeg: the system's, and the one that comes with pip where that is installed."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path

import media_samples as samples
import numpy as np
import pytest
from media_samples import audio, frames, pitch, probe, run
from numpy.typing import NDArray

from veracity.media import Media, Source
from veracity.media.ffmpeg import find_ffmpeg
from veracity.media.sandbox import Limits
from veracity.settings import Settings
from veracity_client.errors import BadOption, BadVideo


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(params=samples.programs())
def ffmpeg(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


# Sound


def test_several_tracks_late_starts_and_holes(folder: Path, ffmpeg: Path) -> None:
    late = ("-itsoffset", 0.5, *samples.tone(1, 880))
    maps = ("-map", 0, "-map", 1, "-map", 2, "-c:a", "pcm_s16le", *samples.H264)
    clip = samples.write(folder / "tracks.mkv", *samples.picture(), *samples.tone(), *late, *maps)
    assert len(run(probe(clip, ffmpeg)).audio) == 2
    assert pitch(run(audio(clip, ffmpeg, 0))) == pytest.approx(440, abs=2)
    second = run(audio(clip, ffmpeg, 1))
    assert len(second) == pytest.approx(24_000, abs=100)
    assert np.abs(second[:7_900]).max() == 0
    assert pitch(second[8_100:]) == pytest.approx(880, abs=2)
    with pytest.raises(BadOption):
        run(audio(clip, ffmpeg, 2))


def test_very_little_sound(folder: Path, ffmpeg: Path) -> None:
    one = samples.write(folder / "one.wav", *samples.tone(), "-af", "atrim=end_sample=1", "-ar", 44100)
    assert len(run(audio(one, ffmpeg))) <= 1
    none = one.read_bytes()[:-2].replace(b"data\x02\x00", b"data\x00\x00")
    assert len(run(audio(none, ffmpeg))) == 0


def test_a_picture_that_cannot_be_decoded_leaves_the_sound(folder: Path, ffmpeg: Path) -> None:
    clip = samples.write(folder / "both.mp4", *samples.picture(), *samples.tone(), *samples.H264)
    unknown = clip.read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC")
    assert pitch(run(audio(unknown, ffmpeg))) == pytest.approx(440, abs=2)
    with pytest.raises(BadVideo, match="zzzz") as caught:
        run(frames(unknown, ffmpeg, [0]))
    assert type(caught.value).__name__ == "UnsupportedCodec"


# Frames


@pytest.mark.parametrize("codec", ["8bit", "10bit", "full range", "vp9", "mpeg2"])
def test_the_frames_asked_for_and_no_others(folder: Path, ffmpeg: Path, codec: str) -> None:
    options = {
        "10bit": ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"),
        "full range": ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuvj420p", "-color_range", "pc"),
        "vp9": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", 8, "-b:v", "1M"),
        "mpeg2": ("-c:v", "mpeg2video", "-q:v", 2, "-r", 25),
    }.get(codec, samples.H264)
    clip = samples.numbered(folder / f"numbered-{codec}.mkv", 75, codec=options)
    wanted = [0, 1, 2, 9, 30, 31, 50, 74, 75, 100]  # the last is past the end
    found = run(frames(clip, ffmpeg, wanted))
    assert [frame.index for frame in found] == wanted[:8]
    assert [samples.number_of(frame.image) for frame in found] == [n % samples.PERIOD for n in wanted[:8]]
    assert [frame.time for frame in found] == [index / 25 for index in wanted[:8]]


def test_a_hundred_and_fifty_separate_frames(folder: Path, ffmpeg: Path) -> None:
    clip = samples.numbered(folder / "long.mp4", 450)
    wanted = list(range(0, 450, 3))
    found = run(frames(clip, ffmpeg, wanted))
    assert [samples.number_of(frame.image) for frame in found] == [n % samples.PERIOD for n in wanted]


@pytest.mark.parametrize(
    ("shown", "late", "start"),
    [
        ("N/50", 0.0, lambda n: n / 50),
        ("N*1001/30000", 0.0, lambda n: n * 1001 / 30000),
        ("N/20+0.3*floor(N/7)", 0.0, lambda n: n / 20 + 0.3 * (n // 7)),
        ("N/25", 0.2, lambda n: 0.2 + n / 25),  # behind the sound; the first frame stands in until then
    ],
    ids=["50 a second", "ntsc", "variable", "late"],
)
def test_any_frame_rate_on_one_time_base(
    folder: Path, ffmpeg: Path, shown: str, late: float, start: Callable[[int], float]
) -> None:
    name = str(zlib.crc32(shown.encode() + bytes([late > 0])))
    picture = samples.numbered(folder / f"{name}-bare.mkv", 60, shown)
    both = ("-map", 0, "-map", 1, "-c:v", "copy", "-c:a", "pcm_s16le")
    clip = samples.write(folder / f"{name}.mkv", *samples.tone(), "-itsoffset", late, "-i", picture, *both)
    for frame in run(frames(clip, ffmpeg, range(28))):
        newest = max((n for n in range(60) if round(start(n) * 25 - 1e-3) <= frame.index), default=0)
        on_the_edge = max((n for n in range(60) if round(start(n) * 25 + 1e-1) <= frame.index), default=0)
        assert samples.number_of(frame.image) in {newest % samples.PERIOD, on_the_edge % samples.PERIOD}


def test_interlaced_video_loses_its_comb(folder: Path, ffmpeg: Path) -> None:
    moving = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=50:duration=1")
    fields = ("-vf", "interlace=lowpass=off", "-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-q:v", 2)
    clip = samples.write(folder / "interlaced.mpg", *moving, *fields)
    found = run(probe(clip, ffmpeg)).video
    assert found is not None
    assert found.interlaced
    raw = samples.write(folder / "comb.gray", "-i", clip, "-vf", "select='eq(n,12)'", "-frames:v", 1, "-pix_fmt", "gray", "-f", "rawvideo")  # fmt: skip  # noqa: E501
    combed = np.frombuffer(raw.read_bytes(), np.uint8).reshape(240, 320)
    (frame,) = run(frames(clip, ffmpeg, [12]))
    assert _comb(frame.image.mean(axis=2)) < 0.5 * _comb(combed)


def _comb(grey: NDArray[np.uint8]) -> float:
    """How much every second line differs from its two neighbours, where those agree with each other."""
    lines = grey.astype(float)
    above, here, below = lines[:-2], lines[1:-1], lines[2:]
    alike = np.abs(above - below) < 8
    return float(np.abs(here - (above + below) / 2)[alike].mean())


@pytest.mark.parametrize("size", ["1x1", "3x5", "33x17", "321x181"])
def test_odd_sizes(folder: Path, ffmpeg: Path, size: str) -> None:
    width, height = map(int, size.split("x"))
    scaled = ("-vf", f"scale={size},setsar=1", "-c:v", "ffv1", "-pix_fmt", "yuv444p")
    clip = samples.write(folder / f"odd-{size}.mkv", *samples.picture(), *scaled)
    (frame,) = run(frames(clip, ffmpeg, [5]))
    assert frame.image.shape == (height, width, 3)


def test_sizes_of_frames(folder: Path, ffmpeg: Path) -> None:
    clip = samples.silent_video(folder)
    (small,) = run(frames(clip, ffmpeg, [5], (40, 30)))
    assert small.image.shape == (30, 40, 3)
    large = samples.write(folder / "4k.mkv", *samples.picture(0.2, "3840x2160"), "-c:v", "mjpeg", "-q:v", 20)
    (frame,) = run(frames(large, ffmpeg, [0]))
    assert frame.image.shape == (1080, 1920, 3)
    wide = samples.write(folder / "wide.mkv", *samples.picture(), "-vf", "setsar=4/3", *samples.H264)
    (frame,) = run(frames(wide, ffmpeg, [0]))
    assert frame.image.shape == (180, 427, 3)


def test_a_change_of_size_midway(folder: Path, ffmpeg: Path) -> None:
    parts = [samples.numbered(folder / f"part-{n}.ts", 25, filters=f"scale={n}:48,setsar=1") for n in (64, 128)]
    joined = b"".join(part.read_bytes() for part in (parts[0], _later(folder, parts[1])))
    found = run(frames(joined, ffmpeg, range(0, 50, 7)))
    assert [samples.number_of(frame.image) for frame in found] == [n % 25 for n in range(0, 50, 7)]
    assert {frame.image.shape for frame in found} == {(48, 64, 3)}


def _later(folder: Path, part: Path) -> Path:
    return samples.write(folder / "later.ts", "-i", part, "-c", "copy", "-output_ts_offset", 1)


COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (235, 190, 160), (30, 60, 90), (255, 255, 255), (0, 0, 0)]


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", None])
@pytest.mark.parametrize(
    ("form", "reach"), [("yuv420p", "tv"), ("yuv420p", "pc"), ("yuv444p", "tv"), ("yuv420p10le", "tv")]
)
def test_colours(folder: Path, ffmpeg: Path, matrix: str | None, reach: str, form: str) -> None:
    raw = folder / "colours.rgb"
    raw.write_bytes(np.repeat(np.array([COLOURS] * 64, np.uint8), 32, axis=1).tobytes())
    bars = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{32 * len(COLOURS)}x64", "-i", raw)
    convert = f"scale=out_color_matrix={matrix or 'bt601'}:out_range={reach}:flags=accurate_rnd+full_chroma_int"
    tags = ("-color_range", reach, *(("-colorspace", matrix) if matrix else ()))
    codec = ("-c:v", "libx264", "-crf", 2, *tags)
    clip = samples.write(folder / f"{matrix}-{reach}-{form}.mp4", *bars, "-vf", f"{convert},format={form}", *codec)
    (frame,) = run(frames(clip, ffmpeg, [0]))
    assert np.abs(frame.image[32, 16::32].astype(int) - COLOURS).max() <= 4


def test_a_see_through_picture(folder: Path, ffmpeg: Path) -> None:
    see_through = ("-f", "lavfi", "-i", "color=red@0.5:size=64x48,format=rgba", "-frames:v", 1)
    (frame,) = run(frames(samples.write(folder / "alpha.png", *see_through), ffmpeg, [0]))
    assert np.abs(frame.image[20, 20].astype(int) - (255, 0, 0)).max() <= 4  # the alpha channel is left out


# Opening


def test_file_names_never_reach_ffmpeg(folder: Path, ffmpeg: Path) -> None:
    content = samples.silent_video(folder).read_bytes()
    for name in ("-i", "a'b\"c\n.mp4", "%d.png", "concat:x|y", "http:x"):
        file = folder / name
        file.write_bytes(content)
        assert run(probe(file, ffmpeg)).seconds == 2.0


def test_bytes_and_path_are_one(folder: Path) -> None:
    file = samples.silent_video(folder)
    content = file.read_bytes()
    with Media.open(Source(content), Limits()) as a, Media.open(Source(file), Limits()) as b:
        assert a.sha256 == b.sha256 == hashlib.sha256(content).hexdigest()
        assert a.size == b.size == len(content)


@pytest.mark.parametrize("wanted", [[3, 2], [1, 1], [-1, 0]])
def test_frames_out_of_order_are_a_mistake(folder: Path, wanted: list[int]) -> None:
    with pytest.raises(ValueError, match="rising"):
        run(frames(samples.silent_video(folder), find_ffmpeg(), wanted))


def test_limits_are_the_settings_defaults() -> None:
    limits, settings = Limits(), Settings()
    names = ("max_bytes", "max_file_bytes", "max_seconds", "max_pixels", "max_frames")
    assert [getattr(limits, name) for name in names] == [getattr(settings, name) for name in names]
    assert (limits.cpu_seconds, limits.memory_bytes, limits.wall_seconds) == (
        settings.ffmpeg_cpu_seconds, settings.ffmpeg_memory_bytes, settings.ffmpeg_wall_seconds,
    )  # fmt: skip
