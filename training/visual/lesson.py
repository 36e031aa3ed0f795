"""Teaching the visual starter: `python -m training visual`.

The loss asks of every face its label, of every pair that the fake scores above the real one, and of every cell of the
map whether it was altered.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn import functional

from evaluation.manifest import Clip, read_clips
from networks.facecam import WIDTHS, FaceCam
from training import cache as media
from training import loop
from training.folds import TEACH, Teach, few
from training.plan import shares_of
from training.visual.faces import TAKES, Seen, collect
from training.visual.fakes import METHODS
from training.visual.pairs import Pair, Pairs
from training.visual.redraw import Network, redrawn
from training.visual.validation import Validation
from veracity.evidence.requests import Infer

log = logging.getLogger(__name__)


class VisualPlan(loop.Plan):
    """What a run is made of."""

    teach: Teach = Field("train", description="the split that teaches")
    smoothing: float = Field(0.02, ge=0, lt=0.5, description="what is left of doubt in a label")
    ranking: float = Field(0.5, ge=0, description="weight of: the fake above its own original")
    cells: float = Field(0.5, ge=0, description="weight of: the map above what was altered, and nowhere else")
    widths: tuple[int, int, int, int, int] = Field(WIDTHS, description="channels of the network after each halving")
    clips_per_source: int = Field(0, ge=0, description="that are cut, of each source and label; 0 for all")
    takes: tuple[str, ...] = Field((), description="of training.visual.faces, beside the films as they are")
    stills: float = Field(0.4, ge=0, description="how often a photograph is drawn for every time that a film is")
    methods: Annotated[dict[str, float], shares_of(METHODS)] = Field(
        dict.fromkeys(METHODS, 1.0), description="share of each method of training.visual.fakes"
    )

    @field_validator("takes")
    @classmethod
    def _taken(cls, takes: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := set(takes) - set(TAKES):
            raise ValueError(f"there are {', '.join(filter(None, TAKES))}, and no {', '.join(sorted(wrong))}")
        return takes


class Lesson(loop.Lesson):
    """The network, its pairs and its judge."""

    plan: VisualPlan

    def __init__(self, plan: VisualPlan, teaching: Sequence[Seen], judging: Sequence[Seen]) -> None:
        """Raises ManifestError for clips that cannot teach."""
        super().__init__(plan, lambda: FaceCam(plan.widths), (one.clip.source for one in teaching))
        self._teaching, self._validation = teaching, Validation(judging)
        self.items(0, 1)

    def items(self, first: int, count: int) -> Pairs:
        """Pairs by their numbers."""
        return Pairs(self._teaching, self.plan.seed, first, count, self.plan.methods, self.plan.stills)

    def loss(self, batch: Pair) -> Tensor:
        """Of a batch of pairs."""
        faces, masks, _ = (torch.as_tensor(part) for part in batch)
        logits, cams = self.net(faces.flatten(0, 1))
        return pair_loss(logits.reshape(-1, 2), cams.unflatten(0, (-1, 2)), masks, self.plan)

    def judge(self) -> Mapping[str, float]:
        """AUC of each method of ours and of each source of fakes."""
        return self._validation.report(self.net)


def pair_loss(logits: Tensor, cams: Tensor, masks: Tensor, plan: VisualPlan) -> Tensor:
    """Of logits [n, 2], real first, their maps [n, 2, 7, 7], and the share of each cell that was altered [n, 7, 7]."""
    labels = torch.tensor([plan.smoothing, 1 - plan.smoothing], device=logits.device).expand_as(logits)
    loss = functional.binary_cross_entropy_with_logits(logits, labels)
    loss = loss + plan.ranking * functional.softplus(logits[:, 0] - logits[:, 1]).mean()
    altered = torch.stack([torch.zeros_like(masks), masks], dim=1)
    sure = (altered < 0.02) | (altered > 0.5)  # cells on the edge are left in peace
    cells = functional.binary_cross_entropy_with_logits(cams, (altered > 0.5).float(), reduction="none")
    return loss + plan.cells * (cells * sure).sum() / sure.sum()


def train(data: Path, out: Path, cache: Path, infer: Infer, networks: Sequence[Network], plan: VisualPlan) -> Path:
    """Trains under ``out``, or goes on there, and answers the last checkpoint; raises ManifestError.

    ``networks`` are what `training.visual.redraw` draws with. No checkpoint is chosen: the steps are the plan's.
    """
    clips = [clip for clip in read_clips(data, ("video", "images")) if clip.split != "test" and not _shifted(clip)]
    clips = few(clips, plan.clips_per_source)
    seen, bad = collect(clips, cache, infer)
    seen = [one for one in seen if len(one.crops)]
    reals = redrawn([one for one in seen if one.faces], cache, networks)
    teaching = [one for one in reals if one.clip.split in TEACH[plan.teach]]
    judging = _judges(teaching, [*reals, *(one for one in seen if one.clip.fake)])
    more, worse = collect([one.clip for one in teaching if one.clip.kind == "video"], cache, infer, plan.takes)
    log.info("%d clips teach, %d judge", len(teaching), len(judging))
    with media.listing([*bad, *worse]):
        loop.fit(Lesson(plan, [*teaching, *more], judging), out, "own")
    return out / loop.LAST


def _judges(teaching: Sequence[Seen], everything: Sequence[Seen]) -> list[Seen]:
    """Whoever did not teach; where all taught, they: the figures then only say that something was learned."""
    taught = {one.clip.split for one in teaching}
    return [one for one in everything if one.clip.split not in taught] or list(everything)


def _shifted(clip: Clip) -> bool:
    """Whether only its sound was shifted: its picture is as it was."""
    return clip.fake and "offset" in clip.path.name
