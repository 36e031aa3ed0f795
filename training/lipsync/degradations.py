"""Degradations of a second of video, the same for an original and its forgery."""

from __future__ import annotations

import subprocess
from functools import partial

import cv2
import numpy as np

from training.lipsync.extract import Image
from training.visual.masks import Rng
from veracity.catalog.layers import FPS
from veracity.media.ffmpeg import find_ffmpeg

SMALLEST = 45  # pixels of a delivered face's width
_BLOCK = 16  # pixels of a side of H.264's
_LEAD = 6  # most frames encoded before the second, so that it need not begin with a key frame


def degrade(scenes: Image, width: float, rng: Rng) -> tuple[Image, float]:
    """Scenes uint8 [k, n, h, w] with one scale, exposure, noise and codec; and the resulting scale.

    ``width`` is the face's, in pixels.
    """
    least = min(SMALLEST, width)
    scale = min(1.0, float(np.exp(rng.uniform(np.log(least), np.log(1.8 * width)))) / width)
    if rng.random() < 0.25:
        scenes = _each(scenes, partial(cv2.GaussianBlur, ksize=(0, 0), sigmaX=rng.uniform(0.4, 1.3)))
    if rng.random() < 0.2:
        scenes = _coded(scenes, rng)
    if scale < 1:
        scenes = _scaled(scenes, scale, rng)
    scenes = _lit(scenes, rng)
    if rng.random() < 0.3:
        scenes = _noisy(scenes, rng)
    if rng.random() < 0.15:
        scenes = _each(scenes, partial(_sharpened, amount=rng.uniform(0.3, 1.0)))
    if rng.random() < 0.9:
        scenes = _coded(scenes, rng)
    return scenes, scale


def _each(scenes: Image, change: object) -> Image:
    assert callable(change)
    return np.stack([np.stack([np.asarray(change(frame), np.uint8) for frame in scene]) for scene in scenes])


def _scaled(scenes: Image, scale: float, rng: Rng) -> Image:
    size = [max(16, round(side * scale)) for side in scenes.shape[:1:-1]]
    way = int(rng.choice([cv2.INTER_AREA, cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    return _each(scenes, partial(cv2.resize, dsize=size, interpolation=way))


def _sharpened(frame: Image, amount: float) -> Image:
    return np.asarray(cv2.addWeighted(frame, 1 + amount, cv2.GaussianBlur(frame, (0, 0), 1.2), -amount, 0), np.uint8)


def _lit(scenes: Image, rng: Rng) -> Image:
    """Exposure, contrast, gamma."""
    gain, gamma, shift = np.exp(rng.normal(0, 0.2)), np.exp(rng.normal(0, 0.2)), rng.normal(0, 8)
    table = np.clip(255 * gain * (np.arange(256) / 255) ** gamma + shift, 0, 255).astype(np.uint8)
    return np.asarray(table[scenes], np.uint8)


def _noisy(scenes: Image, rng: Rng) -> Image:
    """The same noise for all scenes, different in each frame."""
    grain = rng.standard_normal(scenes.shape[1:], np.float32) * np.float32(rng.uniform(1, 7))
    return np.clip(scenes + grain, 0, 255).astype(np.uint8)


def _coded(scenes: Image, rng: Rng) -> Image:
    """H.264 or MPEG-4 mostly; sometimes JPEG, frame by frame."""
    kind = rng.random()
    if kind < 0.15:
        quality = int(rng.integers(35, 95))
        return _each(scenes, lambda frame: cv2.imdecode(
            cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE))  # fmt: skip
    if kind < 0.3:
        return encode_decode(
            scenes, ("-c:v", "mpeg4", "-q:v", str(int(rng.integers(2, 12)))), int(rng.integers(0, _LEAD))
        )
    preset = str(rng.choice(["ultrafast", "veryfast", "veryfast"]))
    options = ("-c:v", "libx264", "-preset", preset, "-crf", str(int(rng.integers(16, 38))))
    return encode_decode(scenes, options, int(rng.integers(0, _LEAD)))


def encode_decode(scenes: Image, options: tuple[str, ...], lead: int = 0) -> Image:
    """Scenes uint8 [k, n, h, w] encoded and decoded by ffmpeg, all in one picture, one below the other.

    The video begins ``lead`` frames early, running backwards into the second. Raises OSError where ffmpeg fails.
    """
    count, frames, height, width = scenes.shape
    down, right = -height % _BLOCK, -width % _BLOCK
    padded = np.pad(scenes, ((0, 0), (0, 0), (0, down), (0, right)), mode="edge")
    tall = np.moveaxis(padded, 0, 1).reshape(frames, -1, width + right)
    film = np.concatenate([tall[1 : lead + 1][::-1], tall])
    height2, width2 = film.shape[1:]
    grey = np.full((len(film), height2 // 2, width2), 128, np.uint8)  # both colour planes: grey
    planes = np.concatenate([film, grey], axis=1)
    raw = ("-f", "rawvideo", "-pix_fmt", "yuv420p")  # a conversion from and to grey would stretch the range
    given = (*raw, "-s", f"{width2}x{height2}", "-r", str(FPS), "-i", "-", "-an", "-threads", "1")
    coded = _ffmpeg((*given, *options, "-f", "matroska", "-"), planes.tobytes())
    told = _ffmpeg(("-threads", "1", "-i", "-", "-fps_mode", "passthrough", *raw, "-"), coded)
    back = np.frombuffer(told, np.uint8).reshape(planes.shape)[len(film) - frames :, :height2]
    parts = back.reshape(frames, count, height + down, width + right)[:, :, :height, :width]
    return np.ascontiguousarray(np.moveaxis(parts, 1, 0))


def _ffmpeg(arguments: tuple[str, ...], given: bytes) -> bytes:
    command = (str(find_ffmpeg()), "-nostdin", "-loglevel", "error", *arguments)
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    if done.returncode or not done.stdout:
        raise OSError(f"ffmpeg could not degrade a second of film: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
