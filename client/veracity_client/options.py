"""What a request may choose."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import msgspec

from veracity_client.errors import BadOption

Policy = Literal["fail_fast", "decided", "exhaustive"]
Priority = Literal["interactive", "bulk"]
OperatingPoint = Literal["strict", "balanced", "screening"]
LayerName = Literal["audio", "visual", "lipsync", "semantic"]


@dataclass(frozen=True)
class Options:
    """What may be asked of one analysis. Anything else is refused with :class:`BadOption`.

    ``operating_point`` says how often a word of the verdict may be wrong: 1 % (strict), 5 % or 10 % (screening) of the
    real clips called fake, and as many of the fakes called real. ``audio_track`` and ``video_track`` count from 0; None
    takes the track that a player would, or the one that holds something, and ``input`` says which. ``explain`` adds the
    verdict's ``explanation``: pictures of what the models saw, up to 1 MB. What is asked with ``priority`` bulk waits
    while somebody waits whose request is interactive.
    """

    policy: Policy = "fail_fast"
    layers: tuple[LayerName, ...] = ("audio", "visual", "lipsync", "semantic")
    audio_track: int | None = None
    deadline_seconds: float = 300.0
    video_track: int | None = None
    operating_point: OperatingPoint = "balanced"
    explain: bool = False
    priority: Priority = "interactive"

    def __post_init__(self) -> None:
        if not self.layers:
            raise BadOption("layers is empty: name at least one of audio, visual, lipsync, semantic")
        for name, track in (("audio_track", self.audio_track), ("video_track", self.video_track)):
            if track is not None and track < 0:
                raise BadOption(f"{name} counts from 0, got {track}; leave it out to have the track chosen")
        if not 0 < self.deadline_seconds <= 3600:
            raise BadOption(f"deadline_seconds must be over 0 and at most 3600, got {self.deadline_seconds}")

    def to_json(self) -> str:
        """Return the OPTIONS tensor's text. What is as usual is left out: an older server need not know its name."""
        usual = msgspec.to_builtins(Options()) | dict.fromkeys(_ALWAYS)
        given = {name: value for name, value in msgspec.to_builtins(self).items() if value != usual[name]}
        return msgspec.json.encode(given).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Options:
        """Read the OPTIONS tensor's text; raises :class:`BadOption` for unknown names and wrong types."""
        try:
            given = msgspec.json.decode(text, type=dict[str, Any])
            known = [field.name for field in fields(cls)]
            if unknown := sorted(set(given) - set(known)):
                raise ValueError(f"there is no option {', '.join(unknown)}; there are {', '.join(known)}")
            return _OPTIONS.decode(text)
        except (ValueError, RecursionError) as error:  # the latter: brackets nested too deep
            raise BadOption(f"bad options: {error}{_CHOICES if 'enum' in str(error) else ''}") from None


_OPTIONS = msgspec.json.Decoder(Options)  # made here for the reason that verdict.py gives
WITHOUT_EFFECT = ("deadline_seconds", "priority")  # on an answer
_ALWAYS = ("policy", "layers", "deadline_seconds")  # are told even where they are as usual
_CHOICES = (
    f"; policy is one of {', '.join(get_args(Policy))}, operating_point one of {', '.join(get_args(OperatingPoint))}, "
    f"priority one of {', '.join(get_args(Priority))}, layers are of {', '.join(get_args(LayerName))}"
)
