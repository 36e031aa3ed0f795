"""Pictures as players show them: all eight orientations, of stills by EXIF and of films by the display matrix."""

from __future__ import annotations

import importlib
from pathlib import Path

import media_samples as samples
import numpy as np
import pytest
from media_samples import frames, probe, run
from numpy.typing import NDArray
from PIL import Image, ImageOps

from veracity.media.ffmpeg import find_ffmpeg

FAULTS = Path(__file__).parents[3] / "shared" / "faults"
# orientation -> a, b, c, d of the matrix that shows a picture so: x' = ax + cy, y' = bx + dy
MATRICES = {
    1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1),
    5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0),
}  # fmt: skip
WAYS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("orientation")


@pytest.fixture(params=samples.programs())
def ffmpeg(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def corners(image: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """Return the colours of the four corners, coarse enough for any codec."""
    inner = [(8, 8), (8, -8), (-8, 8), (-8, -8)]
    return [tuple(int(v > 127) for v in image[at]) for at in inner]


def picture() -> Image.Image:
    """Return 128x64 pixels with a colour of its own in each corner."""
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[:32, :64], pixels[:32, 64:], pixels[32:, :64] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "avif"])
def test_stills(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture().save(tmp_path / f"still.{suffix}", exif=exif)
    shown = np.array(ImageOps.exif_transpose(Image.open(tmp_path / f"still.{suffix}")).convert("RGB"))
    (frame,) = run(frames(tmp_path / f"still.{suffix}", find_ffmpeg(), [0]))
    assert frame.image.shape == shown.shape == ((128, 64, 3) if orientation > 4 else (64, 128, 3))
    assert corners(frame.image) == corners(shown)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_films(folder: Path, ffmpeg: Path, orientation: int) -> None:
    picture().save(folder / "coded.png")
    still = ("-loop", 1, "-t", 1, "-i", folder / "coded.png")
    coded = samples.write(folder / "corners.mov", *still, *samples.H264).read_bytes()
    turned = _with_matrix(coded, MATRICES[orientation])
    found = run(probe(turned, ffmpeg)).video
    assert found is not None
    assert found.orientation == orientation
    shown = np.array(picture().transpose(WAYS[orientation]) if orientation > 1 else picture())
    (frame,) = run(frames(turned, ffmpeg, [3]))
    assert frame.image.shape == shown.shape == (found.height, found.width, 3)
    assert corners(frame.image) == corners(shown)


def _with_matrix(mov: bytes, signs: tuple[int, int, int, int]) -> bytes:
    """Write a matrix into the header of the first track."""
    a, b, c, d = (sign % (1 << 16) * (1 << 16) for sign in signs)
    at = mov.index(b"tkhd") + 4 + 40  # version and flags, times, id, duration, layer, group, volume
    matrix = b"".join(n.to_bytes(4, "big") for n in (a, b, 0, c, d, 0, 0, 0, 1 << 30))
    return mov[:at] + matrix + mov[at + 36 :]


def test_a_photograph_of_a_telephone_is_what_its_upright_twin_is(ffmpeg: Path) -> None:
    if not FAULTS.is_dir():
        pytest.skip("../shared/faults is absent")
    (turned,) = run(frames(FAULTS / "exif6.jpg", ffmpeg, [0]))
    (upright,) = run(frames(FAULTS / "exif6_upright_twin.jpg", ffmpeg, [0]))
    assert turned.image.shape == upright.image.shape
    assert np.abs(turned.image.astype(int) - upright.image).mean() < 2


def test_pillow_reads_what_these_tests_are_measured_by() -> None:
    features = importlib.import_module("PIL.features")
    assert features.check("avif")
    assert features.check("webp")
