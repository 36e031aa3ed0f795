"""Opens the checkpoints of `python -m training`, whichever network they hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from torch import nn

from networks import checkpoints
from networks.errors import CheckpointError
from networks.facecam import FaceCam
from networks.joint import load_for_inference
from networks.lips import LipNet
from networks.registry import AUDIO_NETS
from networks.semantic import SemanticHead

PLAN = "plan.yaml"  # beside a run's checkpoints
Kind = Literal["audio", "visual", "lipsync", "semantic", "joint"]
Net = TypeVar("Net", bound=nn.Module)


class Opened(NamedTuple):
    """A network in eval mode, and the layer that it belongs to."""

    kind: Kind
    net: nn.Module


def open_checkpoint(path: Path) -> Opened:
    """Of `training audio`, `visual`, `lipsync`, `semantic` or `joint`; raises CheckpointError for any other file."""
    content = checkpoints.read_run(path)
    if "architecture" in content:
        return Opened("joint", load_for_inference(path))
    if {"net", "state"} <= set(content):
        return Opened("audio", load_audio(path, content))
    if path.with_name(PLAN).is_file():
        for kind, load in _BY_TASK:
            try:
                return Opened(kind, load(path))
            except CheckpointError:
                continue  # the weights are another task's
    raise CheckpointError(f"{path} is no checkpoint of training audio, visual, lipsync, semantic or joint")


def load_audio(path: Path, content: dict[str, Any]) -> nn.Module:
    """The network of a checkpoint of `training audio`; raises CheckpointError."""
    if content["net"] not in AUDIO_NETS:
        raise CheckpointError(f"{path} holds {content['net']!r}; there are {', '.join(AUDIO_NETS)}")
    net = AUDIO_NETS[content["net"]]()
    try:
        net.load_state_dict(content["state"])
    except (RuntimeError, TypeError) as error:
        raise CheckpointError(f"{path} does not fit {content['net']}: {error}") from error
    return net.eval()


def load_visual(path: Path) -> FaceCam:
    """The network of a checkpoint of `training visual`, with its averaged weights; raises CheckpointError."""
    return with_weights(path, FaceCam())


def load_lipsync(path: Path) -> LipNet:
    """The network of a checkpoint of `training lipsync`, with its averaged weights; raises CheckpointError."""
    return with_weights(path, LipNet())


def load_semantic(path: Path) -> SemanticHead:
    """The head of a checkpoint of `training semantic`, with its averaged weights; raises CheckpointError."""
    return with_weights(path, SemanticHead())


def with_weights(path: Path, net: Net) -> Net:
    """``net`` in eval mode with the weights of a training run's checkpoint; raises CheckpointError for another's."""
    state = checkpoints.read_run(path).get("state_dict", {})
    try:
        net.load_state_dict({name.removeprefix("net."): value for name, value in state.items()})
    except RuntimeError as error:
        raise CheckpointError(f"{path} holds another network: {error}") from error
    net.eval()
    return net


_BY_TASK: tuple[tuple[Kind, Callable[[Path], nn.Module]], ...] = (
    ("visual", load_visual),
    ("lipsync", load_lipsync),
    ("semantic", load_semantic),
)
