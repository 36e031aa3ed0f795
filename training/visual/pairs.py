"""Pairs for the visual network: a real face and its forgery, degraded and cropped alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from torch.utils.data import Dataset

from training.visual.degradations import degrade, recorded
from training.visual.faces import STARTER, ClipFaces, Face, Image
from training.visual.forgeries import METHODS
from training.visual.masks import Mask, Rng
from veracity.calibrate.errors import ManifestError
from veracity.evidence.crops import face_crop

CELLS = 7  # a side of the network's map
_LEAST = 2.0  # of 255: a forgery that differs by less under its mask is sampled again
_TRIES = 4
_TURNED = 0.6  # share of pairs with a changed pose


class Pair(NamedTuple):
    """``faces`` uint8 [2, 224, 224, 3], the real one first; ``mask`` float32 [7, 7], the share of each cell altered."""

    faces: Image
    mask: Mask
    method: int  # index into METHODS


class Pairs(Dataset[Pair]):
    """Pairs by number. A number always gives the same pair."""

    def __init__(
        self,
        seen: Sequence[ClipFaces],
        seed: int,
        first: int,
        count: int,
        weights: Mapping[str, float],
        photo_rate: float = 0.4,
    ) -> None:
        """``weights`` are the shares of METHODS, ``photo_rate`` how often photographs are sampled, relative to videos.

        Raises ManifestError where there are fewer than two people.
        """
        self._groups = [one.faces for one in seen if one.faces]
        self._people = [one.clip.path for one in seen if one.faces]  # re-encodings of a video share its path
        if len(set(self._people)) < 2:
            raise ManifestError("forgeries need at least two real clips with faces; check --data")
        chances = np.array([1.0 if one.clip.kind == "video" else photo_rate for one in seen if one.faces])
        self._chances = chances / chances.sum()
        shares = np.array([weights[name] for name in METHODS])
        self._shares = shares / shares.sum()
        self._seed, self._first, self._count = seed, first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Pair:
        """Samples again while a forgery is nearly identical to its original."""
        rng = np.random.default_rng([self._seed, self._first + index])
        for attempt in range(_TRIES):
            pair, difference = self._draw(rng)
            if difference > _LEAST or attempt == _TRIES - 1:
                break
        return pair

    def _draw(self, rng: Rng) -> tuple[Pair, float]:
        mine = theirs = rng.choice(len(self._groups), p=self._chances)
        while self._people[theirs] == self._people[mine]:
            theirs = rng.choice(len(self._groups), p=self._chances)
        face, other = (self._groups[k][rng.integers(len(self._groups[k]))] for k in (mine, theirs))
        face = replace(face, context=recorded(face.context, face.box[2] - face.box[0], rng))
        shares = self._shares * [name != "redrawn" or face.redrawn is not None for name in METHODS]
        method = int(rng.choice(len(METHODS), p=shares / shares.sum()))
        fake, mask = list(METHODS.values())[method](face, other, rng)
        return crop_alike(face, fake, mask, method, rng)


def crop_alike(face: Face, fake: Image, mask: Mask, method: int, rng: Rng) -> tuple[Pair, float]:
    """The pair as the layer would see it, and the mean difference under the mask, of 255."""
    pictures, steady = [face.context, fake, (mask * 255).astype(np.uint8)], _unsteady(face.box, rng)
    if rng.random() < _TURNED:
        pictures = _posed(pictures, steady, rng)
    degraded, scale = degrade(pictures[:2], face.box[2] - face.box[0], rng, as_films=True)
    where, mirrored = [v * scale for v in steady], rng.random() < 0.5
    cut = [_turned(face_crop(picture, where, STARTER.size, STARTER.crop), mirrored) for picture in degraded]
    altered = _turned(face_crop(pictures[2], steady, STARTER.size, STARTER.crop), mirrored)
    apart = np.abs(cut[1].astype(np.float32) - cut[0]).mean(2)
    cells = cv2.resize(altered, (CELLS, CELLS), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    difference = float((apart * altered).sum() / max(1, altered.sum()))
    return Pair(np.stack(cut), cells, method), difference


def _posed(pictures: Sequence[Image], box: Sequence[float], rng: Rng) -> list[Image]:
    """A slightly changed pose: rotated, scaled and stretched."""
    middle = np.array([box[0] + box[2], box[1] + box[3]]) / 2
    turn = cv2.getRotationMatrix2D((0.0, 0.0), float(rng.normal(0, 8)), float(np.exp(rng.normal(0, 0.1))))
    matrix = turn[:, :2] @ np.diag(np.exp(rng.normal(0, 0.07, 2)))
    matrix = np.column_stack([matrix, middle - matrix @ middle])
    way = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    size = pictures[0].shape[1::-1]
    posed = (cv2.warpAffine(picture, matrix, size, flags=way, borderMode=cv2.BORDER_REFLECT) for picture in pictures)
    return [np.asarray(picture, np.uint8) for picture in posed]


def _unsteady(box: Sequence[float], rng: Rng) -> list[float]:
    """A box as another frame's detection might have it: shifted and scaled by a few percent."""
    x0, y0, x1, y1 = box
    size = np.array([x1 - x0, y1 - y0])
    middle = np.array([x0 + x1, y0 + y1]) / 2 + rng.normal(0, 0.03, 2) * size
    half = size / 2 * np.exp(rng.normal(0, 0.06, 2))
    return [float(v) for v in np.concatenate([middle - half, middle + half])]


def _turned(picture: Image, mirrored: bool) -> Image:
    return np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture
