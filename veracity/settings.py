"""Every setting, its default and its environment variable: ``VERACITY_`` + the field's name in capitals."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from veracity.catalog import MODELS
from veracity.catalog.profiles import PROFILES, choose
from veracity.install import locations
from veracity_client.errors import BadOption

CHECKOUT = Path(__file__).resolve().parent.parent
MIB = 1 << 20
WORDS: Mapping[str, tuple[object, ...]] = {
    "env": ("development", "production"),
    "profile": tuple(PROFILES),
    "vad": ("silero", "energy"),
    "semantic_crops": (1, 5),
    "model_config": ("", "tensorrt", "trt_ep"),
    "log_level": ("debug", "info", "warning", "error"),
}


@dataclass(frozen=True)
class Settings:
    """How this server is run. Sizes are bytes, times are seconds."""

    env: str = "development"  # production refuses to start on whatever `veracity doctor` finds wrong
    profile: str = "starter"
    models: str = ""  # names, separated by commas, that replace the profile's models of their layers
    model_config: str = ""  # which configs/<name>.pbtxt of each model Triton reads where there is one
    model_repository: Path = locations.MODEL_REPOSITORY
    weights: Path = locations.WEIGHTS  # fetched files; graphs made of them go to the model repository
    triton: Path | None = None  # a directory with bin/tritonserver; None: the one that came with pip
    ffmpeg: Path | None = None  # None: the system's, else the one that came with pip
    vad: str = "silero"  # or "energy", which needs no file
    media_root: Path | None = None  # clients may name files under it; None: they may name none
    max_bytes: int = 200 * MIB
    max_seconds: float = 1800.0
    max_pixels: int = 8192 * 4320
    max_frames: int = 200_000  # of the constant 25 fps time base and of what the file says itself
    max_faces: int = 8  # of a frame whose crops are scored, the most certain first
    semantic_crops: int = 1  # squares of a picture that layer 4 sees: its middle, or 5 with the corners
    ffmpeg_cpu_seconds: int = 600
    ffmpeg_memory_bytes: int = 4096 * MIB
    ffmpeg_wall_seconds: float = 300.0
    log_level: str = "info"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the environment; raises :class:`BadOption` that names the variable for a value of the wrong type."""
        environ = os.environ if environ is None else environ
        hints = get_type_hints(cls)
        given = {f.name: environ.get(variable(f.name)) for f in fields(cls)}
        settings = cls(**{name: _parse(variable(name), hints[name], text) for name, text in given.items() if text})
        settings.check()
        return settings

    def to_env(self) -> dict[str, str]:
        """Return the environment that :meth:`from_env` reads back as these settings."""
        values = {variable(f.name): getattr(self, f.name) for f in fields(self)}
        return {name: "" if value is None else str(value) for name, value in values.items()}

    def check(self) -> None:
        """Raise :class:`BadOption` for a word that no setting has, or a limit that lets nothing through."""
        for name, words in WORDS.items():
            if getattr(self, name) not in words:
                known = ", ".join(str(word) for word in words if word)
                raise BadOption(f"{variable(name)} must be one of {known}, got {getattr(self, name)!r}")
        seeing = [name for name, _ in choose(self.profile, self.models)["semantic"]]
        if self.semantic_crops > 1 and all(MODELS[name].view == "whole" for name in seeing):
            raise BadOption(f"{variable('semantic_crops')} must be 1 here: {', '.join(seeing)} sees the whole picture")
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, (int, float)) and not 0 < value < math.inf:
                raise BadOption(f"{variable(f.name)} must be a number over 0, got {value}")


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"VERACITY_{name.upper()}"


def _parse(name: str, hint: object, text: str) -> Any:
    kind = next(k for k in (int, float, Path, str) if hint in (k, k | None))
    try:
        return kind(text)
    except ValueError:
        raise BadOption(f"{name} wants a {kind.__name__}, got {text!r}") from None
