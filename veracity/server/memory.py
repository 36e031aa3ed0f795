"""How models are kept in memory: all of them always, or each while it is needed; and how much of it they may take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from veracity.catalog import memory
from veracity.catalog.memory import MB, Need
from veracity.catalog.tensorrt import gpus
from veracity.settings import Settings, variable
from veracity_client.errors import ServerUnavailable

BUDGET = variable("memory_budget")


@dataclass(frozen=True)
class Memory:
    """``budget`` in bytes, None for no limit. If ``lazy``, a model comes when it is needed.

    It goes when nobody used it for ``idle_seconds``, or another needs its memory. On a GPU the budget is of its memory,
    else of the models' processes.
    """

    lazy: bool = False
    budget: int | None = None
    idle_seconds: float = 300.0
    gpu: bool = False

    @classmethod
    def from_settings(cls, settings: Settings) -> Memory:
        """Only a tritonserver other than the one of pip uses a GPU."""
        on_gpu = settings.triton is not None and bool(gpus())
        return cls(settings.memory == "lazy", settings.memory_budget, settings.memory_idle_seconds, on_gpu)

    def sizes(self, repository: Path, models: Iterable[str], model_config: str) -> dict[str, int]:
        """Return what each model takes. Raises :class:`ServerUnavailable` where the budget is too small for them."""
        needed = memory.needs(repository, models, gpu=self.gpu, model_config=model_config)
        if self.budget is not None:
            self._check(needed, self.budget)
        return {name: need.bytes for name, need in needed.items()}

    def _check(self, needed: dict[str, Need], budget: int) -> None:
        if self.lazy:
            large = {name: need for name, need in needed.items() if need.bytes > budget}
            if large:
                listed = ", ".join(f"{name} {shown(need)}" for name, need in large.items())
                raise ServerUnavailable(f"{BUDGET} is {megabytes(budget)}: too small for {listed}")
            return
        total = sum(need.bytes for need in needed.values())
        if total > budget:
            raise ServerUnavailable(
                f"{BUDGET} is {megabytes(budget)} and the models take {megabytes(total)} together: "
                f"{variable('memory')}=lazy has in memory only those that are needed"
            )


def shown(need: Need) -> str:
    """Return a need for a person."""
    return f"{megabytes(need.bytes)} ({need.basis})"


def megabytes(size: int) -> str:
    """Return a size for a person, rounded up."""
    return f"{-(-size // MB):,} MB"
