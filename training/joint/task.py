"""The training task of the joint network: `python -m training joint`."""

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

from evaluation.manifest import Clip, read_clips
from networks.joint import JointNet, NetPlan, compute_temporal_consistency_loss, described
from training import loop
from training.cache import Arrays, Extractor, collect, log_skipped
from training.joint.extract import ClipInputs, extractor
from training.joint.frame_sampling import Sampling
from training.joint.sampler import KINDS, Material, PairSampler, Streams, streams
from training.plan import Plan, shares_of
from training.visual import faces
from veracity.calibrate import metrics
from veracity.calibrate.errors import ManifestError
from veracity.evidence.requests import Infer
from veracity.evidence.speech import Vad

log = logging.getLogger(__name__)

BEST = "multimodal_best_{AUC:.4f}.pt"
WINDOWS = 3  # speech windows that score a clip in validation, each with the same frames


class JointPlan(Plan):
    """The plan of a run."""

    net: NetPlan = Field(NetPlan(), description="how the network is built")
    frames: int = Field(16, gt=0, le=64, description="frames of a face per clip; layer 5 is served with 16")
    sampling: Sampling = Field(
        "random", description="how frames are chosen: random, uniform, or those that follow start_at"
    )
    start_at: float = Field(0.0, ge=0, description="second of the clip at which sampling start_at begins")
    matched_share: float = Field(
        0.8,
        ge=0,
        le=1,
        description="share of pairs whose fake is forged from their real clip; the rest are unrelated clips",
    )
    kinds: Annotated[dict[str, float], shares_of(KINDS)] = Field(
        dict.fromkeys(KINDS, 1.0), description="relative shares of forging the face, the voice, or both"
    )
    missing: float = Field(0.2, ge=0, le=1, description="share of pairs of which one stream is hidden")
    smoothing: float = Field(0.05, ge=0, lt=0.5, description="label smoothing")
    ranking: float = Field(
        0.5, ge=0, description="weight of the ranking loss: the fake above the real clip of its pair"
    )
    consistency: float = Field(
        0.0, ge=0, description="weight of the temporal consistency loss on real faces; 0 turns it off"
    )


class JointTask(loop.TrainingTask):
    """The joint network with its pairs and its validation set."""

    plan: JointPlan
    net: JointNet

    def __init__(self, plan: JointPlan, training_set: Sequence[Material], validation_set: Sequence[ClipInputs]) -> None:
        """Raises ManifestError for clips that cannot be trained or validated on."""
        sources = (material.inputs.clip.source for material in training_set)
        super().__init__(plan, lambda: JointNet(plan.net).with_published(), sources)
        if {inputs.clip.fake for inputs in validation_set} != {False, True}:
            raise ManifestError("validation needs real and fake clips; check their splits")
        self._training_set, self._validation_set = training_set, validation_set
        self.items(0, 1)

    def items(self, first: int, count: int) -> PairSampler:
        """Pairs by their numbers."""
        return PairSampler(self._training_set, self.plan, first, count)

    def loss(self, batch: Streams) -> Tensor:
        """The loss of a batch of pairs."""
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

    def validate(self) -> Mapping[str, float]:
        """AUC over the validation set."""
        scores = np.array([score(self.net, inputs, self.plan) for inputs in self._validation_set])
        return {"AUC": metrics.auc(np.array([inputs.clip.fake for inputs in self._validation_set]), scores)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the keys that `networks.joint.load_for_inference` reads; tensors that appear twice are stored once."""
        super().on_save_checkpoint(checkpoint)
        weights = {name.removeprefix("net."): value for name, value in checkpoint["state_dict"].items()}
        checkpoint |= {**described(self.net), "model": weights, "optimiser": checkpoint["optimizer_states"],
                       "scheduler": checkpoint["lr_schedulers"]}  # fmt: skip


@torch.inference_mode()
def score(net: JointNet, inputs: ClipInputs, plan: JointPlan) -> float:
    """Log odds that a clip is fake: the mean over its first windows of speech, each beside the same frames."""
    device = next(net.parameters()).device
    shown = [streams(inputs, plan, window=number) for number in range(max(1, min(WINDOWS, len(inputs.windows))))]
    batch = (torch.from_numpy(np.stack(parts)).to(device) for parts in zip(*shown))
    faces_, sound, present, flow = batch
    return float(net(faces_, sound, present, flow.float()).float().mean())


def gather(
    clips: Sequence[Clip], cache: Path, infer: Infer, vad: Vad, flow: bool
) -> tuple[list[ClipInputs], list[str]]:
    """The network's inputs for the clips, and a line on each clip that cannot be used."""
    whole = extractor(infer, vad, flow)
    return collect(clips, cache, Extractor(whole.name, whole.version, whole.extract, _lean))


def _lean(clip: Clip, arrays: Arrays) -> ClipInputs:
    """Without mouths and whole pictures, which are half of the data."""
    return ClipInputs(
        clip, **{**arrays, "mouths": arrays["mouths"][:0].copy(), "pictures": arrays["pictures"][:0].copy()}
    )


def with_faces(extracted: Sequence[ClipInputs], cache: Path, infer: Infer) -> list[Material]:
    """The clips with the faces that forgeries are made from, those of their main person."""
    seen, _ = faces.collect(
        [inputs.clip for inputs in extracted if len(inputs.faces) and not inputs.clip.fake], cache, infer
    )
    by_path = {one.clip.path: one for one in seen if len(one.faces)}
    return [_material(inputs, by_path.get(inputs.clip.path)) for inputs in extracted]


def _material(inputs: ClipInputs, seen: faces.ClipFaces | None) -> Material:
    if seen is None:
        return Material(inputs)
    tracks, sizes = np.unique(seen.tracks, return_counts=True)
    main = np.flatnonzero(seen.tracks == tracks[sizes.argmax()])
    return Material(inputs, tuple(seen.faces[number] for number in main), seen.times[main])


def train(data: Path, out: Path, cache: Path, infer: Infer, vad: Vad, plan: JointPlan, clips: int = 0) -> Path:
    """Trains under ``out``, or resumes there, and returns the best checkpoint; raises ManifestError.

    ``clips`` limits how many of each split and label are used; 0 for all. The log lists unusable files at the end.
    """
    usable = [clip for clip in read_clips(data) if clip.split in ("train", "validation")]
    usable = _first(usable, clips) if clips else usable
    for split in ("train", "validation"):
        if not any(clip.split == split for clip in usable):
            raise ManifestError(f"{data} has no clip of the split {split}")
    extracted, bad = gather(usable, cache, infer, vad, plan.net.flow)
    with log_skipped(bad):
        training_set = with_faces([inputs for inputs in extracted if inputs.clip.split == "train"], cache, infer)
        validation_set = [inputs for inputs in extracted if inputs.clip.split == "validation"]
        log.info("%d clips for training, %d for validation", len(training_set), len(validation_set))
        task = JointTask(plan, training_set, validation_set)
        return loop.fit(task, out, "AUC", best=BEST)


def _first(clips: Sequence[Clip], count: int) -> list[Clip]:
    """The first ``count`` of each split and label."""
    kept: dict[tuple[str, str], list[Clip]] = {}
    for clip in clips:
        kept.setdefault((clip.split, clip.label), []).append(clip)
    return [clip for group in kept.values() for clip in group[:count]]
