"""Teaching the semantic starter: `python -m training semantic`.

Half of what it learns from are pairs, a picture and a fake made of it, so that it looks at how a picture was made;
the other half are real generators' pictures beside real ones, so that it knows what those look like.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from evaluation.manifest import Clip, ManifestError, read_clips
from networks.semantic import WIDTH, SemanticHead
from training import cache as media
from training import loop
from training.folds import TEACH, Teach, few
from training.semantic.cut import Embeddings, Seen
from training.semantic.fakes import METHODS
from veracity.calibrate import metrics

log = logging.getLogger(__name__)

# Fakes that generators made whole; a swapped face or a dubbed mouth is the other layers' affair.
GENERATED = ("AniPortrait", "Talking_Face_Avatar")
# The same portrait again, at another size or cut
_AGAIN = ("obama-240p", "obama-480p", "obama-720p", "obama-1080p", "obama_partial_face2", "offset")


class SemanticPlan(loop.Plan):
    """What a run is made of."""

    teach: Teach = Field("train", description="the split that teaches")
    smoothing: float = Field(0.02, ge=0, lt=0.5, description="what is left of doubt in a label")
    most: int = Field(0, ge=0, description="clips of each source at most; 0 for all")
    shrink: float = Field(4.0, ge=0, description="weight of the plane's squared length: few clips, many numbers")
    pairs: float = Field(
        0.3, ge=0, le=1, description="share of pairs; the rest are generators' pictures beside real ones"
    )
    plain: float = Field(
        0.5, ge=0, le=1, description="how often those are shown as they came, through no channel of ours"
    )


class Pairs(Dataset[Tensor]):
    """Two embeddings [2, 768] by number, the real one first: the same number gives the same two."""

    def __init__(self, seen: Sequence[Seen], plan: SemanticPlan, first: int, count: int) -> None:
        """Raises ManifestError where there is no real clip, or no generated one though the plan wants some."""
        self._reals = _people([one for one in seen if not one.clip.fake])
        self._fakes = _people([one for one in seen if one.clip.fake])
        if not self._reals or not (self._fakes or plan.pairs == 1):
            raise ManifestError("the split that teaches has no real or no generated clip: is --data the right folder?")
        self._plan, self._first, self._count = plan, first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Tensor:
        """A pair or two strangers."""
        rng = np.random.default_rng([self._plan.seed, self._first + index])
        real = _one_of(self._reals, rng)
        if rng.random() < self._plan.pairs:
            picture, draw = (int(rng.integers(side)) for side in real.carried.shape[:2])
            method = int(rng.integers(1, 1 + len(METHODS)))
            return torch.from_numpy(real.carried[picture, draw, [0, method]])
        plain = bool(rng.random() < self._plan.plain)
        both = [_picture(one, plain, rng) for one in (real, _one_of(self._fakes, rng))]
        return torch.from_numpy(np.stack(both))


class Lesson(loop.Lesson):
    """The head, its pairs and its judge."""

    plan: SemanticPlan

    def __init__(self, plan: SemanticPlan, teaching: Sequence[Seen], judging: Sequence[Seen]) -> None:
        """Raises ManifestError for clips that cannot teach."""
        Pairs(teaching, plan, 0, 1)  # before the middle of nothing is looked for
        super().__init__(plan, lambda: SemanticHead(_middle(teaching)), (one.clip.source for one in teaching))
        self._teaching, self._judging = teaching, judging

    def items(self, first: int, count: int) -> Pairs:
        """Pairs by their numbers."""
        return Pairs(self._teaching, self.plan, first, count)

    def loss(self, batch: Tensor) -> Tensor:
        """Of embeddings [n, 2, 768], the real one first: each its label, and the fake above the real one."""
        logits = self.net(batch.flatten(0, 1)).reshape(-1, 2)
        labels = torch.tensor([self.plan.smoothing, 1 - self.plan.smoothing], device=logits.device).expand_as(logits)
        answer: Tensor = functional.binary_cross_entropy_with_logits(logits, labels)
        return answer + self.plan.shrink * self.net.plane.weight.square().sum()

    def judge(self) -> Mapping[str, float]:
        """AUC of each generator and of each method of ours, on clips that do not teach."""
        return judged(self.net, self._judging)


def judged(net: nn.Module, seen: Sequence[Seen]) -> dict[str, float]:
    """AUC of clips: of each source of fakes against all real clips; of each method, both carried. Empty for none."""
    said = {one.clip.id: answers(net, one.plain).mean() for one in seen}
    reals, found = [one for one in seen if not one.clip.fake], {}
    for source in sorted({one.clip.source for one in seen if one.clip.fake}) if reals else ():
        some = [*reals, *(one for one in seen if one.clip.fake and one.clip.source == source)]
        found[f"films/{source}"] = metrics.auc([one.clip.fake for one in some], [said[one.clip.id] for one in some])
    for number, name in enumerate(METHODS, start=1) if reals else ():
        kinds = np.stack([[answers(net, one.carried[:, :, k].reshape(-1, WIDTH)).mean() for k in (0, number)]
                          for one in reals])  # fmt: skip
        found[f"own/{name}"] = metrics.auc(np.tile([False, True], len(reals)), kinds.ravel())
    return found


def answers(net: nn.Module, embeddings: Embeddings) -> Embeddings:
    """Log odds of fake [n]."""
    with torch.inference_mode():
        return np.asarray(net(torch.from_numpy(embeddings))[:, 0].numpy())


def train(data: Path, out: Path, cut: media.Cutter[Seen], kept: Path, plan: SemanticPlan) -> Path:
    """Trains under ``out``, or goes on there, and answers the last checkpoint; raises ManifestError.

    ``kept`` is where that is kept which is ``cut``. No checkpoint is chosen: the steps are the plan's.
    """
    clips = few(chosen(read_clips(data, ("video", "images"))), plan.most)
    seen, bad = media.collect(clips, kept, cut)
    teaching = [one for one in seen if one.clip.split in TEACH[plan.teach]]
    judging = [one for one in seen if one.clip.split not in TEACH[plan.teach]]
    log.info("%d clips teach, %d judge", len(teaching), len(judging))
    with media.listing(bad):
        loop.fit(Lesson(plan, teaching, judging), out, "loss", "min")
    return out / loop.LAST


def chosen(clips: Sequence[Clip]) -> list[Clip]:
    """The clips that teach or judge: trainable, real or generated whole, each picture once."""
    return [
        clip for clip in clips
        if clip.split != "test" and (not clip.fake or clip.source in GENERATED)
        and not any(part in clip.path.name for part in _AGAIN)
    ]  # fmt: skip


def _people(seen: Sequence[Seen]) -> list[list[Seen]]:
    """Clips by collection, so that one of many clips does not teach more than one of few."""
    sources = sorted({one.clip.source for one in seen})
    return [[one for one in seen if one.clip.source == source] for source in sources]


def _middle(seen: Sequence[Seen]) -> Tensor:
    """The mean token of the pictures as they came, each clip's weighing the same."""
    return torch.from_numpy(np.mean([one.plain.mean(0) for one in seen], axis=0, dtype=np.float32))


def _one_of(groups: Sequence[Sequence[Seen]], rng: np.random.Generator) -> Seen:
    """A clip; a collection as often as the root of its clips' number."""
    chances = np.sqrt([len(group) for group in groups])
    group = groups[int(rng.choice(len(groups), p=chances / chances.sum()))]
    return group[int(rng.integers(len(group)))]


def _picture(one: Seen, plain: bool, rng: np.random.Generator) -> Embeddings:
    """The embedding [768] of one of its pictures, as it came or carried."""
    pictures = one.plain if plain else one.carried[:, :, 0].reshape(-1, one.plain.shape[1])
    picture: Embeddings = pictures[int(rng.integers(len(pictures)))]
    return picture
