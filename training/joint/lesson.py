"""Teaching the joint network: `python -m training joint`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from evaluation.manifest import Clip, ManifestError, read_clips
from networks.joint import JointNet, NetPlan, compute_temporal_consistency_loss, described
from training import loop
from training.cache import Arrays, Cutter, collect, listing
from training.joint.batches import KINDS, Couples, Material, Streams, streams
from training.joint.cut import Cut, cutter
from training.joint.sampling import Sampling
from training.plan import shares_of
from training.visual import faces
from veracity.calibrate import metrics
from veracity.evidence.requests import Infer
from veracity.evidence.speech import Vad

log = logging.getLogger(__name__)

BEST = "multimodal_best_{AUC:.4f}.pt"
WINDOWS = 3  # of a clip's speech that judge it, each beside the same frames


class JointPlan(loop.Plan):
    """What a run is made of."""

    net: NetPlan = Field(NetPlan(), description="how the network is built")
    frames: int = Field(
        16, gt=0, le=64, description="of a face that are looked at in a clip; layer 5 is asked about 16"
    )
    sampling: Sampling = Field("random", description="which: random ones, uniform ones, or those that follow start_at")
    start_at: float = Field(0.0, ge=0, description="second of the clip from which sampling start_at takes frames")
    own: float = Field(0.8, ge=0, le=1, description="share of couples whose fake is made here of the real one")
    kinds: Annotated[dict[str, float], shares_of(KINDS)] = Field(
        dict.fromkeys(KINDS, 1.0), description="share of what is faked: face, voice, both"
    )
    missing: float = Field(0.2, ge=0, le=1, description="share of couples of which one stream is hidden")
    smoothing: float = Field(0.05, ge=0, lt=0.5, description="what is left of doubt in a label")
    ranking: float = Field(0.5, ge=0, description="weight of: the fake of a couple above its real one")
    consistency: float = Field(0.0, ge=0, description="weight of: a real face's frames say alike; 0 leaves it out")


class Lesson(loop.Lesson):
    """The joint network, its couples and its judge."""

    plan: JointPlan
    net: JointNet

    def __init__(self, plan: JointPlan, teaching: Sequence[Material], judging: Sequence[Cut]) -> None:
        """Raises ManifestError for clips that cannot teach or judge."""
        sources = (material.cut.clip.source for material in teaching)
        super().__init__(plan, lambda: JointNet(plan.net).with_published(), sources)
        if {cut.clip.fake for cut in judging} != {False, True}:
            raise ManifestError("the clips that judge must be of both labels: look at their splits")
        self._teaching, self._judging = teaching, judging
        self.items(0, 1)

    def items(self, first: int, count: int) -> Couples:
        """Couples by their numbers."""
        return Couples(self._teaching, self.plan, first, count)

    def loss(self, batch: Streams) -> Tensor:
        """Of a batch of couples."""
        faces_, sound, present, flow = (torch.as_tensor(part).flatten(0, 1) for part in batch)
        features = self.net.extract_features(faces_, sound, present, flow.float())
        logits = self.net.head(features.fused).float().reshape(-1, 2)
        labels = torch.tensor([self.plan.smoothing, 1 - self.plan.smoothing], device=logits.device).expand_as(logits)
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        loss = loss + self.plan.ranking * functional.softplus(logits[:, 0] - logits[:, 1]).mean()
        if self.plan.consistency:
            real = present[:, 0].bool() & (torch.arange(len(present), device=present.device) % 2 == 0)
            loss = loss + self.plan.consistency * compute_temporal_consistency_loss(features.frames, real)
        return loss

    def judge(self) -> Mapping[str, float]:
        """AUC over the clips that judge."""
        scores = np.array([score(self.net, cut, self.plan) for cut in self._judging])
        return {"AUC": metrics.auc(np.array([cut.clip.fake for cut in self._judging]), scores)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Says it also in the words of `networks.joint.load_for_inference`; what is said twice is stored once."""
        super().on_save_checkpoint(checkpoint)
        weights = {name.removeprefix("net."): value for name, value in checkpoint["state_dict"].items()}
        checkpoint |= {**described(self.net), "model": weights, "optimiser": checkpoint["optimizer_states"],
                       "scheduler": checkpoint["lr_schedulers"]}  # fmt: skip


@torch.inference_mode()
def score(net: JointNet, cut: Cut, plan: JointPlan) -> float:
    """Log odds that a clip is fake: the mean over its first windows of speech, each beside the same frames."""
    device = next(net.parameters()).device
    shown = [streams(cut, plan, window=number) for number in range(max(1, min(WINDOWS, len(cut.windows))))]
    batch = (torch.from_numpy(np.stack(parts)).to(device) for parts in zip(*shown))
    faces_, sound, present, flow = batch
    return float(net(faces_, sound, present, flow.float()).float().mean())


def gather(clips: Sequence[Clip], cache: Path, infer: Infer, vad: Vad, flow: bool) -> tuple[list[Cut], list[str]]:
    """What the network looks at of the clips, and a line on each that cannot be used."""
    whole = cutter(infer, vad, flow)
    return collect(clips, cache, Cutter(whole.name, whole.version, whole.cut, _lean))


def _lean(clip: Clip, arrays: Arrays) -> Cut:
    """Without mouths and whole pictures, which are half of it."""
    return Cut(clip, **{**arrays, "mouths": arrays["mouths"][:0].copy(), "pictures": arrays["pictures"][:0].copy()})


def with_faces(cuts: Sequence[Cut], cache: Path, infer: Infer) -> list[Material]:
    """The clips with what fakes of their main faces are made of."""
    seen, _ = faces.collect([cut.clip for cut in cuts if len(cut.faces) and not cut.clip.fake], cache, infer)
    by_path = {one.clip.path: one for one in seen if len(one.faces)}
    return [_material(cut, by_path.get(cut.clip.path)) for cut in cuts]


def _material(cut: Cut, seen: faces.Seen | None) -> Material:
    if seen is None:
        return Material(cut)
    tracks, sizes = np.unique(seen.tracks, return_counts=True)
    main = np.flatnonzero(seen.tracks == tracks[sizes.argmax()])
    return Material(cut, tuple(seen.faces[number] for number in main), seen.times[main])


def train(data: Path, out: Path, cache: Path, infer: Infer, vad: Vad, plan: JointPlan, clips: int = 0) -> Path:
    """Trains under ``out``, or goes on there, and answers the best checkpoint; raises ManifestError.

    ``clips`` bounds how many of each split and label are used; 0 for all. Files that cannot be used are told of at the
    end, whatever that is.
    """
    usable = [clip for clip in read_clips(data) if clip.split in ("train", "validation")]
    usable = _first(usable, clips) if clips else usable
    for split in ("train", "validation"):
        if not any(clip.split == split for clip in usable):
            raise ManifestError(f"no clip of {data} is of the split {split}")
    cuts, bad = gather(usable, cache, infer, vad, plan.net.flow)
    with listing(bad):
        teaching = with_faces([cut for cut in cuts if cut.clip.split == "train"], cache, infer)
        judging = [cut for cut in cuts if cut.clip.split == "validation"]
        log.info("%d clips teach, %d judge", len(teaching), len(judging))
        lesson = Lesson(plan, teaching, judging)
        return loop.fit(lesson, out, "AUC", best=BEST)


def _first(clips: Sequence[Clip], count: int) -> list[Clip]:
    """The first ``count`` of each split and label."""
    kept: dict[tuple[str, str], list[Clip]] = {}
    for clip in clips:
        kept.setdefault((clip.split, clip.label), []).append(clip)
    return [clip for group in kept.values() for clip in group[:count]]
