"""One analysed file as drift looks at it: its kind, its scores, what it is like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from veracity.catalog.layers import FileKind
from veracity_client.verdict import InputInfo, Label, Thresholds

VERDICT = "verdict"  # the fused P(fake), beside the layers' keys
NONE = "none"  # the codec of a track that is not there

# Of each kind of file, the facts that are compared; and which of them are words.
FACTS: Mapping[FileKind, tuple[str, ...]] = MappingProxyType(
    {
        "sound": ("audio_codec", "seconds", "bytes_per_second", "bandwidth"),
        "still": ("video_codec", "width"),
        "film": ("video_codec", "audio_codec", "width", "seconds", "bytes_per_second"),
    }
)
WORDS = frozenset({"audio_codec", "video_codec"})


@dataclass(frozen=True)
class Observed:
    """``scores`` by the layers' keys, None where a layer looked and found nothing to score; one that was skipped lacks.

    ``facts`` are the cues of a file: numbers and words by name.
    """

    kind: FileKind
    fake_probability: float | None
    label: Label
    scores: Mapping[str, float | None]
    facts: Mapping[str, float | str]
    thresholds: Thresholds | None
    skipped: bool = False

    def value(self, name: str) -> float | str | None:
        """Return what a histogram counts of this file."""
        if name == VERDICT:
            return self.fake_probability
        return self.scores[name] if name in self.scores else self.facts.get(name)

    def tells(self, name: str) -> bool:
        """Whether the file says anything of it, be it that there is none."""
        return name == VERDICT or name in self.scores or name in self.facts


def facts_of(cues: Mapping[str, float | str], kind: FileKind) -> dict[str, float | str]:
    """Return those cues that are compared; a film without sound has the codec ``none``."""
    known = {name: cues[name] for name in FACTS[kind] if name in cues}
    return ({"audio_codec": NONE} if kind == "film" and known else {}) | known


def cues_of(info: InputInfo) -> dict[str, float | str]:
    """Return what a verdict tells of the file."""
    found: dict[str, float | str] = {f"{track}_codec": codec for track, codec in info.codecs.items()}
    if info.resolution:
        found["width"] = int(info.resolution.partition("x")[0])
    if info.seconds:
        found |= {"seconds": info.seconds, "bytes_per_second": round(info.bytes / info.seconds, 1)}
    return found
