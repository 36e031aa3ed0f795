"""Validation of a visual network: videos of held-out people, forgeries made from them, and other sources of fakes.

Scores are per video, pooled as in `veracity.decision.scoring`, never per pair: in use there is no original.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from training.visual.degradations import degrade
from training.visual.faces import STARTER, ClipFaces, Face, Image
from training.visual.forgeries import METHODS
from veracity.calibrate import metrics
from veracity.evidence.crops import face_crop

FRAMES = 8  # per video
_FORGED = 12  # real videos that are forged
_OWN = 4  # frames of each
_PASSES = 2  # original and degraded
_SEED = 20_000
_BATCH = 32


class Video(NamedTuple):
    """A video's faces, the times of their frames in seconds, and its label."""

    faces: Image
    times: npt.NDArray[np.float64]
    kind: str  # "" for a real video, else the source or the method of the fake
    forged: bool  # one of ours: a forgery, or its original


class Validation:
    """Built once per run; ``report`` scores a network."""

    def __init__(self, seen: Sequence[ClipFaces]) -> None:
        videos = [one for one in seen if one.clip.kind == "video"]
        self._videos = [_video(one) for one in videos]
        real = [one for one in videos if one.faces][:_FORGED]
        for number, one in enumerate(real):
            self._videos += _forgeries(one, real[(number + 1) % len(real)].faces[0], number)

    def scores(self, net: nn.Module) -> list[tuple[str, bool, float]]:
        """Kind, whether it is one of ours, and P(fake) of each video: what calibration needs of a held-out network."""
        return [
            (video.kind, video.forged, clip_score(video.times, logits_of(net, video.faces))) for video in self._videos
        ]

    def report(self, net: nn.Module) -> dict[str, float]:
        """AUC of each source of fakes against the real videos, of each method of forgery, and of all methods."""
        scores = np.array([score for _, _, score in self.scores(net)])
        found: dict[str, float] = {}
        for forged in (False, True):
            mine = np.array([video.forged == forged for video in self._videos])
            kinds = np.array([video.kind for video in self._videos])
            for kind in sorted(set(kinds[mine]) - {""}):
                some = mine & ((kinds == "") | (kinds == kind))
                if (kinds[some] == "").any():
                    found[f"{'forgeries' if forged else 'videos'}/{kind}"] = metrics.auc(
                        kinds[some] == kind, scores[some]
                    )
        ours = [value for name, value in found.items() if name.startswith("forgeries/")]
        return {**found, "forgeries": float(np.mean(ours))} if ours else found


def logits_of(net: nn.Module, faces: Image) -> npt.NDArray[np.float32]:
    """The log odds of faces uint8 [n, 224, 224, 3], float32 [n]."""
    with torch.inference_mode():
        parts = [net(torch.from_numpy(faces[k : k + _BATCH]))[0][:, 0] for k in range(0, len(faces), _BATCH)]
    logits: npt.NDArray[np.float32] = torch.cat(parts).float().numpy()
    return logits


def clip_score(times: npt.NDArray[np.float64], logits: npt.NDArray[np.floating[Any]]) -> float:
    """As `veracity.decision.scoring` pools: the mean over frames of the worst face's P(fake)."""
    probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return float(np.mean([probability[times == time].max() for time in np.unique(times)]))


def _video(one: ClipFaces) -> Video:
    """The crops of FRAMES frames, evenly spread."""
    times = np.unique(one.times)
    chosen = np.isin(one.times, times[np.linspace(0, len(times) - 1, min(FRAMES, len(times))).astype(int)])
    return Video(one.crops[chosen], one.times[chosen], one.clip.source if one.clip.fake else "", forged=False)


def _forgeries(one: ClipFaces, other: Face, number: int) -> list[Video]:
    """A video's original and its forgeries by each method, clean and with the same degradation."""
    faces = [one.faces[k] for k in np.linspace(0, len(one.faces) - 1, _OWN).astype(int)]
    kinds = ["", *(name for name in METHODS if name != "redrawn" or faces[0].redrawn is not None)]
    return [
        Video(
            np.stack([_degraded(face, other, kind, [_SEED, number, passed], k) for k, face in enumerate(faces)]),
            np.arange(len(faces), dtype=np.float64), kind, forged=True,
        )
        for passed in range(_PASSES) for kind in kinds
    ]  # fmt: skip


def _degraded(face: Face, other: Face, kind: str, seed: list[int], number: int) -> Image:
    """One crop; ``seed`` ends with the pass."""
    rng = np.random.default_rng([*seed, number])
    picture = METHODS[kind](face, other, rng)[0] if kind else face.context
    scale = 1.0
    if seed[-1]:
        width = face.box[2] - face.box[0]
        (picture,), scale = degrade([picture], width, np.random.default_rng(seed), as_films=True)
    return face_crop(picture, [v * scale for v in face.box], STARTER.size, STARTER.crop)
