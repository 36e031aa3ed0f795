"""What the calibration's clips were like: a file unlike all of them is none that its rates speak of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from veracity.catalog.layers import FileKind

Cues = Mapping[str, float | str]
"""Numbers and words by name; what a file has not got is left out."""

# Of each kind of file, what is compared; the unit that a number is told in.
COMPARED: Mapping[FileKind, Mapping[str, str]] = MappingProxyType(
    {
        "sound": {"audio_codec": "", "bandwidth": "Hz"},
        "still": {"width": "pixels"},
        "film": {"video_codec": "", "width": "pixels"},
    }
)
_LOSSLESS = frozenset({"alac", "ape", "flac", "tta", "wavpack"})


@dataclass(frozen=True)
class Domain:
    """The lowest and highest of each number, and every word, that the clips of a kind of file had; empty: not known."""

    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    words: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, clips: Iterable[Cues], kind: FileKind) -> Domain:
        """Return what all of these clips were like; a cue that none of them has is not known."""
        values: dict[str, set[float | str]] = {}
        for cues in clips:
            for name in COMPARED[kind].keys() & cues.keys():
                values.setdefault(name, set()).add(_alike(cues[name]))
        words = {name: frozenset(map(str, of)) for name, of in values.items() if isinstance(next(iter(of)), str)}
        numbers = {name: [float(one) for one in of] for name, of in values.items() if name not in words}
        return cls({name: (min(of), max(of)) for name, of in sorted(numbers.items())}, dict(sorted(words.items())))

    def why_outside(self, cues: Cues, kind: FileKind) -> str:
        """Say which cue lies outside, and of what; empty where none that is known does."""
        for name, unit in COMPARED[kind].items():
            value = _alike(cues[name]) if name in cues else None
            if isinstance(value, str) and name in self.words and value not in self.words[name]:
                return f"{_words(name)} {value} is not among {', '.join(sorted(self.words[name]))}"
            if isinstance(value, (int, float)) and name in self.ranges:
                low, high = self.ranges[name]
                if not low <= value <= high:
                    return f"{_words(name)} {value:g} {unit} is not within {low:g} to {high:g} {unit}"
        return ""


def _alike(value: float | str) -> float | str:
    """A codec that loses nothing is as good as another."""
    return "lossless" if isinstance(value, str) and (value in _LOSSLESS or value.startswith("pcm_s")) else value


def _words(name: str) -> str:
    return name.replace("_", " ")
