"""The training task of the lip starter: pairs of a real second of video and its forgery.

The features of a second are fixed (`networks.bands`) and computed once; only their weights are trained. The loss is
cross-entropy on each second plus a ranking loss: the forgery scores above its original.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset
from tqdm import tqdm

from evaluation.manifest import read_clips
from networks.lips import LipNet
from training import loop
from training.cache import collect, log_skipped
from training.folds import TRAINING_SPLITS, TrainingSplit, limit_per_source
from training.lipsync.extract import Second, extractor
from training.lipsync.forgeries import METHODS
from training.lipsync.pairs import Pairs
from training.lipsync.validation import Validation, features
from training.plan import Plan, shares_of
from veracity.calibrate.errors import ManifestError
from veracity.calibrate.scores import Split
from veracity.evidence.requests import Infer
from veracity.evidence.speech import Vad


class LipPlan(Plan):
    """The plan of a run."""

    renamed: ClassVar[dict[str, str]] = {**Plan.renamed, "pool": "pairs_per_split"}

    batch: int = Field(64, gt=1, description="pairs per batch")
    train_on: TrainingSplit = Field("train", description="split of the training set; the other one validates")
    clips_per_source: int = Field(0, ge=0, description="clips per source and label; 0 for all")
    pairs_per_split: int = Field(600, gt=0, description="pairs made per split, once; sampled mirrored or not")
    dropout: float = Field(0.3, ge=0, lt=1, description="share of the features dropped in training")
    smoothing: float = Field(0.02, ge=0, lt=0.5, description="label smoothing")
    ranking: float = Field(0.5, ge=0, description="weight of the ranking loss: the forgery above its original")
    methods: Annotated[dict[str, float], shares_of(METHODS)] = Field(
        dict.fromkeys(METHODS, 1.0), description="relative share of each method of training.lipsync.forgeries"
    )


class ShuffledPairs(Dataset[Tensor]):
    """Pairs [2, 4, 5, 6, 6] by number: each of ``features`` once before any repeats, mirrored or not."""

    def __init__(self, features: Tensor, seed: int, first: int, count: int) -> None:
        self._features, self._seed, self._first, self._count = features, seed, first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Tensor:
        turn, place = divmod(self._first + index, len(self._features))
        rng = np.random.default_rng([self._seed, turn])
        pair, mirrored = (
            self._features[int(rng.permutation(len(self._features))[place])],
            rng.random(place + 1)[-1] < 0.5,
        )
        return pair.flip(-1) if mirrored else pair


class LipSyncTask(loop.TrainingTask):
    """The network with its pairs and its validation set."""

    plan: LipPlan

    def __init__(self, plan: LipPlan, features: Tensor, validation: Validation, sources: Iterable[str]) -> None:
        """``features`` [n, 2, 4, 5, 6, 6] are those of each pair, ``sources`` the pairs' sources."""
        super().__init__(plan, partial(LipNet, plan.dropout), sources)
        self.net.lines.standardise(features.flatten(0, 1))
        self._features, self._validation = features, validation

    def items(self, first: int, count: int) -> Dataset[Any]:
        """Pairs, mirrored or not."""
        return ShuffledPairs(self._features, self.plan.seed, first, count)

    def loss(self, batch: Tensor) -> Tensor:
        """The loss of a batch of pairs."""
        return pair_loss(self.net.lines(batch.flatten(0, 1)).reshape(-1, 2), self.plan)

    def validate(self) -> Mapping[str, float]:
        """The validation report; ``mean`` is the mean of forgeries and of other videos."""
        return self._validation.report(self.net)


def pair_loss(logits: Tensor, plan: LipPlan) -> Tensor:
    """The loss of logits [n, 2], the real one first."""
    labels = torch.tensor([plan.smoothing, 1 - plan.smoothing], device=logits.device).expand_as(logits)
    loss = functional.binary_cross_entropy_with_logits(logits, labels)
    return loss + plan.ranking * functional.softplus(logits[:, 0] - logits[:, 1]).mean()


def train(data: Path, out: Path, cache: Path, infer: Infer, vad: Vad, plan: LipPlan) -> Path:
    """Trains under ``out``, or resumes there, and returns the last checkpoint; raises ManifestError.

    The last and not the best, so that the validation set may be used for calibration.
    """
    clips = [clip for clip in read_clips(data, ("video", "images")) if clip.split != "test"]
    clips = limit_per_source(clips, plan.clips_per_source)
    clips = [clip for clip in clips if clip.kind == "video" or not clip.fake]
    found, bad = collect(clips, cache, extractor(infer, vad))
    with log_skipped(bad):
        loop.fit(make_task(plan, [second for video in found for second in video], cache), out, "mean")
    return out / loop.LAST


def make_task(plan: LipPlan, seconds: Sequence[Second], cache: Path) -> LipSyncTask:
    """The task of a plan; makes the pairs that are not cached yet.

    The split that is not trained on validates; if both are, the last one does.
    """
    parts: dict[Split, list[Second]] = {"train": [], "validation": []}
    for second in seconds:
        if second.clip.split in parts:
            parts[second.clip.split].append(second)
    training_splits = TRAINING_SPLITS[plan.train_on]
    if missing := [split for split in training_splits if not parts.get(split)]:
        raise ManifestError(f"nothing to train on: no clip of the split {', '.join(missing)} has a face")
    pools = {
        split: Pairs(part, cache, plan.seed, plan.pairs_per_split, plan.methods)
        for split, part in parts.items()
        if part
    }
    validation = next((split for split in pools if split not in training_splits), training_splits[-1])
    numbered = (
        (split, k)
        for split in training_splits
        for k in tqdm(range(plan.pairs_per_split), f"pairs of {split}", disable=None)
    )
    made = (pools[split].cached(k).mouths for split, k in numbered)
    sources = {source for split in training_splits for source in pools[split].sources}
    return LipSyncTask(plan, features(made), Validation(parts[validation], pools[validation]), sources)
