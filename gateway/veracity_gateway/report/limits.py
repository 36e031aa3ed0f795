"""What the method cannot do, in plain words: part of every report, and signed with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from veracity_client.verdict import Verdict

GENERAL = (
    "A verdict is a reason for a person to look, not proof. It is a statistical statement about traces in a file, and "
    "may be wrong in either direction.",
    "It says nothing about who made the file, when, or why, nor whether what is said in it is true.",
    "What was not examined is not cleared. A method of forgery that the models were not measured on may leave no trace "
    "that they know.",
    "Coding, scaling, filters and cutting change a file: they can hide traces of a forgery, and can look like them.",
)
UNCALIBRATED = (
    "The models were not calibrated together: a higher probability means more likely fake, but it is not a frequency."
)
DEGRADED = "Something that should have taken part did not; what it would have found is not in the verdict."
RATIO = (
    "The likelihood ratio is held within bounds: beyond them the clips of the calibration cannot tell. It holds for "
    "files like those clips."
)


@dataclass(frozen=True)
class LayerWords:
    """A layer in words for people: its title, its question, and what it cannot see."""

    title: str
    question: str
    blind_to: str


LAYERS: Mapping[str, LayerWords] = {
    "1_audio": LayerWords(
        "Voice",
        "Was this speech synthesised or converted by a machine?",
        "The picture; genuine speech that was cut or put in another order; who speaks. Singing, whispering and "
        "overlapping voices were not measured.",
    ),
    "2_visual": LayerWords(
        "Faces",
        "Was a face swapped, drawn anew or blended in?",
        "Heads that a generator drew as a whole; faces that are too small or turned away; everything outside of faces.",
    ),
    "3_lipsync": LayerWords(
        "Lips",
        "Was a mouth painted or moved by a machine, and does the sound belong to it?",
        "Mouths that do not move; speakers who are not in the picture; a voice that was exchanged and fits the lips.",
    ),
    "4_semantic": LayerWords(
        "Whole picture",
        "Was the picture generated as a whole?",
        "A swapped face or a dubbed mouth in a picture that is otherwise real.",
    ),
}


def layer_words(key: str) -> LayerWords:
    """Return the words of a layer; a newer server may have others."""
    return LAYERS.get(key, LayerWords(key, "", ""))


def limits_of(verdict: Verdict) -> tuple[str, ...]:
    """Return the limits of the method and those of this one analysis."""
    found = list(GENERAL)
    if rates := verdict.rates:
        found.append(
            f"The rates were measured on {rates.reals} real and {rates.fakes} fake clips. "
            "Files of other sources and other forgeries may do worse."
        )
    if verdict.likelihood_ratio:
        found.append(RATIO)
    if not verdict.calibrated and verdict.fake_probability is not None:
        found.append(UNCALIBRATED)
    if verdict.degraded:
        found.append(DEGRADED)
    return tuple(found)
