"""What a detector's module in ``catalog/detectors/`` declares. Data only: nothing here needs OpenCV, ONNX or torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from veracity.catalog.assets import Source
from veracity.catalog.layers import FileKind
from veracity_client.verdict import LayerName

Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph, without its batch dimension; -1 is any size."""

    name: str
    dtype: Literal["UINT8", "INT16", "FP32"]
    shape: tuple[int, ...]


FAKE_LOGIT = Tensor("FAKE_LOGIT", "FP32", (1,))  # the natural-log odds of *fake*: polarity is inside every graph


@dataclass(frozen=True)
class Crop:
    """How a face is cut: its box wider by ``margin`` of its sides, stretched to a square or kept in shape on black."""

    margin: float
    stretch: bool


SBI_CROP = Crop(0.125, stretch=True)  # SelfBlendedImages' test crop
DFDC_CROP = Crop(1 / 3, stretch=False)  # the DFDC winner's


@dataclass(frozen=True)
class Batching:
    """How Triton merges requests: ``request_items`` is what one video puts into one, ``max_batch`` bounds a batch.

    ``preferred`` are the sizes that are run at once, others after ``delay_us``.
    """

    max_batch: int
    request_items: int
    preferred: tuple[int, ...]
    delay_us: int


@dataclass(frozen=True, kw_only=True)
class Model:
    """One Triton model: its tensors, how it is asked and read, and where its weights come from.

    ``kind`` is the class (``module:name``) that cuts its samples and reads its outputs, see
    ``veracity.evidence.detector``; ``pool`` the function from the samples' logits to the clip's P(fake), empty where
    the kind has its own.
    ``export`` is the module whose ``export(args)`` makes the graph, or whose ``DETECTORS`` describes the published
    network; ``golden`` maps cases of ``python -m export parity`` to the module whose ``CASES`` has them. ``sources``
    are the fetched files that the graph is made of; none where it ships with this version, and ``optional_sources``
    those that it can be made of instead. ``joined``: they are a frozen encoder, and our head ships with this version.
    ``released`` is False while nobody can have weights: the model's folder and tensors are final. ``commercial`` is
    False where the authors allow research only. ``least_face`` is the width in pixels that a face's box must have for
    the face to be scored. ``file_kinds`` are the kinds of file that it is asked of.
    """

    name: str
    layer: LayerName | None
    kind: str
    pool: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    batching: Batching
    licence: str
    homepage: str
    export: str
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    golden: Mapping[str, str] = field(default_factory=dict)
    crop: Crop = SBI_CROP
    least_face: int = 0
    commercial: bool = True
    released: bool = True
    sources: tuple[Source, ...] = ()
    optional_sources: tuple[Source, ...] = ()
    joined: bool = False
    file_kinds: tuple[FileKind, ...] = get_args(FileKind)

    @property
    def input(self) -> Tensor:
        """What is cut out of a clip for it; most models have no other input."""
        return self.inputs[0]

    @property
    def more_inputs(self) -> tuple[Tensor, ...]:
        """The inputs beside the first."""
        return self.inputs[1:]

    @property
    def max_batch(self) -> int:
        """The largest batch that the graph is run with."""
        return self.batching.max_batch

    @property
    def request_items(self) -> int:
        """The number of samples that one video puts into one request."""
        return self.batching.request_items

    @property
    def size(self) -> int:
        """Side in pixels of a square picture input."""
        return self.input.shape[-2]

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the fetched files that the graph is made of."""
        return tuple(source.name for source in self.sources)

    @property
    def trained_here(self) -> bool:
        """Whether its weights, or its head's, come out of ``python -m training``."""
        return self.layer is not None and (self.joined or not self.sources)
