"""Degradations of pictures, the same for an original and its forgery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import av
import cv2
import numpy as np

from training.visual.faces import Image
from training.visual.masks import Rng

_Effect = Callable[[Image], Image]


SMALLEST = 80  # pixels of a delivered face's width; smaller ones hold little evidence
COARSEST = 60  # least width of a face at recording, in pixels
_POORER = 0.5  # share recorded at lower resolution
_AS_IS = 0.4  # share delivered at the recorded size
_STILL = 0.5  # share coded as a picture at last, and not as a frame of a film
_FRAMES = 3  # of the film that such a frame ends


def degrade(pictures: list[Image], width: float, rng: Rng, *, as_films: bool = False) -> tuple[list[Image], float]:
    """All with the same scale, blur or sharpening, noise, colours and codecs; and the resulting scale.

    ``width`` is the face's, in pixels. It is delivered at SMALLEST or more of them, or as it is, and coded at that
    size, as a real film is: the cutting out brings it up, blocks and all. ``as_films`` codes half of them as the frame
    of a film at last.
    """
    least = min(SMALLEST, width)
    drawn = float(np.exp(rng.uniform(np.log(least), np.log(width)))) / width
    scale = 1.0 if rng.random() < _AS_IS else drawn
    for effect in _effects(pictures[0].shape, scale, rng, as_films):
        pictures = [effect(picture) for picture in pictures]
    return pictures, scale


def _effects(shape: tuple[int, ...], scale: float, rng: Rng, as_films: bool) -> list[_Effect]:
    """Mild overall: a forgery that degradation wipes out would only add label noise."""
    before = ((0.05, _smoothed), (0.05, _blurred), (0.1, _coded))
    after = (
        (0.1, _sharpened),
        (0.1, _noisy),
        (0.5, _coloured),
        (0.15, _scaled),
        (0.15, _coded),
        (0.85, _filmed if as_films and rng.random() >= _STILL else _coded),
    )
    small = (max(16, round(shape[0] * scale)), max(16, round(shape[1] * scale)), shape[2])
    effects = [make(shape, rng) for chance, make in before if rng.random() < chance]
    effects += [_delivered(small, rng)] if scale < 1 else []
    return effects + [make(small, rng) for chance, make in after if rng.random() < chance]


def recorded(picture: Image, width: float, rng: Rng) -> Image:
    """A real picture as from a poorer camera, an older recording or a beauty filter; often unchanged.

    It comes before any faking, so that a soft face is real until something in it does not fit the rest.
    """
    if rng.random() > _POORER:
        return picture
    make = (_smoothed, _blurred, _coarse(width), _coded, _noisy)[int(rng.choice(5, p=(0.25, 0.25, 0.3, 0.1, 0.1)))]
    return make(picture.shape, rng)(picture)


def _coarse(width: float) -> Callable[[tuple[int, ...], Rng], _Effect]:
    """An effect: recorded with fewer pixels, down to COARSEST for the face."""

    def make(shape: tuple[int, ...], rng: Rng) -> _Effect:
        scale = float(np.exp(rng.uniform(np.log(min(COARSEST, width) / width), 0)))
        small = (max(8, round(shape[1] * scale)), max(8, round(shape[0] * scale)))
        way = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
        return lambda picture: _bytes(
            cv2.resize(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), shape[1::-1], interpolation=way)
        )

    return make


def _delivered(small: tuple[int, ...], rng: Rng) -> _Effect:
    way = int(rng.choice([cv2.INTER_AREA, cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    return lambda picture: _bytes(cv2.resize(picture, small[1::-1], interpolation=way))


def _scaled(shape: tuple[int, ...], rng: Rng) -> _Effect:
    """Down-scaled and up-scaled again, as for sending and display."""
    scale = rng.uniform(0.6, 0.95)
    small = (max(16, round(shape[1] * scale)), max(16, round(shape[0] * scale)))
    down, up = int(rng.choice([cv2.INTER_AREA, cv2.INTER_LINEAR])), int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))

    def effect(picture: Image) -> Image:
        return _bytes(cv2.resize(cv2.resize(picture, small, interpolation=down), shape[1::-1], interpolation=up))

    return effect


def _smoothed(shape: tuple[int, ...], rng: Rng) -> _Effect:
    """A denoiser or a beauty filter: neither makes a fake."""
    del shape
    colour, reach = rng.uniform(5, 25), rng.uniform(1, 3)
    return lambda picture: _bytes(cv2.bilateralFilter(picture, 5, colour, reach))


def _blurred(shape: tuple[int, ...], rng: Rng) -> _Effect:
    del shape
    sigma = rng.uniform(0.4, 1.8)
    return lambda picture: _bytes(cv2.GaussianBlur(picture, (0, 0), sigma))


def _sharpened(shape: tuple[int, ...], rng: Rng) -> _Effect:
    del shape
    amount = rng.uniform(0.3, 1.2)
    return lambda picture: _bytes(
        cv2.addWeighted(picture, 1 + amount, cv2.GaussianBlur(picture, (0, 0), 1.2), -amount, 0)
    )


def _noisy(shape: tuple[int, ...], rng: Rng) -> _Effect:
    """The same noise for all pictures, stronger on brightness than on colour."""
    sigma = rng.uniform(1, 5)
    grain = rng.normal(0, sigma, (*shape[:2], 1)) + rng.normal(0, sigma / 3, shape)
    return lambda picture: np.clip(picture + grain, 0, 255).astype(np.uint8)


def _coloured(shape: tuple[int, ...], rng: Rng) -> _Effect:
    """Exposure, contrast, white balance, saturation; sometimes no colour at all."""
    del shape
    gain = np.exp(rng.normal(0, 0.05, 3) + rng.normal(0, 0.1)).astype(np.float32)
    gamma = float(np.exp(rng.normal(0, 0.12)))
    saturation = np.float32(0.0 if rng.random() < 0.07 else np.exp(rng.normal(0, 0.15)))
    table = (255 * (np.arange(256) / 255) ** gamma).astype(np.float32)

    def effect(picture: Image) -> Image:
        toned = table[picture] * gain
        grey = toned.mean(2, keepdims=True)
        return _bytes(np.clip(grey + (toned - grey) * saturation, 0, 255).astype(np.uint8))

    return effect


def _coded(shape: tuple[int, ...], rng: Rng) -> _Effect:
    """JPEG, or WebP, whose pictures are VP8's key frames: blocks predicted, transformed and smoothed as in H.264."""
    del shape
    if rng.random() < 0.6:
        name, setting, quality = ".jpg", cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 97))
    else:
        name, setting, quality = ".webp", cv2.IMWRITE_WEBP_QUALITY, int(rng.integers(30, 92))
    return lambda picture: _bytes(cv2.imdecode(cv2.imencode(name, picture, [setting, quality])[1], cv2.IMREAD_COLOR))


