"""What a visual network is judged by on its way: films of held-out people, fakes of our own made of them, and others'.

Scores are a film's, pooled as `veracity.decision.scoring` pools, and never a pair's: in use there is no original.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from training.visual.channel import carry
from training.visual.faces import STARTER, Face, Image, Seen
from training.visual.fakes import METHODS
from veracity.calibrate import metrics
from veracity.evidence.crops import face_crop

FRAMES = 8  # of a film
_OWN = 4  # frames of a film that fakes of ours are made of
_PASSES = 2  # as it is, and through a channel
_SEED = 20_000
_BATCH = 32


class Film(NamedTuple):
    """A film's faces, the seconds of their frames, and what it is."""

    faces: Image
    times: npt.NDArray[np.float64]
    kind: str  # "" for a real one, else the source or the method of a fake
    own: bool  # whether we made it, or left it real beside those that we made


class Validation:
    """Made once a run; ``report`` asks a network."""

    def __init__(self, seen: Sequence[Seen]) -> None:
        films = [one for one in seen if one.clip.kind == "video"]
        self._films = [_film(one) for one in films]
        real = [one for one in films if one.faces]
        for number, one in enumerate(real):
            self._films += _own(one, real[(number + 1) % len(real)].faces[0], number)

    def scores(self, net: nn.Module) -> list[tuple[str, bool, float]]:
        """Of each film its kind, whether we made it, and P(fake): what a calibration needs of a held-out network."""
        return [(film.kind, film.own, clip_score(film.times, answers(net, film.faces))) for film in self._films]

    def report(self, net: nn.Module) -> dict[str, float]:
        """AUC of each source of fakes against the real films, of each method of ours, and of ours together."""
        scores = np.array([score for _, _, score in self.scores(net)])
        found: dict[str, float] = {}
        for own in (False, True):
            mine = np.array([film.own == own for film in self._films])
            kinds = np.array([film.kind for film in self._films])
            for kind in sorted(set(kinds[mine]) - {""}):
                some = mine & ((kinds == "") | (kinds == kind))
                if (kinds[some] == "").any():
                    found[f"{'own' if own else 'films'}/{kind}"] = metrics.auc(kinds[some] == kind, scores[some])
        ours = [value for name, value in found.items() if name.startswith("own/")]
        return {**found, "own": float(np.mean(ours))} if ours else found


def answers(net: nn.Module, faces: Image) -> npt.NDArray[np.float32]:
    """The log odds of faces uint8 [n, 224, 224, 3], float32 [n]."""
    with torch.inference_mode():
        parts = [net(torch.from_numpy(faces[k : k + _BATCH]))[0][:, 0] for k in range(0, len(faces), _BATCH)]
    return torch.cat(parts).float().numpy()


def clip_score(times: npt.NDArray[np.float64], logits: npt.NDArray[np.floating[Any]]) -> float:
    """As `veracity.decision.scoring` pools: the mean over frames of the worst face's P(fake)."""
    probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return float(np.mean([probability[times == time].max() for time in np.unique(times)]))


def _film(one: Seen) -> Film:
    """The crops of FRAMES frames, evenly spread."""
    times = np.unique(one.times)
    chosen = np.isin(one.times, times[np.linspace(0, len(times) - 1, min(FRAMES, len(times))).astype(int)])
    return Film(one.crops[chosen], one.times[chosen], one.clip.source if one.clip.fake else "", own=False)


def _own(one: Seen, other: Face, number: int) -> list[Film]:
    """A film as it is and faked by each method, as cut and through a channel that is drawn once for all of them."""
    faces = [one.faces[k] for k in np.linspace(0, len(one.faces) - 1, _OWN).astype(int)]
    kinds = ["", *(name for name in METHODS if name != "redrawn" or faces[0].redrawn is not None)]
    return [
        Film(
            np.stack([_carried(face, other, kind, [_SEED, number, passed], k) for k, face in enumerate(faces)]),
            np.arange(len(faces), dtype=np.float64), kind, own=True,
        )
        for passed in range(_PASSES) for kind in kinds
    ]  # fmt: skip


def _carried(face: Face, other: Face, kind: str, seed: list[int], number: int) -> Image:
    """One crop; ``seed`` ends with the pass."""
    rng = np.random.default_rng([*seed, number])
    picture = METHODS[kind](face, other, rng)[0] if kind else face.context
    scale = 1.0
    if seed[-1]:
        (picture,), scale = carry([picture], face.box[2] - face.box[0], np.random.default_rng(seed))
    return face_crop(picture, [v * scale for v in face.box], STARTER.size, STARTER.crop)
