"""What one analysis has found so far. It only grows: a fact that is known is never replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veracity.catalog import LAYERS
from veracity.evidence.faces import Track
from veracity.evidence.requests import ModelOutput
from veracity.evidence.speaking import SpeakingSeconds
from veracity_client.reasons import Reason
from veracity_client.verdict import InputInfo, LayerResult, Span


@dataclass(frozen=True)
class ScoredLayer:
    """A layer's result with its timeline and the scores of each face; ``model`` is the one whose scores they are."""

    result: LayerResult
    spans: tuple[Span, ...] = ()
    faces: Mapping[int, tuple[Span, ...]] | None = None
    model: str = ""


@dataclass
class Evidence:
    """The record of one analysis; a single fact is None until it is known, and is set once.

    ``tracks`` are the kinds that the file has, ``sound`` is int16 [samples] at 16 kHz, taken from ``audio_track`` and,
    where the mix of all would hide it, ``audio_channel``; ``speech`` its spans in seconds, ``video_seconds`` how long
    the pictures last, ``faces`` the faces that were followed. ``audio_error`` says why no sound can be used,
    ``face_error`` why faces could not be looked for. ``layers`` holds each settled layer by key, ``outputs`` the logits
    of each model, ``speaking`` who was seen to speak, or why nobody was looked at, where an explanation is wanted,
    ``too_small`` the models that some face was too small for, ``unanswered`` the installed models that did not answer,
    ``read_warnings`` what of the file could not be read, ``timings`` the seconds of each stage.
    """

    tracks: tuple[str, ...] | None = None
    input: InputInfo | None = None
    sound: NDArray[np.int16] | None = None
    speech: Sequence[tuple[float, float]] | None = None
    audio_track: int | None = None
    audio_channel: int | None = None
    video_seconds: float | None = None
    faces: Sequence[Track] | None = None
    audio_error: Reason | None = None
    face_error: Reason | None = None
    layers: dict[str, ScoredLayer] = field(default_factory=dict)
    outputs: dict[str, ModelOutput] = field(default_factory=dict)
    speaking: SpeakingSeconds | Reason | None = None
    too_small: set[str] = field(default_factory=set)
    unanswered: dict[str, Reason] = field(default_factory=dict)
    read_warnings: list[Reason] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__dict__.get(name) is not None:
            raise AttributeError(f"{name} is known already: evidence only grows")
        super().__setattr__(name, value)

    def settle(self, key: str, layer: ScoredLayer) -> None:
        """Add what a layer found, or why it has no score; once for each layer."""
        if key in self.layers:
            raise ValueError(f"{key} is settled already: evidence only grows")
        self.layers[key] = layer

    @property
    def results(self) -> dict[str, LayerResult]:
        """The results of the settled layers by key, in the order of the layers."""
        return {layer.key: self.layers[layer.key].result for layer in LAYERS if layer.key in self.layers}
