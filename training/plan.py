"""The plan of a training run: the schema of the YAML files in `training/plans`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from veracity.calibrate.errors import ManifestError


class Plan(BaseModel):
    """What all training tasks share; a task's own plan adds to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    # key of plans written by earlier versions -> its name now
    renamed: ClassVar[dict[str, str]] = {
        "rate": "learning_rate", "decay": "weight_decay", "clip": "gradient_clip", "average": "ema_decay",
        "teach": "train_on",
    }  # fmt: skip

    seed: int = Field(0, description="of the initial weights and of all sampling")
    epochs: int = Field(10, gt=0, description="after each the network is validated and a checkpoint written")
    steps: int = Field(100, gt=0, description="batches per epoch")
    batch: int = Field(12, gt=0, description="pairs per batch")
    learning_rate: float = Field(2e-3, gt=0, description="highest learning rate of AdamW")
    schedule: Literal["once", "restarts", "plateau"] = Field(
        "once", description="of the learning rate: one cycle, cosine with warm restarts, or reduced on a plateau"
    )
    period: int = Field(2, gt=0, description="epochs to the first restart, doubled after each; or epochs of a plateau")
    weight_decay: float = Field(1e-2, ge=0, description="of AdamW")
    gradient_clip: float = Field(5.0, gt=0, description="norm that gradients are clipped to")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="of the moving average of the weights; 0 for none")
    workers: int = Field(1, ge=0, description="processes that prepare batches")
    patience: int = Field(0, ge=0, description="epochs without improvement after which a run stops early; 0 for never")
    keep_every: int = Field(0, ge=0, description="epochs between checkpoints that are never replaced; 0 for none")
    precision: Literal["32", "bf16", "16"] = Field("32", description="of the arithmetic; 16 needs a GPU")
    device: Literal["cpu", "gpu"] = Field("cpu", description="that trains; only cpu is reproducible to the bit")

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, values: Any) -> Any:
        """Accepts the keys of earlier versions, so that their runs can be resumed."""
        return (
            {cls.renamed.get(key, key): value for key, value in values.items()} if isinstance(values, dict) else values
        )


def shares_of(names: Collection[str]) -> AfterValidator:
    """Checks a plan's shares: exactly one for each of ``names``, none negative, at least one above 0."""

    def checked(shares: dict[str, float]) -> dict[str, float]:
        if wrong := set(names) ^ set(shares):
            raise ValueError(f"must name {', '.join(names)}; check {', '.join(sorted(wrong))}")
        if min(shares.values()) < 0 or not any(shares.values()):
            raise ValueError(f"must give {', '.join(names)} a share each, none negative, at least one above 0")
        return shares

    return AfterValidator(checked)


P = TypeVar("P", bound=Plan)


def read_plan(form: type[P], path: Path | None, **changes: Any) -> P:
    """The plan of a YAML file with ``changes``; raises ManifestError that names the wrong key."""
    try:
        loaded = (yaml.safe_load(path.read_text(encoding="utf-8")) if path else None) or {}
        if not isinstance(loaded, dict):
            raise ManifestError(f"{path}: a plan is keys with values, and not a {type(loaded).__name__}")
        given: dict[str, Any] = loaded
        return form(**{**{form.renamed.get(key, key): value for key, value in given.items()}, **changes})
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError, TypeError) as error:
        raise ManifestError(f"{path}: {error}") from error
