"""Teaching the lip starter: pairs of a real second and the same second tampered with.

What the network reads of a second is fixed (`networks.bands`), so it is read once; what is learned is how much
each number weighs. The loss asks of every second its label, and of every pair that the fake scores above the real one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset
from tqdm import tqdm

from evaluation.manifest import ManifestError, read_clips
from networks.lips import LipNet
from training import loop
from training.cache import collect, listing
from training.folds import TEACH, Teach, few
from training.lipsync.cut import Second, cutter
from training.lipsync.pairs import Pairs
from training.lipsync.tamper import METHODS
from training.lipsync.validation import Validation, numbers
from training.plan import shares_of
from veracity.calibrate.scores import Split
from veracity.evidence.requests import Infer
from veracity.evidence.speech import Vad


class LipPlan(loop.Plan):
    """What a run is made of."""

    batch: int = Field(64, gt=1, description="pairs of real and fake in a batch")
    teach: Teach = Field("train", description="the split that teaches; the other judges")
    clips_per_source: int = Field(0, ge=0, description="that are cut, of each source and label; 0 for all")
    pool: int = Field(600, gt=0, description="pairs that are made of each split, once; drawn mirrored or not")
    dropout: float = Field(0.3, ge=0, lt=1, description="share of the numbers that a batch does not see")
    smoothing: float = Field(0.02, ge=0, lt=0.5, description="what is left of doubt in a label")
    ranking: float = Field(0.5, ge=0, description="weight of: the fake above its own original")
    methods: Annotated[dict[str, float], shares_of(METHODS)] = Field(
        dict.fromkeys(METHODS, 1.0), description="share of each method of training.lipsync.tamper"
    )


class Draws(Dataset[Tensor]):
    """Pairs [2, 4, 5, 6, 6] by number: each of ``known`` once before any comes again, mirrored or not."""

    def __init__(self, known: Tensor, seed: int, first: int, count: int) -> None:
        self._known, self._seed, self._first, self._count = known, seed, first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Tensor:
        turn, place = divmod(self._first + index, len(self._known))
        rng = np.random.default_rng([self._seed, turn])
        pair, mirrored = self._known[int(rng.permutation(len(self._known))[place])], rng.random(place + 1)[-1] < 0.5
        return pair.flip(-1) if mirrored else pair


class LipLesson(loop.Lesson):
    """The network with its pairs and its judge."""

    plan: LipPlan

    def __init__(self, plan: LipPlan, known: Tensor, judge: Validation, taught: Iterable[str]) -> None:
        """``known`` [n, 2, 4, 5, 6, 6] is what is read of each pair, ``taught`` the sources that they are of."""
        super().__init__(plan, partial(LipNet, plan.dropout), taught)
        self.net.lines.standardise(known.flatten(0, 1))
        self._known, self._judge = known, judge

    def items(self, first: int, count: int) -> Dataset[Any]:
        """Pairs, mirrored or not."""
        return Draws(self._known, self.plan.seed, first, count)

    def loss(self, batch: Tensor) -> Tensor:
        """Of a batch of pairs."""
        return pair_loss(self.net.lines(batch.flatten(0, 1)).reshape(-1, 2), self.plan)

    def judge(self) -> Mapping[str, float]:
        """The judge's report; ``mean`` is that of its own fakes and of films."""
        return self._judge.report(self.net)


def pair_loss(logits: Tensor, plan: LipPlan) -> Tensor:
    """Of logits [n, 2], the real one's first."""
    labels = torch.tensor([plan.smoothing, 1 - plan.smoothing], device=logits.device).expand_as(logits)
    loss = functional.binary_cross_entropy_with_logits(logits, labels)
    return loss + plan.ranking * functional.softplus(logits[:, 0] - logits[:, 1]).mean()


def train(data: Path, out: Path, cache: Path, infer: Infer, vad: Vad, plan: LipPlan) -> Path:
    """Trains under ``out``, or goes on there, and answers the last checkpoint; raises ManifestError.

    The last and not the best: what judges may then calibrate as well.
    """
    clips = [clip for clip in read_clips(data, ("video", "images")) if clip.split != "test"]
    clips = few(clips, plan.clips_per_source)
    clips = [clip for clip in clips if clip.kind == "video" or not clip.fake]
    found, bad = collect(clips, cache, cutter(infer, vad))
    with listing(bad):
        loop.fit(lesson(plan, [second for film in found for second in film], cache), out, "mean")
    return out / loop.LAST


def lesson(plan: LipPlan, seconds: Sequence[Second], cache: Path) -> LipLesson:
    """The lesson of a plan; makes the pairs that are not there yet, and goes on where it was.

    The split that it does not learn from judges, else the last one that it does.
    """
    parts: dict[Split, list[Second]] = {"train": [], "validation": []}
    for second in seconds:
        if second.clip.split in parts:
            parts[second.clip.split].append(second)
    teach = TEACH[plan.teach]
    if missing := [split for split in teach if not parts.get(split)]:
        raise ManifestError(f"nothing to learn from: no clip of the split {', '.join(missing)} has a face")
    pools = {split: Pairs(part, cache, plan.seed, plan.pool, plan.methods) for split, part in parts.items() if part}
    judge = next((split for split in pools if split not in teach), teach[-1])
    numbered = ((split, k) for split in teach for k in tqdm(range(plan.pool), f"pairs of {split}", disable=None))
    made = (pools[split].kept(k).mouths for split, k in numbered)
    taught = {source for split in teach for source in pools[split].sources}
    return LipLesson(plan, numbers(made), Validation(parts[judge], pools[judge]), taught)
