"""Batches for the audio networks: couples of a real clip and a fake, drawn evenly over the sources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.augment import degrade
from training.data import ManifestError, Pcm
from training.pool import Item, Pool, crop

# Beside a fake of the manifest stands a real clip of the same voices where there is one, else one of many speakers:
# a voice that is only ever real, or a telephone that is, would be learned in place of the manipulation.
_COMPANIONS = {"DiffGAN-TTS": ("TTS", "autovc")}
_MANY_SPEAKERS = ("LibriSpeech train-clean-100",)


@dataclass(frozen=True)
class Plan:
    """What a run is made of; `pairs` and `strangers` are the two halves of a batch, in couples of real and fake."""

    net: str = "spectrum"
    steps: int = 1400
    pairs: int = 8
    strangers: int = 8
    crop_samples: int = 32_000  # 2 s
    rate: float = 2e-3
    copies: int = 1
    check_every: int = 100
    seed: int = 0
    clips_per_source: int | None = None  # that teach; None for all


class Batches:
    """Draws couples of (real, fake) from a pool: sources evenly first, then a clip of the source."""

    def __init__(self, pool: Pool, plan: Plan) -> None:
        self._pool, self._plan = pool, plan
        self._rng = np.random.default_rng(plan.seed)
        self._torch = torch.Generator().manual_seed(plan.seed)
        self._reals = _by_source(item for item in pool.items if not item.fake)
        self._strange = _by_source(item for item in pool.items if item.fake and item.origin < 0)
        if not self._reals or not self._strange:
            raise ManifestError("the sources that teach need speech of both labels")
        self._made: dict[int, list[Item]] = defaultdict(list)
        for item in pool.items:
            if item.origin >= 0:
                self._made[item.origin].append(item)

    def draw(self) -> Tensor:
        """Sound [couples, 2, n]: the real one first, the fake second."""
        pairs = torch.stack([self._pair() for _ in range(self._plan.pairs)])
        strangers = torch.stack([self._stranger() for _ in range(self._plan.strangers)])
        strangers = degrade(strangers.reshape(-1, 1, strangers.shape[2]), self._torch).reshape_as(strangers)
        return torch.cat([degrade(pairs, self._torch), strangers])

    def _pair(self) -> Tensor:
        real = self._pick(self._reals)
        made = self._made[real.index]
        fake = made[self._rng.integers(len(made))]
        tape, at = self._tape(), float(self._rng.random())
        return torch.stack([self._sound(item, tape, at) for item in (real, fake)])

    def _stranger(self) -> Tensor:
        fake = self._pick(self._strange)
        wanted = _COMPANIONS.get(fake.source, _MANY_SPEAKERS)
        companions = [group for group in self._reals if group[0].source in wanted]
        items = (self._pick(companions or self._reals), fake)
        return torch.stack([self._sound(item, self._tape(), float(self._rng.random())) for item in items])

    def _pick(self, groups: list[list[Item]]) -> Item:
        group = groups[self._rng.integers(len(groups))]
        return group[self._rng.integers(len(group))]

    def _tape(self) -> Pcm:
        """The clean one in four draws of ten, else a codec."""
        clean = self._rng.random() < 0.4
        return self._pool.tapes[0 if clean else self._rng.integers(1, len(self._pool.tapes))]

    def _sound(self, item: Item, tape: Pcm, at: float) -> Tensor:
        return torch.from_numpy(crop(tape, item, self._plan.crop_samples, at).astype(np.float32) / 32_768)


def _by_source(items: Iterable[Item]) -> list[list[Item]]:
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[item.source].append(item)
    return list(groups.values())
