"""What a model was shown and what it reacted to, for a person to look at: the answer to ``Options(explain=True)``.

It shows where a score comes from, and is no evidence of its own. Pictures are PNG files, base64 text in JSON. All of
it together takes at most :data:`MOST_BYTES` of JSON: crops are made smaller where they would not fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from veracity_client.reasons import Reason
from veracity_client.span import Span
from veracity_client.words import open_words

MOST_BYTES = 1_000_000  # of an explanation as JSON
MOMENTS = 6  # at most
SIDE = 224  # pixels of a crop at most
MOUTH_STRIPS = 8  # at most, one a face
MOUTHS = 16  # of a strip at most

Signature = Literal["strong", "moderate", "natural"]

if not TYPE_CHECKING:  # other words of a newer server are passed through
    Signature = open_words(Signature)


@dataclass(frozen=True)
class Cam:
    """The model's own map of evidence in a crop. ``values`` are its rows from top to bottom, each 0 to 1.

    0 stands for ``low`` and 1 for ``high``, in natural log odds of fake: the map is ``low + values * (high - low)``,
    and 1 is only the highest cell of this crop. ``png`` is the same as a heat map of the crop's size, RGBA, transparent
    where it is low.
    """

    values: tuple[tuple[float, ...], ...]
    low: float
    high: float
    png: bytes


@dataclass(frozen=True)
class Moment:
    """A picture with a high ``score``; ``crop`` is what the model saw, at most 224 pixels a side.

    ``layer`` is ``2_visual``, with the ``face`` and its ``box``; or, where no face has a score that counts,
    ``4_semantic``, with neither. Of a model that is shown several squares of a picture ``crop`` is the middle one.
    ``cam`` is None where the model has no such map. ``area`` is what of the upright picture ``crop`` shows, of a face:
    the box with the model's margin; there the map lies in the frame. None from servers that do not say it.
    """

    layer: str
    time: float
    score: float
    face: int | None
    box: tuple[float, float, float, float] | None
    crop: bytes
    cam: Cam | None
    area: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Spectrogram:
    """The sound that was examined: ``png`` grey, time to the right, 128 mel bands up to 8 kHz, the loudest white.

    ``spans`` are the voice's windows whose score reaches ``threshold``, the voice model's own for fake. That is None
    where the voice has no score that counts, or no such threshold was measured; then there are no spans.
    """

    seconds_start: float
    seconds_end: float
    png: bytes
    spans: tuple[Span, ...]
    threshold: float | None


@dataclass(frozen=True)
class MouthStrip:
    """One face's mouth in a row from left to right, grey, at ``times``: at most 16 frames of those that lips saw.

    ``windows`` are the seconds that were examined, each with its score; None where that does not count.
    """

    face: int
    times: tuple[float, ...]
    png: bytes
    windows: tuple[Span, ...] | None


@dataclass(frozen=True)
class SpeakingFace:
    """One face: ``speaks`` are the stretches of speech that are linked to it, ``windows`` the seconds it was examined.

    The score of a window is P(speaks) of the network, over the frames in which speech is heard; that of a stretch is
    the mean of its windows. No score is calibrated, and none is evidence of anything.
    """

    face: int
    speaks: tuple[Span, ...]
    windows: tuple[Span, ...]


@dataclass(frozen=True)
class HeardFace:
    """Whose speech is heard from ``start`` to ``end``: the ``face``, or None with the ``reason`` why none is named."""

    start: float
    end: float
    face: int | None
    reason: Reason | None = None


@dataclass(frozen=True)
class Speakers:
    """Who speaks when. ``heard_face`` has the examined seconds in which speech is heard, in the order of time.

    ``faces`` are those that were examined in them. Where no second was, both are empty and ``reason`` says why.
    """

    faces: tuple[SpeakingFace, ...] = ()
    heard_face: tuple[HeardFace, ...] = ()
    reason: Reason | None = None


@dataclass(frozen=True)
class Explanation:
    """``moments`` are the most suspicious first, one a face and second. ``spectrogram`` is None without audible sound.

    ``generative_signature_words`` says the number of the layer ``4_semantic`` in a word, by its model's own thresholds:
    strong at or over the one for fake, natural at or under the one for real, moderate between. None without either.
    ``speakers`` is None from servers that do not say it.
    """

    moments: tuple[Moment, ...] = ()
    spectrogram: Spectrogram | None = None
    mouths: tuple[MouthStrip, ...] = ()
    generative_signature_words: Signature | None = None
    speakers: Speakers | None = None
