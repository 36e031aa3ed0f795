"""Profiles: which models make up each layer, and what stands in for one that has no weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from veracity.catalog import FACE_DETECTOR, LAYERS, MODELS, SPEAKER
from veracity_client.errors import BadOption
from veracity_client.verdict import LayerName

Weighted = tuple[tuple[str, float], ...]  # models, each with its weight among the layer's
Choice = Mapping[LayerName, Weighted]

BENCH = "bench"  # the published networks filled by the names of their weights: for timing, never for judging

_PUBLISHED: Choice = {
    "audio": (("audio_wav2vec2", 1.0),),
    "visual": (("visual_sbi_b4", 1.0),),
    "lipsync": (("lipsync_lipforensics", 1.0),),
    "semantic": (("semantic_clip_vitl14", 1.0),),
}

PROFILES: Mapping[str, Choice] = {
    "starter": {
        "audio": (("audio_starter", 1.0),),
        "visual": (("visual_starter", 1.0),),
        "lipsync": (("lipsync_starter", 1.0),),
        "semantic": (("semantic_starter", 1.0), ("semantic_texture_starter", 1.0)),
    },
    "published": _PUBLISHED,
    "published-commercial": {**_PUBLISHED, "visual": (("visual_effnet_b7", 1.0),)},
    BENCH: _PUBLISHED,
}

# Asked where the first has no weights or does not answer.
FALLBACKS: Mapping[str, str] = {"lipsync_lipforensics": "lipsync_syncnet"}


def choose(profile: str, instead: str = "") -> Choice:
    """Return the models of each layer; ``instead`` names models, separated by commas, that replace their layers' own.

    Several of one layer weigh the same. Raises :class:`BadOption` for a model that no layer has, KeyError for an
    unknown profile.
    """
    layers = dict(PROFILES[profile])
    names = [name.strip() for name in instead.split(",") if name.strip()]
    for name in names:
        if name not in MODELS or MODELS[name].layer is None:
            scoring = ", ".join(model.name for model in MODELS.values() if model.layer)
            raise BadOption(f"no layer has a model {name!r}; there are {scoring}")
    for layer in LAYERS:
        own = tuple((name, 1.0) for name in dict.fromkeys(names) if MODELS[name].layer == layer.name)
        layers[layer.name] = own or layers[layer.name]
    return layers


def children(choice: Choice) -> tuple[str, ...]:
    """Return the models that scores rest on, the face detector first, each fallback after what it stands in for."""
    chosen = [name for models in choice.values() for name, _ in models]
    return (FACE_DETECTOR.name, *dict.fromkeys(n for name in chosen for n in (name, FALLBACKS.get(name, name))))


def served(profile: str, instead: str = "") -> tuple[str, ...]:
    """Return the models to be served where they are installed: the children, and what explanations alone ask.

    ``bench`` explains nothing.
    """
    of_explanations = () if profile == BENCH else (SPEAKER.name,)
    return (*children(choose(profile, instead)), *of_explanations)


def required(choice: Choice) -> Sequence[str]:
    """Return the models without which the profile has a gap: all but the fallbacks."""
    return [FACE_DETECTOR.name, *dict.fromkeys(name for models in choice.values() for name, _ in models)]
