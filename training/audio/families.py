"""Families of fake voices. Each has a head of its own, so that one may sound worse than people and another cleaner."""

from __future__ import annotations

from evaluation.manifest import Clip
from training.folds import group

# Every system that no family names is of the first, the neural one: text to speech, conversion, vocoders.
FAMILIES: dict[str, frozenset[str]] = {
    "neural": frozenset(),
    "signal processing": frozenset({"system:WORLD", "system:Griffin-Lim", "system:NSF"}),
    "recorded units and hidden Markov models": frozenset({"system:Flite", "system:Festival"}),
    "Kokoro and its students": frozenset({"system:Kokoro"}),
}


def family(clip: Clip) -> str:
    """The family of a fake clip, by its system."""
    name = group(clip)
    return next((family for family, systems in FAMILIES.items() if name in systems), next(iter(FAMILIES)))
