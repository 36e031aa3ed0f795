"""Formats that ffmpeg alone does not read or shows wrongly, and errors that say which format a file is."""

from __future__ import annotations

from pathlib import Path

import media_samples as samples
import numpy as np
import pytest
from media_samples import frames, probe, run
from PIL import Image, ImageCms

from veracity.media.ffmpeg import find_ffmpeg
from veracity.media.sandbox import Limits
from veracity_client.errors import BadVideo, TooManyPixels, UnsupportedCodec

FAULTS = Path(__file__).parents[3] / "shared" / "faults"
HEIF_HEAD = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("formats")


@pytest.fixture(params=samples.programs())
def ffmpeg(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def picture() -> Image.Image:
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:32], pixels[32:] = (200, 60, 20), (20, 60, 200)
    return Image.fromarray(pixels)


def test_a_heic_photograph(ffmpeg: Path) -> None:
    if not FAULTS.is_dir():
        pytest.skip("../shared/faults is absent")
    found = run(probe(FAULTS / "portrait.heic", ffmpeg))
    assert found.video is not None
    assert (found.video.codec, found.video.width, found.video.height, found.seconds) == ("heic", 768, 768, 0.04)
    (frame,) = run(frames(FAULTS / "portrait.heic", ffmpeg, [0, 1]))
    assert frame.image.std() > 20


@pytest.mark.parametrize("suffix", ["avif", "jp2", "webp"])
def test_stills(tmp_path: Path, ffmpeg: Path, suffix: str) -> None:
    picture().save(tmp_path / f"still.{suffix}", quality=95)
    found = run(probe(tmp_path / f"still.{suffix}", ffmpeg))
    assert found.seconds == pytest.approx(0.04)
    (frame,) = run(frames(tmp_path / f"still.{suffix}", ffmpeg, [0, 1]))
    assert np.abs(frame.image.astype(int) - np.array(picture())).mean() < 6


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_a_picture_with_a_colour_profile(tmp_path: Path, ffmpeg: Path, suffix: str) -> None:
    """As screenshots have one, and what editors write."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / f"profile.{suffix}"
    picture().save(path, icc_profile=profile)
    found = run(probe(path, ffmpeg))
    assert found.video
    assert (found.video.width, found.video.height) == (96, 64)


def test_an_animated_webp(tmp_path: Path, ffmpeg: Path) -> None:
    levels = [40 + 20 * k for k in range(10)]
    first, *rest = [Image.new("RGB", (64, 48), (level,) * 3) for level in levels]
    first.save(tmp_path / "film.webp", save_all=True, append_images=rest, duration=80, lossless=True)
    found = run(probe(tmp_path / "film.webp", ffmpeg))
    assert found.video is not None
    assert found.video.codec == "webp"
    assert found.seconds == pytest.approx(0.8, abs=0.05)
    shown = [int(frame.image.mean()) for frame in run(frames(tmp_path / "film.webp", ffmpeg, range(0, 20, 2)))]
    assert shown == levels


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_high_dynamic_range_is_tone_mapped(folder: Path, ffmpeg: Path, transfer: str) -> None:
    grey = ("-f", "lavfi", "-i", "color=0x808080:size=64x48:duration=0.2,format=yuv420p10le")
    tags = ("-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc", "-color_range", "tv")
    clip = samples.write(folder / f"{transfer}.mkv", *grey, "-c:v", "libx264", "-crf", 5, *tags)
    found = run(probe(clip, ffmpeg)).video
    assert found is not None
    assert found.hdr == {"smpte2084": "PQ", "arib-std-b67": "HLG"}[transfer]
    plain = samples.write(folder / "sdr.mkv", *grey, "-c:v", "libx264", "-crf", 5)
    (mapped,), (sdr,) = run(frames(clip, ffmpeg, [0])), run(frames(plain, ffmpeg, [0]))
    assert abs(float(mapped.image.mean()) - float(sdr.image.mean())) > 10  # the same code is another light
    assert 20 < mapped.image.mean() < 235


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n", "HLS playlist"),
        (b"%PDF-1.7\n" + bytes(200), "PDF"),
        (b"PK\x03\x04" + bytes(500), "ZIP"),
        (b"8BPS\0\x01" + bytes(500), "Photoshop"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"></svg>', "SVG"),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp42isom\0\0\0\x08free", "index"),
    ],
)
def test_an_error_says_which_format_it_is(content: bytes, name: str) -> None:
    with pytest.raises(BadVideo, match=name) as caught:
        run(probe(content, find_ffmpeg()))
    assert samples.is_ours(caught.value)


def test_a_broken_heic_is_called_heic() -> None:
    with pytest.raises(UnsupportedCodec, match=r"HEIC picture .*save it as JPEG or PNG") as caught:
        run(probe(HEIF_HEAD + bytes(300), find_ffmpeg()))
    assert samples.is_ours(caught.value)


def test_a_converted_picture_keeps_the_limit_of_pixels(tmp_path: Path) -> None:
    picture().save(tmp_path / "still.avif")
    with pytest.raises(TooManyPixels, match="VERACITY_MAX_PIXELS"):
        run(probe(tmp_path / "still.avif", find_ffmpeg(), Limits(max_pixels=96 * 64 - 1)))
