"""Opens whatever `python -m training` wrote: which network a checkpoint holds, it says itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from torch import nn

from training import keeping
from training.data import ManifestError
from training.loop import PLAN
from training.nets import AUDIO_NETS
from training.nets.joint import load_for_inference

Kind = Literal["audio", "visual", "lipsync", "semantic", "joint"]


class Opened(NamedTuple):
    """A network ready to answer, and which layer's evidence it looks at."""

    kind: Kind
    net: nn.Module


def open_checkpoint(path: Path) -> Opened:
    """Of `training audio`, `visual`, `lipsync`, `semantic` or `joint`; raises ManifestError for any other file."""
    content = keeping.read(path)
    if "architecture" in content:
        return Opened("joint", load_for_inference(path))
    if {"net", "state"} <= set(content):
        return Opened("audio", _audio(path, content["net"], content["state"]))
    if path.with_name(PLAN).is_file():
        for kind, load in _LESSONS:
            try:
                return Opened(kind, load(path))
            except ManifestError:
                continue  # the plan beside it, or the network in it, is another lesson's
    raise ManifestError(f"{path} is no checkpoint of training audio, visual, lipsync, semantic or joint")


def _audio(path: Path, name: str, state: object) -> nn.Module:
    if name not in AUDIO_NETS:
        raise ManifestError(f"{path} holds {name!r}; there are {', '.join(AUDIO_NETS)}")
    net = AUDIO_NETS[name]()
    try:
        net.load_state_dict(state)  # type: ignore[arg-type]  # held against the network, key by key
    except (RuntimeError, TypeError) as error:
        raise ManifestError(f"{path} does not fit {name}: {error}") from error
    return net.eval()


def _visual(path: Path) -> nn.Module:
    from training.visual.lesson import load

    return load(path)


def _lipsync(path: Path) -> nn.Module:
    from training.lipsync.lesson import load

    return load(path)


def _semantic(path: Path) -> nn.Module:
    from training.semantic.lesson import load

    return load(path)


_LESSONS: tuple[tuple[Kind, Callable[[Path], nn.Module]], ...] = (
    ("visual", _visual),
    ("lipsync", _lipsync),
    ("semantic", _semantic),
)
