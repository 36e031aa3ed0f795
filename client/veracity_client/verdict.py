"""The contract: a request's ``Options``, a ``StageEvent`` for each step, and the answer, a ``Verdict``.

Scores are probabilities of *fake*, 0 to 1. Times are seconds from the start of the clip, rounded to milliseconds.
Boxes are x0, y0, x1, y1 in pixels of the upright picture as it was analysed (``input.resolution``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from veracity_client.explanation import Explanation
from veracity_client.options import LayerName as LayerName
from veracity_client.options import OperatingPoint as OperatingPoint
from veracity_client.options import Options as Options
from veracity_client.options import Policy as Policy
from veracity_client.reasons import AnyReasonCode, Reason
from veracity_client.span import Span as Span
from veracity_client.words import open_words

Label = Literal["fake", "real", "inconclusive"]
Status = Literal["scored", "abstained", "skipped", "failed"]
AppliedPolicy = Policy
StageStatus = Literal["started", "progress", "done"]
Schema = Literal["veracity/1"]

if not TYPE_CHECKING:  # other words of a newer server are passed through
    Label, Status, AppliedPolicy = open_words(Label), open_words(Status), open_words(AppliedPolicy)
    StageStatus, Schema = open_words(StageStatus), open_words(Schema)


@dataclass(frozen=True)
class FrameScore:
    """One face in one frame and its score; ``face`` is the track's id."""

    time: float
    face: int
    score: float


@dataclass(frozen=True)
class ModelInfo:
    """The weights that answered; ``measured`` says in words how well, and on what."""

    name: str
    version: str
    sha256: str
    trained_on: str
    licence: str
    measured: str = ""


@dataclass(frozen=True)
class Coverage:
    """How much of the clip a layer examined: ``samples`` of it, over ``seconds_examined`` of ``seconds_total``.

    Separate pictures count for a frame each (1/25 s), sound and consecutive frames for their length.
    """

    samples: int
    seconds_examined: float
    seconds_total: float


@dataclass(frozen=True)
class LayerResult:
    """What one layer found, or why it has no score: ``reason`` in words and ``code`` for programs."""

    status: Status
    reason: str
    weight: float
    is_fake: bool | None
    confidence: float | None
    fake_probability: float | None
    reasoning: str
    models: tuple[ModelInfo, ...] = ()
    agreement: float | None = None
    frame_scores: tuple[FrameScore, ...] | None = None
    mismatch_score: float | None = None
    generative_signature: float | None = None
    coverage: Coverage | None = None
    code: AnyReasonCode | None = None


@dataclass(frozen=True)
class FaceBox:
    """Where a face was at one time."""

    time: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Face:
    """One face followed over time. ``fake_probability`` is None where no layer scored faces."""

    id: int
    start: float
    end: float
    fake_probability: float | None
    boxes: tuple[FaceBox, ...]
    worst: tuple[Span, ...] = ()


@dataclass(frozen=True)
class InputInfo:
    """What was analysed. ``resolution`` is ``WIDTHxHEIGHT``; ``codecs`` has ``video`` and ``audio`` as present.

    ``audio_track`` and ``video_track`` are those that were examined, of ``audio_tracks`` and ``video_tracks``.
    ``audio_channel`` is the one channel that was examined, counted from 0; None where all were mixed.
    """

    sha256: str
    bytes: int
    seconds: float | None
    resolution: str | None
    codecs: Mapping[str, str]
    audio_tracks: int
    audio_track: int | None = None
    audio_channel: int | None = None
    video_tracks: int | None = None
    video_track: int | None = None


@dataclass(frozen=True)
class Profile:
    """The set of models that was asked, and how well it measured, in words."""

    name: str
    statement: str


@dataclass(frozen=True)
class Thresholds:
    """``fake_probability`` at or over ``fake`` is fake, at or under ``real`` is real, between them inconclusive.

    None: no clip is called that, since the measurements do not show that the word would be right often enough.
    """

    fake: float | None
    real: float | None


