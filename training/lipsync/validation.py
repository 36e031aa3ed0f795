"""Validation of a lip network: forgeries of held-out people, and other sources of fakes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from networks.bands import SHAPE, Bands
from networks.lips import LipNet
from training.lipsync.extract import Image, Second
from training.lipsync.forgeries import METHODS
from training.lipsync.pairs import Pairs
from veracity.calibrate import metrics

Scores = npt.NDArray[np.floating[Any]]
FORGERIES = 200  # pairs at most, of all methods


class Validation:
    """Videos as the engine analyses them, and the first FORGERIES pairs; features are computed once."""

    def __init__(self, seconds: Sequence[Second], pairs_of: Pairs) -> None:
        """``seconds`` of videos and photographs; of videos only those that the engine chooses count."""
        # clips with shifted sound have real frames
        self._videos = [one for one in seconds if one.chosen and len(one.mouths) and "offset" not in one.clip.path.name]
        pairs = [pairs_of.cached(number) for number in range(min(FORGERIES, pairs_of.size))]
        self._methods = np.array([pair.method for pair in pairs])
        self._forgeries = features([pair.mouths for pair in pairs])
        self._seen = features([one.mouths[None] for one in self._videos])

    def report(self, net: LipNet) -> dict[str, float]:
        """AUC of each method of forgery and of each source of fakes, and their ``mean``."""
        answers = answer(net, self._forgeries)
        report = {
            f"forgeries/{name}": metrics.auc(np.tile([False, True], int(mine.sum())), answers[mine].ravel())
            for k, name in enumerate(METHODS)
            for mine in [self._methods == k]
            if mine.any()
        }
        report["forgeries"] = metrics.auc(np.tile([False, True], len(answers)), answers.ravel())
        report |= by_source(self._videos, answer(net, self._seen).ravel())
        videos = [value for name, value in report.items() if name.startswith("videos/")]
        return report | {"mean": float(np.mean([report["forgeries"], *([float(np.mean(videos))] if videos else [])]))}


def features(seconds: Iterable[Image]) -> Tensor:
    """The features of seconds uint8 [k, 25, 144, 144]: [n, k, 4, 5, 6, 6]."""
    read = Bands().eval()
    with torch.no_grad():
        parts = [read(torch.from_numpy(np.ascontiguousarray(some))) for some in seconds]
    return torch.stack(parts) if parts else torch.zeros(0, 1, *SHAPE)


def answer(net: LipNet, features_: Tensor) -> npt.NDArray[np.float32]:
    """The logits [n, k] of features [n, k, 4, 5, 6, 6]."""
    with torch.no_grad():
        logits = net.judge(features_.flatten(0, 1)).reshape(features_.shape[:2])
    return np.asarray(logits.numpy(), np.float32)


def clip_scores(seconds: Sequence[Second], logits: Scores) -> dict[str, float]:
    """Each clip's logit by its id, as `veracity.decision.scoring` pools: the face with the highest mean."""
    faces: dict[str, dict[int, list[float]]] = {}
    for one, logit in zip(seconds, logits):
        faces.setdefault(one.clip.id, {}).setdefault(one.track, []).append(float(logit))
    return {clip: max(float(np.mean(some)) for some in tracks.values()) for clip, tracks in faces.items()}


def by_source(seconds: Sequence[Second], logits: Scores) -> dict[str, float]:
    """AUC of each source of fakes against all real clips."""
    scores, clips = clip_scores(seconds, logits), {one.clip.id: one.clip for one in seconds}
    values = np.array([scores[name] for name in clips])
    fake = np.array([clip.fake for clip in clips.values()])
    sources = np.array([clip.source for clip in clips.values()])
    if fake.all() or not fake.any():
        return {}
    return {
        f"videos/{name}": metrics.auc(fake[mine], values[mine])
        for name in sorted(set(sources[fake]))
        for mine in [~fake | (fake & (sources == name))]
    }
