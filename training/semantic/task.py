"""The training task of the semantic starter: `python -m training semantic`.

Matched pairs are a picture and its forgery, so that the network learns how a picture was made; unmatched pairs are a
generator's picture beside a real one, so that it learns how those look.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from evaluation.manifest import Clip, read_clips
from networks.semantic import WIDTH, SemanticHead
from training import cache as media
from training import loop
from training.folds import TRAINING_SPLITS, TrainingSplit, limit_per_source
from training.plan import Plan
from training.semantic.extract import ClipEmbeddings, Embeddings
from training.semantic.forgeries import METHODS
from veracity.calibrate import metrics
from veracity.calibrate.errors import ManifestError

log = logging.getLogger(__name__)

# Sources that are generated as a whole; swapped faces and dubbed mouths are the other layers' task.
GENERATED = ("AniPortrait", "Talking_Face_Avatar")
# repetitions of a portrait at another size or crop
_AGAIN = ("obama-240p", "obama-480p", "obama-720p", "obama-1080p", "obama_partial_face2", "offset")


class SemanticPlan(Plan):
    """The plan of a run."""

    renamed: ClassVar[dict[str, str]] = {
        **Plan.renamed, "most": "clips_per_source", "shrink": "weight_penalty", "pairs": "matched_share",
        "plain": "clean_share",
    }  # fmt: skip

    train_on: TrainingSplit = Field("train", description="split of the training set")
    smoothing: float = Field(0.02, ge=0, lt=0.5, description="label smoothing")
    clips_per_source: int = Field(0, ge=0, description="0 for all")
    weight_penalty: float = Field(
        4.0, ge=0, description="weight of the squared norm of the plane: few clips, many weights"
    )
    matched_share: float = Field(
        0.3, ge=0, le=1, description="share of pairs whose fake is forged from their real picture"
    )
    clean_share: float = Field(0.5, ge=0, le=1, description="share of unmatched pairs without degradation")


class PairSampler(Dataset[Tensor]):
    """Pairs of embeddings [2, 768] by number, the real one first. A number always gives the same pair."""

    def __init__(self, seen: Sequence[ClipEmbeddings], plan: SemanticPlan, first: int, count: int) -> None:
        """Raises ManifestError where there is no real clip, or no generated one though the plan needs some."""
        self._reals = _people([one for one in seen if not one.clip.fake])
        self._fakes = _people([one for one in seen if one.clip.fake])
        if not self._reals or not (self._fakes or plan.matched_share == 1):
            raise ManifestError("the training set has no real or no generated clip; check --data")
        self._plan, self._first, self._count = plan, first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Tensor:
        """A matched or an unmatched pair."""
        rng = np.random.default_rng([self._plan.seed, self._first + index])
        real = _one_of(self._reals, rng)
        if rng.random() < self._plan.matched_share:
            picture, draw = (int(rng.integers(side)) for side in real.degraded.shape[:2])
            method = int(rng.integers(1, 1 + len(METHODS)))
            return torch.from_numpy(real.degraded[picture, draw, [0, method]])
        plain = bool(rng.random() < self._plan.clean_share)
        both = [_picture(one, plain, rng) for one in (real, _one_of(self._fakes, rng))]
        return torch.from_numpy(np.stack(both))


class SemanticTask(loop.TrainingTask):
    """The head with its pairs and its validation set."""

    plan: SemanticPlan

    def __init__(
        self, plan: SemanticPlan, training_set: Sequence[ClipEmbeddings], validation_set: Sequence[ClipEmbeddings]
    ) -> None:
        """Raises ManifestError for clips that cannot be trained on."""
        PairSampler(training_set, plan, 0, 1)  # fails early where there is nothing to average
        super().__init__(plan, lambda: SemanticHead(_middle(training_set)), (one.clip.source for one in training_set))
        self._training_set, self._validation_set = training_set, validation_set

    def items(self, first: int, count: int) -> PairSampler:
        """Pairs by their numbers."""
        return PairSampler(self._training_set, self.plan, first, count)

    def loss(self, batch: Tensor) -> Tensor:
        """The loss of embeddings [n, 2, 768], the real one first."""
        logits = self.net(batch.flatten(0, 1)).reshape(-1, 2)
        labels = torch.tensor([self.plan.smoothing, 1 - self.plan.smoothing], device=logits.device).expand_as(logits)
        answer: Tensor = functional.binary_cross_entropy_with_logits(logits, labels)
        return answer + self.plan.weight_penalty * self.net.plane.weight.square().sum()

    def validate(self) -> Mapping[str, float]:
        """AUC of each generator and of each method of forgery, on the validation set."""
        return report(self.net, self._validation_set)


def report(net: nn.Module, seen: Sequence[ClipEmbeddings]) -> dict[str, float]:
    """AUC by clip of each source of fakes against all real clips, and of each method of forgery, both degraded."""
    scores = {one.clip.id: answers(net, one.plain).mean() for one in seen}
    reals, found = [one for one in seen if not one.clip.fake], {}
    for source in sorted({one.clip.source for one in seen if one.clip.fake}) if reals else ():
        some = [*reals, *(one for one in seen if one.clip.fake and one.clip.source == source)]
        labels = np.array([one.clip.fake for one in some])
        found[f"videos/{source}"] = metrics.auc(labels, np.array([scores[one.clip.id] for one in some]))
    for number, name in enumerate(METHODS, start=1) if reals else ():
        kinds = np.stack([[answers(net, one.degraded[:, :, k].reshape(-1, WIDTH)).mean() for k in (0, number)]
                          for one in reals])  # fmt: skip
        found[f"forgeries/{name}"] = metrics.auc(np.tile([False, True], len(reals)), kinds.ravel())
    return found


def answers(net: nn.Module, embeddings: Embeddings) -> Embeddings:
    """Log odds of fake [n]."""
    with torch.inference_mode():
        return np.asarray(net(torch.from_numpy(embeddings))[:, 0].numpy())


def train(data: Path, out: Path, how: media.Extractor[ClipEmbeddings], cache: Path, plan: SemanticPlan) -> Path:
    """Trains under ``out``, or resumes there, and returns the last checkpoint; raises ManifestError.

    ``how`` extracts the embeddings, cached in ``cache``. The last checkpoint is used, none is selected.
    """
    clips = limit_per_source(chosen(read_clips(data, ("video", "images"))), plan.clips_per_source)
    seen, bad = media.collect(clips, cache, how)
    training_set = [one for one in seen if one.clip.split in TRAINING_SPLITS[plan.train_on]]
    validation_set = [one for one in seen if one.clip.split not in TRAINING_SPLITS[plan.train_on]]
    log.info("%d clips for training, %d for validation", len(training_set), len(validation_set))
    with media.log_skipped(bad):
        loop.fit(SemanticTask(plan, training_set, validation_set), out, "loss", "min")
    return out / loop.LAST


def chosen(clips: Sequence[Clip]) -> list[Clip]:
    """The clips for training and validation: trainable, real or fully generated, each picture once."""
    return [
        clip for clip in clips
        if clip.split != "test" and (not clip.fake or clip.collection in GENERATED)
        and not any(part in clip.path.name for part in _AGAIN)
    ]  # fmt: skip


def _people(seen: Sequence[ClipEmbeddings]) -> list[list[ClipEmbeddings]]:
    """Clips by source, so that large sources do not dominate."""
    sources = sorted({one.clip.source for one in seen})
    return [[one for one in seen if one.clip.source == source] for source in sources]


def _middle(seen: Sequence[ClipEmbeddings]) -> Tensor:
    """The mean token of the clean pictures, every clip weighted alike."""
    return torch.from_numpy(np.mean([one.plain.mean(0) for one in seen], axis=0, dtype=np.float32))


def _one_of(groups: Sequence[Sequence[ClipEmbeddings]], rng: np.random.Generator) -> ClipEmbeddings:
    """A clip; sources are weighted by the square root of their size."""
    chances = np.sqrt([len(group) for group in groups])
    group = groups[int(rng.choice(len(groups), p=chances / chances.sum()))]
    return group[int(rng.integers(len(group)))]


def _picture(one: ClipEmbeddings, plain: bool, rng: np.random.Generator) -> Embeddings:
    """The embedding [768] of one of a clip's pictures, clean or degraded."""
    pictures = one.plain if plain else one.degraded[:, :, 0].reshape(-1, one.plain.shape[1])
    picture: Embeddings = pictures[int(rng.integers(len(pictures)))]
    return picture
