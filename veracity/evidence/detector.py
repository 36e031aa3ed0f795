"""The protocol of a detector, whatever it looks at, and how the pipeline runs one.

    excerpt ─cut─▶ samples ─requests─▶ batches ─Triton─▶ responses ─read─▶ output ─pool─▶ P(fake), ─explain─▶ words

A model's module in ``veracity.catalog.detectors`` names the class: one of those shared in ``veracity.evidence.kinds``,
or its own, as SyncNet's in ``veracity.evidence.syncnet``.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pkgutil import resolve_name
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from veracity.catalog import MODELS, Model
from veracity.evidence.excerpts import Excerpt
from veracity.evidence.pooling import Pooling
from veracity.evidence.requests import Infer, ModelOutput, Sample

Batch = Mapping[str, NDArray[Any]]  # tensors by name, [batch, …]
Sound = NDArray[np.int16]  # [samples], 16 kHz from time 0; empty where there is none
CAM = "CAM"  # the tensor's name
NO_SOUND: Sound = np.zeros(0, np.int16)


class Detector(Protocol):
    """One model as the pipeline sees it."""

    @property
    def model(self) -> Model:
        """Its declaration in the catalog."""
        ...

    @property
    def excerpt(self) -> type[Excerpt]:
        """The kind of excerpt that it cuts samples from."""
        ...

    @property
    def sound(self) -> Literal["none", "optional", "required"]:
        """Whether it compares pictures with the sound of their moment, and can answer without."""
        ...

    @property
    def colour(self) -> bool:
        """Whether a run of frames is kept in colour for it: a second of full HD takes 156 MB then, in grey 52."""
        ...

    @property
    def mouth(self) -> tuple[slice, slice]:
        """Rows and columns of the mouth in its samples' pictures, where it is shown mouths."""
        ...

    def cut(self, excerpt: Any) -> Sequence[NDArray[Any]]:
        """Return the samples of an excerpt, without batch dimension; several of one face and time are views of it."""
        ...

    def requests(self, samples: Sequence[Sample], sound: Sound) -> list[Batch]:
        """Return the batches to be sent, each small enough to be merged with other videos'."""
        ...

    def read(self, samples: Sequence[Sample], responses: Sequence[Batch]) -> ModelOutput:
        """Turn the responses to :meth:`requests` into one output; raises :class:`InternalError` for a NaN."""
        ...

    @property
    def pool(self) -> Pooling:
        """The function from an output and a calibration to P(fake) of the clip."""
        ...

    def explain(self, output: ModelOutput) -> str:
        """Return what it found beyond P(fake), in words for the layer's reasoning; empty where nothing."""
        ...


@functools.cache
def detector(name: str) -> Detector:
    """Return the detector of a model that scores; raises KeyError for an unknown name."""
    model = MODELS[name]
    made: Detector = resolve_name(model.kind)(model)
    return made


def samples(of: Detector, excerpt: Excerpt) -> list[Sample]:
    """Return what a detector cuts from an excerpt, with its times and face."""
    face, width, fineness = (getattr(excerpt, name, None) for name in ("face", "width", "fineness"))
    return [Sample(excerpt.start, excerpt.end, tensor, face, width, fineness=fineness) for tensor in of.cut(excerpt)]


async def score(
    infer: Infer, by: Detector, given: Sequence[Sample], sound: Sound = NO_SOUND, *, maps: bool = False
) -> ModelOutput:
    """Run a detector on samples, all its requests at once: Triton batches them. Raises what ``infer`` raises.

    With ``maps`` the output keeps the class-activation maps of a model that has them.
    """
    batches = await asyncio.to_thread(by.requests, given, sound)
    responses = await asyncio.gather(*(infer(by.model.name, batch) for batch in batches))
    output = by.read(given, responses)
    if maps and any(tensor.name == CAM for tensor in by.model.outputs):
        return replace(output, maps=np.concatenate([np.asarray(one[CAM], np.float32) for one in responses]))
    return output
