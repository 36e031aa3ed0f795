"""What goes into the models: items with their times, cut into the requests that Triton merges into batches."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from veracity.catalog import Model, Tensor
from veracity.catalog.layers import SAMPLE_RATE
from veracity.evidence.speech import SpeechWindow
from veracity_client.errors import InternalError

State = Literal["ready", "missing", "down"]
_SILENCE = np.zeros(0, np.int16)


class Infer(Protocol):
    """The runtime handed to the pipeline: Triton's BLS, a local ONNX Runtime session, or a test's own."""

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Run ``model`` on a batch. Raises :class:`ModelUnavailable`, :class:`Overloaded` or :class:`InternalError`."""
        ...

    def state(self, model: str) -> State:
        """Say whether the model answers, has no weights (``missing``), or has them and does not answer (``down``)."""
        ...


@dataclass(frozen=True, eq=False)
class Sample:
    """One thing a model looks at: ``tensor`` without batch dimension, over ``start`` to ``end`` seconds of the clip."""

    start: float
    end: float
    tensor: NDArray[Any]
    face: int | None = None


@dataclass(frozen=True, eq=False)
class ModelOutput:
    """One model's FAKE_LOGIT, float32 [n], for n items; of a model of sync ``distances`` [n, shifts] as well."""

    model: str
    items: tuple[Sample, ...]
    logits: NDArray[np.float32]
    distances: NDArray[np.float64] | None = None

    @classmethod
    def joined(cls, parts: Sequence[ModelOutput]) -> ModelOutput:
        """Join the answers of one model to several requests, in the order of time."""
        items = [item for part in parts for item in part.items]
        order = sorted(range(len(items)), key=lambda k: (items[k].start, items[k].face or 0))
        logits = np.concatenate([part.logits for part in parts])
        rows = [part.distances for part in parts if part.distances is not None]
        distances = np.concatenate(rows)[order] if rows else None
        return cls(parts[0].model, tuple(items[k] for k in order), logits[order], distances).averaged()

    def averaged(self) -> ModelOutput:
        """Items of one time and one face are views of one thing: the first stands for them, with their mean logit."""
        views: dict[tuple[float, int | None], list[int]] = defaultdict(list)
        for k, item in enumerate(self.items):
            views[item.start, item.face].append(k)
        means = np.array([self.logits[several].mean() for several in views.values()], np.float32)
        rows = self.distances
        if rows is not None:
            rows = np.array([rows[several].mean(axis=0) for several in views.values()])
        return ModelOutput(self.model, tuple(self.items[several[0]] for several in views.values()), means, rows)


def speech_items(windows: Sequence[SpeechWindow], seconds: float) -> list[Sample]:
    """Return layer 1's items: int16 [WINDOW_SAMPLES] each; ``seconds`` of sound is where the last one ends at most."""
    return [Sample(w.start, min(w.end, seconds), w.samples) for w in windows]


def grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma, uint8 [H, W], of RGB [H, W, 3]."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def requests(items: Sequence[Sample], model: Model) -> Iterator[NDArray[Any]]:
    """Stack items into requests of at most ``model.request_items``, small enough to be merged with other videos'."""
    for first in range(0, len(items), model.request_items):
        yield np.stack([item.tensor for item in items[first : first + model.request_items]])


def beside(item: Sample, sound: NDArray[np.int16], tensor: Tensor) -> NDArray[np.int16]:
    """Return the sound round an item's middle, as long as ``tensor`` takes it; zeros where the film has none."""
    count = tensor.shape[0]
    first = round((item.start + item.end) / 2 * SAMPLE_RATE) - count // 2
    cut = np.zeros(count, np.int16)
    part = sound[max(0, first) : max(0, first + count)]
    cut[max(0, -first) : max(0, -first) + len(part)] = part
    return cut


async def score(
    infer: Infer, model: Model, items: Sequence[Sample], sound: NDArray[np.int16] = _SILENCE
) -> ModelOutput:
    """Ask ``model`` about all items at once, each with its ``sound`` where the model hears; Triton batches requests.

    ``sound`` is 16 kHz from time 0. Raises what ``infer`` raises, and :class:`InternalError` for logits that are no
    numbers.
    """
    batches = [{model.input.name: batch} for batch in requests(items, model)]
    for tensor in model.more_inputs:
        heard = [beside(item, sound, tensor) for item in items]
        for k, batch in enumerate(batches):
            batch[tensor.name] = np.stack(heard[k * model.request_items : (k + 1) * model.request_items])
    outputs = await asyncio.gather(*(infer(model.name, batch) for batch in batches))
    logits = np.concatenate([np.asarray(o["FAKE_LOGIT"], np.float32).reshape(-1) for o in outputs])
    if not np.isfinite(logits).all():
        raise InternalError(f"{model.name} answered something that is no number")
    return ModelOutput(model.name, tuple(items), logits)
