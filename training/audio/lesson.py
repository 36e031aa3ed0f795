"""Teaching the audio starter: `python -m training audio`.

The loss asks every sound for its label, and of every couple that the fake scores above the real one.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from evaluation.manifest import Clip, ManifestError, read_clips
from networks.registry import AUDIO_NETS
from networks.whisper import MEMBERS, WhisperHead, averaged
from training import loop
from training.audio.course import Course
from training.audio.hearing import Hearing, by_whisper, plainly
from training.audio.pool import Spoken, heard, spoken
from training.cache import listing
from training.checkpoints import save
from training.folds import FOLDS, TEACH, Teach, fold
from veracity.calibrate import metrics
from veracity.evidence.speech import Vad, speech_windows

log = logging.getLogger(__name__)

CHECKPOINT = "audio.pt"  # what `python -m export audio_starter --checkpoint` takes


class AudioPlan(loop.Plan):
    """What a run is made of; an item is a couple."""

    net: str = Field("whisper", description="of training.nets: a head on Whisper's encoder, or one from scratch")
    teach: Teach = Field("train", description="the split that teaches")
    without: int | None = Field(None, ge=0, lt=len(FOLDS), description="the fold (training.folds) that does not teach")
    draw: int = Field(0, ge=0, description="seed of the course, which runs of several seeds share")
    couples: int = Field(4000, gt=0, description="that are drawn and sent through a channel; epochs go over them again")
    pairs: float = Field(0.5, ge=0, le=1, description="share of them that are a real clip and a fake made of it")
    smoothing: float = Field(0.02, ge=0, lt=0.5, description="what is left of doubt in a label")
    ranking: float = Field(0.5, ge=0, description="weight of: the fake above the real one of its couple")
    clips_per_source: int = Field(0, ge=0, description="that teach, of each source and label; 0 for all")


class _Drawn(Dataset[Tensor]):
    """Couples by their numbers, all of them once before any comes again."""

    def __init__(self, couples: Tensor, seed: int, first: int, count: int) -> None:
        rounds = range(first // len(couples), (first + count - 1) // len(couples) + 1)
        orders = np.concatenate([np.random.default_rng([seed, round_]).permutation(len(couples)) for round_ in rounds])
        self._couples, self._order = couples, orders[first % len(couples) :][:count]

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, number: int) -> Tensor:
        return self._couples[self._order[number]]


class Lesson(loop.Lesson):
    """The network, its course and its judge."""

    plan: AudioPlan

    def __init__(self, plan: AudioPlan, couples: Tensor, judge: Judge) -> None:
        """`couples` [n, 2, …] as the network is given them, the real one first."""
        if not len(couples):
            raise ManifestError(f"teach: {plan.teach}: no couple of a real and a fake was drawn; give more `couples`")
        super().__init__(plan, WhisperHead if plan.net == "whisper" else AUDIO_NETS[plan.net])
        self._couples, self._judge = couples, judge
        if isinstance(self.net, WhisperHead):
            self.net.settle(couples.flatten(0, 1))

    def items(self, first: int, count: int) -> Dataset[Tensor]:
        """Couples by their numbers."""
        return _Drawn(self._couples, self.plan.seed, first, count)

    def loss(self, batch: Tensor) -> Tensor:
        """Of couples [n, 2, …]."""
        logits = self.net(as_given(batch.flatten(0, 1))).float().reshape(-1, 2)
        labels = torch.tensor([self.plan.smoothing, 1 - self.plan.smoothing]).expand_as(logits)
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        return loss + self.plan.ranking * functional.softplus(logits[:, 0] - logits[:, 1]).mean()

    def judge(self) -> Mapping[str, float]:
        """AUC of each source of fakes against all reals, and their mean, `auc`."""
        return self._judge.report(self.net)


class Judge:
    """Clips that nobody learns from, the first window of each as the network is given it."""

    def __init__(self, clips: Sequence[Clip], given: Tensor) -> None:
        self._sources = np.array([clip.source if clip.fake else "" for clip in clips])
        self._given = given
        if len(set(self._sources)) < 2 or "" not in self._sources:
            raise ManifestError("the sources that judge need speech of both labels")

    def report(self, net: nn.Module) -> dict[str, float]:
        """The AUCs."""
        with torch.inference_mode():
            scores = torch.cat([net(as_given(some)) for some in torch.split(self._given, 16)])[:, 0].numpy()
        found = {source: self._against(source, scores) for source in sorted(set(self._sources) - {""})}
        return {
            "auc": float(np.mean(list(found.values()))),
            **{f"auc {source}": value for source, value in found.items()},
        }

    def _against(self, source: str, scores: metrics.Scores) -> float:
        chosen = (self._sources == source) | (self._sources == "")
        return metrics.auc(self._sources[chosen] == source, scores[chosen])


def as_given(batch: Tensor) -> Tensor:
    """Samples within ±1 of int16; what an encoder said stays as it is."""
    return batch.float() / 32_768 if batch.dtype == torch.int16 else batch


def train(data: Path, out: Path, cache: Path, vad: Vad, weights: Path, plan: AudioPlan) -> Path:
    """Trains under `out`, or goes on there, and answers the checkpoint for export; raises ManifestError, FullDisk.

    `weights` is Whisper's file, which only its head wants. No checkpoint is chosen: the last one counts.
    """
    if plan.net not in AUDIO_NETS:
        raise ManifestError(f"no network {plan.net!r}; there are {', '.join(AUDIO_NETS)}")
    hear = by_whisper(weights) if plan.net == "whisper" else plainly
    clips = _clips(data, plan.clips_per_source)
    pool, bad = spoken(clips, vad, cache)
    with listing(bad):
        return _taught(pool, out, cache, vad, hear, plan)


def _taught(pool: Sequence[Spoken], out: Path, cache: Path, vad: Vad, hear: Hearing, plan: AudioPlan) -> Path:
    judge = _judge([one.clip for one in pool if _judges(one.clip, plan)], vad, hear, cache)
    sounds, made_of = Course(pool, plan.couples, plan.pairs, plan.draw).couples(cache)
    couples = hear(sounds.reshape(-1, sounds.shape[2]), cache).unflatten(0, (-1, 2))
    own = couples[np.array([teaches(real, plan) and teaches(fake, plan) for real, fake in made_of])]
    net = _heads(out, plan, own, judge) if plan.net == "whisper" else _learned(out, plan, own, judge)
    log.info("all together: %s", json.dumps({name: round(value, 4) for name, value in judge.report(net).items()}))
    return _checkpoint(out, plan, net, sorted({one.clip.source for one in pool if teaches(one.clip, plan)}))


def _clips(data: Path, few: int) -> list[Clip]:
    """All clips that may teach, the first `few` of each source, label and split; a film's sound where it is real."""
    counts: Counter[tuple[str, ...]] = Counter()
    chosen = []
    for clip in read_clips(data, ("audio", "video")):
        if clip.split == "test" or (clip.kind == "video" and clip.fake):
            continue  # the voice of a faked film is mostly real
        counts[key := (clip.source, clip.label, clip.split)] += 1
        if not few or counts[key] <= few:
            chosen.append(clip)
    return chosen


