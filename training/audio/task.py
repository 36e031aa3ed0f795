"""`python -m training audio`: the head on Whisper (`training.audio.starter`), or a network from scratch on pairs.

Of the latter the loss is cross-entropy on each sound plus a ranking loss: the fake of a pair scores above the real one.
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
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from evaluation.manifest import Clip, read_clips
from networks.loading import with_weights
from networks.registry import AUDIO_NETS
from training import loop
from training.audio import starter
from training.audio.extract import SpeechClip, extract_speech, read_sound
from training.audio.features import whisper_features
from training.audio.plan import AudioPlan, spoken_set, training_set, validation_set
from training.audio.sampler import PairSampler
from training.cache import log_skipped
from training.checkpoints import save
from training.folds import group
from veracity.calibrate import metrics
from veracity.calibrate.errors import ManifestError
from veracity.evidence.speech import Vad, speech_windows

log = logging.getLogger(__name__)

CHECKPOINT = "audio.pt"  # what `python -m export audio_starter --checkpoint` takes


class _Shuffled(Dataset[Tensor]):
    """Pairs by number, in a new order each round: all of them once before any repeats."""

    def __init__(self, pairs: Tensor, seed: int, first: int, count: int) -> None:
        rounds = range(first // len(pairs), (first + count - 1) // len(pairs) + 1)
        orders = np.concatenate([np.random.default_rng([seed, round_]).permutation(len(pairs)) for round_ in rounds])
        self._pairs, self._order = pairs, orders[first % len(pairs) :][:count]

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, number: int) -> Tensor:
        return self._pairs[self._order[number]]


class AudioTask(loop.TrainingTask):
    """The network with its pairs and its validation set."""

    plan: AudioPlan

    def __init__(self, plan: AudioPlan, pairs: Tensor, validation: Validation) -> None:
        """`pairs` [n, 2, …] are the network's inputs, the real sound first."""
        if not len(pairs):
            raise ManifestError(
                f"train_on {plan.train_on}: no pair of a real and a fake sound was sampled; raise `pair_count`"
            )
        super().__init__(plan, AUDIO_NETS[plan.net])
        self._pairs, self._validation = pairs, validation

    def items(self, first: int, count: int) -> Dataset[Tensor]:
        """Pairs by their numbers."""
        return _Shuffled(self._pairs, self.plan.seed, first, count)

    def loss(self, batch: Tensor) -> Tensor:
        """The loss of pairs [n, 2, …]."""
        logits = self.net(network_input(batch.flatten(0, 1))).float().reshape(-1, 2)
        labels = torch.tensor([self.plan.smoothing, 1 - self.plan.smoothing]).expand_as(logits)
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        return loss + self.plan.ranking * functional.softplus(logits[:, 0] - logits[:, 1]).mean()

    def validate(self) -> Mapping[str, float]:
        """AUC of each source of fakes against all reals, and their mean, `auc`."""
        return self._validation.report(self.net)


class Validation:
    """The validation set: the first speech window of each clip, as the network's input."""

    def __init__(self, clips: Sequence[Clip], inputs: Tensor) -> None:
        self._sources = np.array([clip.source if clip.fake else "" for clip in clips])
        self._inputs = inputs
        if len(set(self._sources)) < 2 or "" not in self._sources:
            raise ManifestError("the validation set needs speech of both labels")

    def report(self, net: nn.Module) -> dict[str, float]:
        """AUC by source of fakes, and their mean."""
        with torch.inference_mode():
            scores = torch.cat([net(network_input(some)) for some in torch.split(self._inputs, 16)])[:, 0].numpy()
        found = {source: self._against(source, scores) for source in sorted(set(self._sources) - {""})}
        return {
            "auc": float(np.mean(list(found.values()))),
            **{f"auc {source}": value for source, value in found.items()},
        }

    def _against(self, source: str, scores: metrics.Scores) -> float:
        chosen = (self._sources == source) | (self._sources == "")
        return metrics.auc(self._sources[chosen] == source, scores[chosen])


