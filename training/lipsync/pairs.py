"""Pairs for the lip network: a real second and its forgery, degraded and cropped alike."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from training.cache import keep
from training.lipsync import degradations, forgeries
from training.lipsync.degradations import degrade
from training.lipsync.extract import Image, Points, Second
from training.visual.masks import Rng
from veracity.calibrate.errors import ManifestError
from veracity.catalog.layers import MOUTH_FRAMES
from veracity.evidence.lips import lip_crops

_LEAST = 0.7  # of 255: a forgery that differs by less from its original is sampled again
_TRIES = 4
_STILL = 0.2  # how often a photograph is sampled, relative to a video
_KNOT = 4  # frames between two face detections


class Pair(NamedTuple):
    """``mouths`` uint8 [2, 25, 144, 144], the real second first."""

    mouths: Image
    method: int  # index into METHODS


class Pairs:
    """Pairs by number, made on first use and cached. A number always gives the same pair.

    There are ``size`` of them.
    """

    def __init__(
        self, seconds: Sequence[Second], cache: Path, seed: int, size: int, weights: Mapping[str, float]
    ) -> None:
        """``weights`` are the shares of forgeries.METHODS; raises ManifestError where nothing can be forged."""
        self._groups = by_video([one for one in seconds if one.scene.size and not one.clip.fake])
        if not self._groups:
            raise ManifestError("forgeries need real clips with faces; check --data")
        chances = np.array([1.0 if len(group[0].scene) > 1 else _STILL for group in self._groups])
        self._chances = chances / chances.sum()
        shares = np.array([weights.get(name, 0.0) for name in forgeries.METHODS])
        self._shares = shares / shares.sum()
        self._seed, self.size = seed, size
        self._folder = cache / f"pairs-{self._version()}"

    @property
    def sources(self) -> set[str]:
        """The sources of the originals."""
        return {group[0].clip.source for group in self._groups}

    def cached(self, number: int) -> Pair:
        """The pair of a number below ``size``."""
        path = self._folder / f"{number}.npz"
        if not path.is_file():
            pair = self._made(number)
            keep(path, {"mouths": pair.mouths, "method": np.array(pair.method)})
            return pair
        with np.load(path) as file:
            return Pair(file["mouths"], int(file["method"]))

    def _version(self) -> str:
        """Changes with the code that makes the pairs, the videos and the shares."""
        code = "".join(inspect.getsource(module) for module in (forgeries, degradations)) + inspect.getsource(
            crop_alike
        )
        videos = [(str(group[0].clip.path), len(group), group[0].scene.shape) for group in self._groups]
        return hashlib.sha256(f"{code}{videos}{self._shares}{self._seed}".encode()).hexdigest()[:12]

    def _made(self, number: int) -> Pair:
        """Samples again while a forgery is nearly identical to its original."""
        rng = np.random.default_rng([self._seed, number])
        for _ in range(_TRIES):
            group = self._groups[rng.choice(len(self._groups), p=self._chances)]
            method = int(rng.choice(len(forgeries.METHODS), p=self._shares))
            mouths = paired(group[rng.integers(len(group))], list(forgeries.METHODS)[method], rng)
            if np.abs(mouths[1].astype(np.float32) - mouths[0]).mean() > _LEAST:
                break
        return Pair(mouths, method)


def by_video(seconds: Sequence[Second]) -> list[list[Second]]:
    """Seconds by video, so that videos are sampled evenly whatever their length."""
    groups: dict[Path, list[Second]] = {}
    for one in seconds:
        groups.setdefault(one.clip.path, []).append(one)
    return list(groups.values())


def paired(second: Second, method: str, rng: Rng) -> Image:
    """A second and its forgery, as the layer would see them: uint8 [2, 25, 144, 144]."""
    scene, points = _moving(second, rng) if len(second.scene) == 1 else (second.scene, _points(second))
    fake, _ = forgeries.forge(scene, points[:, :5], points[:, 5:].reshape(-1, 4), method, rng)
    return crop_alike(np.stack([scene, fake]), points, rng)


def crop_alike(scenes: Image, points: Points, rng: Rng) -> Image:
    """Both degraded alike, and their mouths cropped with the same landmarks, with a detector's noise."""
    width = float(np.median(points[:, 6, 0] - points[:, 5, 0]))
    degraded, scale = degrade(scenes, width, rng)
    knots = rng.normal(0, 0.012 * width, (-(-MOUTH_FRAMES // _KNOT) + 1, 5, 2))
    at = np.arange(len(knots)) * _KNOT
    lines = [np.interp(np.arange(MOUTH_FRAMES), at, column) for column in knots.reshape(len(knots), -1).T]
    landmarks = (points[:, :5] + np.stack(lines, axis=-1).reshape(-1, 5, 2) + 0.5) * scale - 0.5
    return np.stack([lip_crops(list(scene), landmarks) for scene in degraded])


def _points(second: Second) -> Points:
    return np.concatenate([second.landmarks, second.boxes.reshape(-1, 2, 2)], axis=1)


def _moving(second: Second, rng: Rng) -> tuple[Image, Points]:
    """A photograph as a second of video: the head moves, turns and scales a little, with camera noise."""
    height, width = second.scene.shape[1:]
    points = _points(second)[0]
    size = points[6, 0] - points[5, 0]
    time = np.arange(MOUTH_FRAMES) / MOUTH_FRAMES
    sway = np.sin(2 * np.pi * (rng.uniform(0.2, 1.2, 4)[:, None] * time + rng.random((4, 1))))
    turn, grow, right, down = rng.normal(0, 1, (4, 1)) * sway * np.array([[2.5], [0.015], [0.03 * size], [0.02 * size]])
    frames, places = [], []
    for k in range(MOUTH_FRAMES):
        matrix = np.asarray(cv2.getRotationMatrix2D(points[2].tolist(), float(turn[k]), float(1 + grow[k])), np.float64)
        matrix[:, 2] += right[k], down[k]
        frames.append(_turned(second.scene[0], matrix, (width, height)))
        places.append(points @ matrix[:, :2].T + matrix[:, 2])
    video = np.stack(frames) + rng.standard_normal((MOUTH_FRAMES, height, width), np.float32) * rng.uniform(0.3, 2)
    return np.clip(video, 0, 255).astype(np.uint8), np.stack(places)


def _turned(picture: Image, matrix: npt.NDArray[Any], size: tuple[int, int]) -> Image:
    return np.asarray(
        cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.uint8
    )