def teaches(clip: Clip, plan: AudioPlan) -> bool:
    """Whether the plan learns from it."""
    return clip.split in TEACH[plan.teach] and fold(clip) != plan.without


def _judges(clip: Clip, plan: AudioPlan) -> bool:
    """Whether it judges: what does not teach; where all teach, the validation clips, who then only seem to."""
    all_teach = plan.teach == "both" and plan.without is None
    return clip.kind == "audio" and (clip.split == "validation" if all_teach else not teaches(clip, plan))


def _judge(clips: Sequence[Clip], vad: Vad, hear: Hearing, cache: Path) -> Judge:
    windows = [(clip, speech_windows(heard(clip), vad, limit=1)) for clip in clips]
    found = [(clip, some[0].samples) for clip, some in windows if some]
    if not found:
        raise ManifestError("nobody speaks in the clips that judge")
    return Judge([clip for clip, _ in found], hear(np.stack([samples for _, samples in found]), cache))


def _heads(out: Path, plan: AudioPlan, couples: Tensor, judge: Judge) -> nn.Module:
    """The mean of heads of several seeds, each under a folder of its own."""
    plans = [plan.model_copy(update={"seed": plan.seed + member}) for member in range(MEMBERS)]
    heads = [_learned(out / str(one.seed), one, couples, judge) for one in plans]
    return averaged([head for head in heads if isinstance(head, WhisperHead)])


def _learned(out: Path, plan: AudioPlan, couples: Tensor, judge: Judge) -> nn.Module:
    lesson = Lesson(plan, couples, judge)
    loop.fit(lesson, out, "auc")
    return loop.load(out / loop.LAST, lesson.net)


def _checkpoint(out: Path, plan: AudioPlan, net: nn.Module, sources: list[str]) -> Path:
    """The last weights, averaged, as the export wants them; raises FullDisk."""
    content: dict[str, Any] = {"net": plan.net, "state": net.state_dict(), "trained_on": sources}
    save(content, out / CHECKPOINT)
    return out / CHECKPOINT