def _filmed(shape: tuple[int, ...], rng: Rng) -> _Effect:
    """The last frame of a short film in H.264 that moves a little: predicted from the frames before, as most are."""
    height, width = (side // 2 * 2 for side in shape[:2])
    rate, move = str(int(rng.integers(18, 38))), rng.normal(0, 1.2, (_FRAMES - 1, 2))
    moves = [np.array([[1, 0, x], [0, 1, y]], np.float32) for x, y in move]

    def effect(picture: Image) -> Image:
        even = np.ascontiguousarray(picture[:height, :width])
        frames = [cv2.warpAffine(even, one, (width, height), borderMode=cv2.BORDER_REFLECT) for one in moves]
        whole = picture.copy()
        whole[:height, :width] = _last_frame([*(np.asarray(frame, np.uint8) for frame in frames), even], rate)
        return whole

    return effect


def _last_frame(frames: Sequence[Image], rate: str) -> Image:
    """The last of the frames, coded with the given rate factor and decoded."""
    # without mbtree, which reads memory it never wrote: the same frames came out in up to eight ways
    options = {"crf": rate, "preset": "veryfast", "bframes": "0", "threads": "1", "x264-params": "mbtree=0"}
    coder = av.CodecContext.create("libx264", "w")
    coder.height, coder.width = frames[0].shape[:2]
    coder.pix_fmt, coder.time_base, coder.options = "yuv420p", Fraction(1, 25), options
    packets = [packet for frame in frames for packet in coder.encode(av.VideoFrame.from_ndarray(frame, "rgb24"))]
    reader = av.CodecContext.create("h264", "r")
    reader.thread_count = 1
    seen = [frame for packet in [*packets, *coder.encode(None), None] for frame in reader.decode(packet)]
    return np.asarray(seen[-1].to_ndarray(format="rgb24"), np.uint8)


def _bytes(picture: object) -> Image:
    return np.asarray(picture, np.uint8)
