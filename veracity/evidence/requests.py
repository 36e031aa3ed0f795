"""What goes into a model and what comes out: samples with their times, and their logits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from veracity.catalog import Tensor
from veracity.catalog.layers import SAMPLE_RATE

State = Literal["ready", "missing", "down"]


class Infer(Protocol):
    """The runtime handed to the pipeline: Triton's BLS, a local ONNX Runtime session, or a test's own."""

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Run ``model`` on a batch. Raises :class:`ModelUnavailable` or :class:`InternalError`."""
        ...

    def state(self, model: str) -> State:
        """Say whether the model answers, has no weights (``missing``), or has them and does not answer (``down``)."""
        ...


@dataclass(frozen=True, eq=False)
class Sample:
    """One input of a model: ``tensor`` without batch dimension, over ``start`` to ``end`` seconds of the clip.

    ``width`` is how many pixels wide the picture is, or of a face, whose track's id is ``face``, its box; ``fineness``
    is how sharp that is. One that is ``near`` was taken for the high score of its neighbour: it shows where, and does
    not count for the clip as a whole.
    """

    start: float
    end: float
    tensor: NDArray[Any]
    face: int | None = None
    width: float | None = None
    near: bool = False
    fineness: float | None = None


@dataclass(frozen=True, eq=False)
class ModelOutput:
    """One model's logits of *fake*, float32 [n], for n samples; ``details`` [n, …] is what else its detector keeps.

    ``maps`` [n, rows, columns] are the model's class-activation maps, where it has some and an explanation is wanted.
    """

    model: str
    items: tuple[Sample, ...]
    logits: NDArray[np.float32]
    details: NDArray[np.float64] | None = None
    maps: NDArray[np.float32] | None = None

    @classmethod
    def joined(cls, parts: Sequence[ModelOutput]) -> ModelOutput:
        """Join the outputs of one model for several lots of samples, in the order of time."""
        items = [item for part in parts for item in part.items]
        order = sorted(range(len(items)), key=lambda k: (items[k].start, items[k].face or 0))
        logits = np.concatenate([part.logits for part in parts])
        details = _joined([part.details for part in parts])
        maps = _joined([part.maps for part in parts])
        whole = cls(parts[0].model, tuple(items), logits, details, maps)
        return whole._taken(order).averaged()

    @property
    def spread(self) -> ModelOutput:
        """What counts for the clip as a whole: the samples that were not taken for a neighbour's score."""
        kept = [k for k, item in enumerate(self.items) if not item.near]
        return self if len(kept) == len(self.items) else self._taken(kept)

    def _taken(self, kept: Sequence[int]) -> ModelOutput:
        """Return the output for some of the samples, in this order."""
        details = None if self.details is None else self.details[kept]
        maps = None if self.maps is None else self.maps[kept]
        return ModelOutput(self.model, tuple(self.items[k] for k in kept), self.logits[kept], details, maps)

    def averaged(self) -> ModelOutput:
        """Samples of one time and one face are views of one thing: the first stands for them, with the mean logit."""
        views: dict[tuple[float, int | None], list[int]] = defaultdict(list)
        for k, item in enumerate(self.items):
            views[item.start, item.face].append(k)
        means = np.array([self.logits[several].mean() for several in views.values()], np.float32)
        details, maps = (
            None if rows is None else np.array([rows[several].mean(axis=0) for several in views.values()])
            for rows in (self.details, self.maps)
        )
        first = tuple(self.items[several[0]] for several in views.values())
        return ModelOutput(self.model, first, means, details, maps)


def _joined(parts: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    rows = [part for part in parts if part is not None]
    return np.concatenate(rows) if rows else None


def sound_around(sample: Sample, sound: NDArray[np.int16], tensor: Tensor) -> NDArray[np.int16]:
    """Return the sound round a sample's middle, as long as ``tensor`` takes it; zeros where the clip has none."""
    count = tensor.shape[0]
    first = round((sample.start + sample.end) / 2 * SAMPLE_RATE) - count // 2
    cut = np.zeros(count, np.int16)
    part = sound[max(0, first) : max(0, first + count)]
    cut[max(0, -first) : max(0, -first) + len(part)] = part
    return cut