@dataclass(frozen=True)
class Rates:
    """How the verdict measured at its operating point, on clips of sources and makers that nothing was fitted on.

    Shares of ``reals`` real and ``fakes`` fake clips. ``fake_called_real`` is that of the kind of fake with the most.
    """

    real_called_fake: float
    fake_called_real: float
    inconclusive: float
    reals: int
    fakes: int


@dataclass(frozen=True)
class LikelihoodRatio:
    """How much likelier the findings are if the clip is fake than if it is real.

    ``log10`` is held within ``low`` and ``high``, which is as far as the clips of the calibration can tell. The
    verdict's ``fake_probability`` is what follows where fake is as likely as not beforehand: ``prior`` 0.5.
    """

    log10: float
    low: float
    high: float
    words: str
    prior: float = 0.5


@dataclass(frozen=True)
class Verdict:
    """The answer. ``final_verdict`` is True for fake, False for real, None for inconclusive.

    ``timeline`` and ``layer_results`` have the keys ``1_audio``, ``2_visual``, ``3_lipsync``, ``4_semantic``.
    ``timings`` holds seconds of each stage; stages overlap, so they add up to more than ``processing_time``.
    ``degraded_reasons`` say why the verdict is degraded, ``inconclusive_reason`` why its label is inconclusive.
    ``rates`` and ``thresholds`` are those of the ``operating_point``; None where the models are not calibrated.
    ``explanation`` is there where it was asked for; a document without one lacks the name.
    """

    video_id: str
    final_verdict: bool | None
    label: Label
    fake_probability: float | None
    confidence: float
    reasoning: str
    layers_executed: tuple[int, ...]
    layer_results: Mapping[str, LayerResult]
    timeline: Mapping[str, tuple[Span, ...]]
    faces: tuple[Face, ...]
    policy: AppliedPolicy
    profile: Profile
    thresholds: Thresholds | None
    calibrated: bool
    degraded: bool
    input: InputInfo
    timings: Mapping[str, float]
    processing_time: float
    schema: Schema = "veracity/1"
    degraded_reasons: tuple[Reason, ...] = ()
    inconclusive_reason: Reason | None = None
    operating_point: OperatingPoint = "balanced"
    rates: Rates | None = None
    likelihood_ratio: LikelihoodRatio | None = None
    explanation: Explanation | None = None  # stays the last: see to_json

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON types."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        if self.explanation is None:
            plain.pop("explanation", None)  # one that was read without it does not have it
        return plain

    def to_json(self) -> str:
        """Return the one JSON document that every transport answers."""
        text = msgspec.json.encode(self).decode()
        return text.removesuffix(_NO_EXPLANATION) + "}" if text.endswith(_NO_EXPLANATION) else text

    @classmethod
    def from_json(cls, text: str | bytes) -> Verdict:
        """Read a verdict of any server; fields that are not known are ignored. Raises ValueError for what is none."""
        return _VERDICTS.decode(text)


@dataclass(frozen=True)
class StageEvent:
    """One step: ``stage`` is probe, sound, speech, frames, speakers, explanation or a layer's key.

    ``seconds`` have passed since the start.
    """

    stage: str
    status: StageStatus
    seconds: float
    progress: float | None = None
    result: LayerResult | None = None


# made here and not with the first answer: msgspec learns a class when it is first read, and crashes where two threads
# are the first at once
_VERDICTS = msgspec.json.Decoder(Verdict)
_EVENTS = msgspec.json.Decoder(StageEvent)
_NO_EXPLANATION = ',"explanation":null}'


def event_to_json(event: StageEvent | Verdict) -> str:
    """Return one message of the stream."""
    if isinstance(event, Verdict):
        return f'{{"verdict":{event.to_json()}}}'
    return msgspec.json.encode({"stage": event}).decode()


def event_from_json(text: str | bytes) -> StageEvent | Verdict | None:
    """Read one message of the stream; None for a kind that is not known. Raises ValueError for what is no message."""
    message = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    if "verdict" in message:
        return _VERDICTS.decode(message["verdict"])
    return _EVENTS.decode(message["stage"]) if "stage" in message else None
