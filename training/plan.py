"""What a run is made of: a form that every YAML plan fills in, each key of it explained."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from evaluation.manifest import ManifestError


class Plan(BaseModel):
    """What every run is made of; a lesson's own plan adds to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(0, description="of the weights and of every draw")
    epochs: int = Field(10, gt=0, description="after each of which the network is judged and kept")
    steps: int = Field(100, gt=0, description="batches an epoch")
    batch: int = Field(12, gt=0, description="items of a batch")
    rate: float = Field(2e-3, gt=0, description="highest learning rate of AdamW")
    schedule: Literal["once", "restarts", "plateau"] = Field(
        "once", description="of the rate: rises and falls once, cosine with warm restarts, lower where nothing improves"
    )
    period: int = Field(2, gt=0, description="epochs to the first restart, each next one twice as far; or of a plateau")
    decay: float = Field(1e-2, ge=0, description="AdamW's weight decay")
    clip: float = Field(5.0, gt=0, description="length that a gradient is cut to")
    average: float = Field(0.99, ge=0, lt=1, description="decay of the moving average of weights; 0 for none")
    workers: int = Field(1, ge=0, description="processes that make batches")
    patience: int = Field(0, ge=0, description="epochs without a better one after which a run stops early; 0 for never")
    keep_every: int = Field(0, ge=0, description="epochs between checkpoints that are kept for good; 0 for none")
    precision: Literal["32", "bf16", "16"] = Field("32", description="of the arithmetic; 16 wants a GPU")
    device: Literal["cpu", "gpu"] = Field("cpu", description="what learns; bit for bit the same again only on cpu")


def shares_of(names: Collection[str]) -> AfterValidator:
    """What a plan's shares must be: one for each of ``names`` and for nothing else, none negative, one over 0."""

    def checked(shares: dict[str, float]) -> dict[str, float]:
        if wrong := set(names) ^ set(shares):
            raise ValueError(f"must name {', '.join(names)}; look at {', '.join(sorted(wrong))}")
        if min(shares.values()) < 0 or not any(shares.values()):
            raise ValueError(f"must give {', '.join(names)} a share each, none negative, one of them over 0")
        return shares

    return AfterValidator(checked)


P = TypeVar("P", bound=Plan)


def read_plan(form: type[P], path: Path | None, **changes: Any) -> P:
    """The plan of a YAML file with ``changes``; raises ManifestError that names the key which is wrong."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8")) if path else {}
        return form(**{**(given or {}), **changes})
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError, TypeError) as error:
        raise ManifestError(f"{path}: {error}") from error
