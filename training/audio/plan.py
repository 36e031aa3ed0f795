"""The plan of `python -m training audio`, and whose clips it trains on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from pydantic import Field

from evaluation.manifest import Clip
from training.folds import FOLDS, TRAINING_SPLITS, TrainingSplit, fold, group, unrelated_to
from training.plan import Plan


class AudioPlan(Plan):
    """The plan of a run: of the head on Whisper, or of a network from scratch, to which an item is a pair."""

    renamed: ClassVar[dict[str, str]] = {
        **Plan.renamed, "without": "held_out_fold", "draw": "pair_seed", "couples": "pair_count",
        "pairs": "matched_share",
    }  # fmt: skip

    net: str = Field(
        "whisper", description="of networks.registry: a head on Whisper's encoder, or a network from scratch"
    )
    train_on: TrainingSplit = Field("train", description="split of the training set; the other one validates")
    held_out_fold: int | None = Field(None, ge=0, lt=len(FOLDS), description="fold (training.folds) not trained on")
    clips_per_source: int = Field(0, ge=0, description="training clips per source and label; 0 for all")
    copies: int = Field(2, ge=0, description="head on Whisper: degraded copies of each clip")
    degraded_share: float = Field(0.1, ge=0, lt=1, description="head on Whisper: what the copies count together")
    penalty: float = Field(0.03, gt=0, description="head on Whisper: of the squares of its weights")
    rarer: float = Field(1.0, description="head on Whisper: log odds taken off each family of fakes but the neural one")
    pair_seed: int = Field(0, ge=0, description="seed of the sampled pairs, shared by runs of several seeds")
    pair_count: int = Field(4000, gt=0, description="pairs sampled and degraded once; every epoch reuses them")
    matched_share: float = Field(
        0.5, ge=0, le=1, description="share of pairs whose fake is forged from their real clip"
    )
    smoothing: float = Field(0.02, ge=0, lt=0.5, description="label smoothing")
    ranking: float = Field(
        0.5, ge=0, description="weight of the ranking loss: the fake above the real sound of its pair"
    )


def training_set(clips: Sequence[Clip], plan: AudioPlan) -> list[Clip]:
    """The clips that the plan trains on: of its splits, and none that shares anything with the held-out fold."""
    chosen = clips if plan.held_out_fold is None else unrelated_to(plan.held_out_fold, clips)
    return [clip for clip in chosen if clip.split in TRAINING_SPLITS[plan.train_on]]


def spoken_set(spoken: Sequence[Clip], clips: Collection[Clip], plan: AudioPlan) -> list[Clip]:
    """Those of ``spoken`` (`training.audio.spoken`) whose real clip is among ``clips``, which the plan trains on.

    None is of a system that the held-out fold has.
    """
    reals = {f"pair:{clip.id}" for clip in clips}
    held_out = set(FOLDS[plan.held_out_fold]) if plan.held_out_fold is not None else set()
    return [clip for clip in spoken if reals & {*clip.links} and group(clip) not in held_out]


def validation_set(clips: Sequence[Clip], plan: AudioPlan) -> list[Clip]:
    """The held-out fold's sound files, else those not trained on; if all are, the validation split as a check."""
    heard = [clip for clip in clips if clip.kind == "audio"]
    if plan.held_out_fold is not None:
        return [clip for clip in heard if fold(clip) == plan.held_out_fold]
    if plan.train_on == "both":
        return [clip for clip in heard if clip.split == "validation"]
    trained_on = set(training_set(clips, plan))
    return [clip for clip in heard if clip not in trained_on]