def network_input(batch: Tensor) -> Tensor:
    """Int16 samples as floats within ±1; an encoder's features stay as they are."""
    return batch.float() / 32_768 if batch.dtype == torch.int16 else batch


def train(
    data: Path, out: Path, cache: Path, vad: Vad, weights: Path, plan: AudioPlan, spoken: Path | None = None
) -> Path:
    """Trains under `out`, or resumes there, and returns the checkpoint for export; raises ManifestError, DiskFull.

    `weights` is Whisper's file and `spoken` a folder of `training.audio.spoken`, both for the head on Whisper only. The
    last checkpoint is used, none is selected.
    """
    if plan.net not in AUDIO_NETS:
        raise ManifestError(f"no network {plan.net!r}; there are {', '.join(AUDIO_NETS)}")
    if plan.net == "whisper":
        extract, clips = whisper_features(weights), _clips(data, plan.clips_per_source)
        added = read_clips(spoken, ("audio",)) if spoken else []
        head = starter.fit(clips, added, vad, extract, cache, plan)
        trained_on = training_set(clips, plan)
        return _checkpoint(out, plan, head, [*trained_on, *spoken_set(added, trained_on, plan)])
    if spoken:
        raise ManifestError(f"{plan.net} learns pairs: --spoken is for the head on Whisper")
    pool, bad = extract_speech(_clips(data, plan.clips_per_source), vad, cache)
    with log_skipped(bad):
        return _train(pool, out, cache, vad, plan)


def _train(pool: Sequence[SpeechClip], out: Path, cache: Path, vad: Vad, plan: AudioPlan) -> Path:
    clips = [one.clip for one in pool]
    validation, trained_on = _validation(validation_set(clips, plan), vad), set(training_set(clips, plan))
    sounds, clips_of = PairSampler(pool, plan.pair_count, plan.matched_share, plan.pair_seed).pairs(cache)
    selected = np.array([real in trained_on and fake in trained_on for real, fake in clips_of])
    net = _fit(out, plan, torch.from_numpy(sounds[selected]), validation)
    log.info("validation: %s", json.dumps({name: round(value, 4) for name, value in validation.report(net).items()}))
    return _checkpoint(out, plan, net, [clip for clip in clips if clip in trained_on])


def _clips(data: Path, limit: int) -> list[Clip]:
    """All trainable clips, at most `limit` of each source, label and split; of videos the real ones."""
    counts: Counter[tuple[str, ...]] = Counter()
    chosen = []
    for clip in read_clips(data, ("audio", "video")):
        if clip.split == "test" or (clip.kind == "video" and clip.fake):
            continue  # the voice in a fake video is mostly real
        counts[key := (clip.source, clip.label, clip.split)] += 1
        if not limit or counts[key] <= limit:
            chosen.append(clip)
    return chosen


def _validation(clips: Sequence[Clip], vad: Vad) -> Validation:
    windows = [(clip, speech_windows(read_sound(clip), vad, limit=1)) for clip in clips]
    found = [(clip, some[0].samples) for clip, some in windows if some]
    if not found:
        raise ManifestError("the validation set holds no speech")
    return Validation([clip for clip, _ in found], torch.from_numpy(np.stack([samples for _, samples in found])))


def _fit(out: Path, plan: AudioPlan, pairs: Tensor, validation: Validation) -> nn.Module:
    task = AudioTask(plan, pairs, validation)
    loop.fit(task, out, "auc")
    return with_weights(out / loop.LAST, task.net)


def _checkpoint(out: Path, plan: AudioPlan, net: nn.Module, clips: Sequence[Clip]) -> Path:
    """Writes the weights in the export's format, with the sources that trained_on them; raises DiskFull."""
    sources = sorted({group(clip).partition(":")[2] or clip.source for clip in clips})
    content: dict[str, Any] = {"net": plan.net, "state": net.state_dict(), "trained_on": sources}
    save(content, out / CHECKPOINT)
    return out / CHECKPOINT
