"""Teaching the audio starter: `python -m training audio`.

The loss asks every sound for its label, and of every couple that the fake scores above the real one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from training import metrics
from training.batches import Batches, Plan
from training.data import Clip, ManifestError, load, read_manifest
from training.nets import AUDIO_NETS, parameters
from training.pool import build_pool
from veracity.speech import Vad, speech_windows

WINDOWS_PER_CLIP = 3  # what a clip is scored on, evenly spread


def train(data: Path, out: Path, cache: Path, vad: Vad, plan: Plan) -> Path:
    """Trains `plan.net` and answers the path of its best checkpoint; Ctrl-C keeps the best so far.

    Best is the mean AUC over the fake sources of the validation split, one window a clip. Raises ManifestError.
    """
    torch.manual_seed(plan.seed)
    clips = read_manifest(data, "audio")
    teaching = _teaching(clips, plan.clips_per_source)
    batches = Batches(build_pool(teaching, vad, cache, copies=plan.copies, seed=plan.seed), plan)
    judge = Validation([clip for clip in clips if clip.split == "validation"], vad)
    run = Run(AUDIO_NETS[plan.net](), plan, out, sorted({clip.source for clip in teaching}))
    try:
        run.learn(batches, judge)
    except KeyboardInterrupt:
        tqdm.write(f"stopped: {run.checkpoint} holds the best so far")
    return run.checkpoint


def _teaching(clips: Sequence[Clip], per_source: int | None) -> list[Clip]:
    """The clips of the training split, the first `per_source` of each source and label."""
    groups: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.split == "train":
            groups[clip.source, clip.label].append(clip)
    chosen = {clip.path for group in groups.values() for clip in group[:per_source]}
    return [clip for clip in clips if clip.path in chosen]


class Validation:
    """The validation clips as first windows of speech, ready to be scored again and again."""

    def __init__(self, clips: Sequence[Clip], vad: Vad) -> None:
        spoken = ((clip, speech_windows(load(clip.path), vad, limit=1)) for clip in clips)
        heard = [(clip, windows[0].samples) for clip, windows in spoken if windows]
        self._sources = np.array([clip.source if clip.fake else "" for clip, _ in heard])
        if len(set(self._sources)) < 2 or "" not in self._sources:
            raise ManifestError("the validation sources need speech of both labels")
        self._windows = torch.from_numpy(np.stack([window for _, window in heard]).astype(np.float32) / 32_768)

    @torch.inference_mode()
    def auc(self, net: nn.Module) -> float:
        """Mean over the fake sources of their AUC against all real clips; the network goes on learning afterwards."""
        net.eval()
        scores = torch.cat([net(batch) for batch in torch.split(self._windows, 16)])[:, 0].numpy()
        net.train()
        return float(np.mean([self._against(source, scores) for source in set(self._sources) - {""}]))

    def _against(self, source: str, scores: metrics.Scores) -> float:
        chosen = (self._sources == source) | (self._sources == "")
        return metrics.auc(self._sources[chosen] == source, scores[chosen])


class Run:
    """One network on its way: optimiser, schedule, history and the best checkpoint."""

    def __init__(self, net: nn.Module, plan: Plan, out: Path, sources: list[str]) -> None:
        self.net, self.plan, self.sources = net, plan, sources
        self.checkpoint = out / f"{plan.net}.pt"
        self._optimiser = torch.optim.AdamW(net.parameters(), lr=plan.rate, weight_decay=1e-2)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(self._optimiser, plan.rate, plan.steps, pct_start=0.15)
        self._history: list[dict[str, float]] = []

    def learn(self, batches: Batches, judge: Validation) -> None:
        """All steps of the plan, judged every so often."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        losses: list[float] = []
        for step in (bar := tqdm(range(1, self.plan.steps + 1), self.plan.net)):
            losses.append(self._step(batches.draw()))
            if step % self.plan.check_every and step != self.plan.steps:
                continue
            self._note(step, float(np.mean(losses)), judge.auc(self.net))
            losses.clear()
            bar.set_postfix(self._history[-1])

    def _step(self, couples: Tensor) -> float:
        logits = self.net(couples.flatten(0, 1)).float().reshape(-1, 2)
        labels = torch.tensor([[0.02, 0.98]]).expand_as(logits)  # no sound is quite certain
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        loss = loss + 0.5 * functional.softplus(logits[:, 0] - logits[:, 1]).mean()
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self._optimiser.step()
        self._schedule.step()
        return loss.item()

    def _rank(self, note: dict[str, float]) -> tuple[bool, float]:
        """The AUC decides among the notes of the second half, when the falling rate has settled the network."""
        return note["step"] > self.plan.steps / 2, note["validation_auc"]

    def _note(self, step: int, loss: float, auc: float) -> None:
        """Adds to the history, and keeps the network where it is the best yet."""
        best = max(map(self._rank, self._history), default=(False, 0.0))
        self._history.append({"step": step, "loss": round(loss, 4), "validation_auc": round(auc, 4)})
        if self._rank(self._history[-1]) > best:
            content = {"net": self.plan.net, "state": self.net.state_dict(), "trained_on": self.sources}
            torch.save(content, self.checkpoint)
        report = {"plan": asdict(self.plan), "parameters": parameters(self.net), "history": self._history}
        self.checkpoint.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
