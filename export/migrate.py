"""Old state dicts of the compact RawNet2 into checkpoints of today's module: `python -m export migrate OLD NEW`.

Three kinds are around. Those with `conv1`, `res_block1` to `res_block6`, `skip2`, `skip4`, `skip6`, `fc1` and `fc2` are
the same network under other names. Those with one `skip` and no number come from a module whose blocks overwrote each
other's skip path, and those without blocks from one that kept them out of torch's sight: neither can be loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from networks import checkpoints
from networks.rawnet2 import RawNet2
from veracity.install.files import atomic
from veracity.install.graphs.publish import ExportError

WRAPPERS = ("state_dict", "model_state_dict")  # under which state dicts are often kept
UNSAID = (
    "no state dict says these, they are taken for granted: LeakyReLU of slope 0.3 after conv1, in and after each block "
    "and after fc1; the mean over time before fc1; one score, higher for fakes"
)

# module of old → module of today
NAMES = {
    "conv1": "stem.0",
    "bn1": "stem.1",
    "conv1.0": "stem.0",
    "conv1.1": "stem.1",
    **{f"res_block{n}.{i}": f"blocks.{n - 1}.body.{i}" for n in range(1, 7) for i in (0, 1, 3, 4)},
    **{f"skip{n}.{i}": f"blocks.{n - 1}.skip.{i}" for n in (2, 4, 6) for i in (0, 1)},
    "fc1": "head.0",
    "fc2": "head.2",
}


@dataclass(frozen=True)
class Migrated:
    """A state dict of today's RawNet2, and a line on each old key that says where it went."""

    state: Mapping[str, Tensor]
    steps: tuple[str, ...]


def migrate(old: Path, new: Path, *, level: bool = False, trained_on: tuple[str, ...]) -> Migrated:
    """Write the checkpoint ``new`` out of the state dict ``old``; raises ExportError, and then writes nothing.

    ``level`` says that the old network was given sound of one level, as today's makes for itself.
    """
    if new.exists():
        raise ExportError(f"{new} is there already and stays as it is: name another file")
    content = checkpoints.read(old)
    wrapper = next((key for key in WRAPPERS if isinstance(content, Mapping) and key in content), None)
    state = checkpoints.member(content, wrapper, old.name) if wrapper else checkpoints.tensors(content, old.name)
    made = convert(state, old.name)
    net = "rawnet2" if level else "rawnet2-as-is"
    try:
        with atomic(new) as file:
            torch.save({"net": net, "state": dict(made.state), "trained_on": list(trained_on)}, file)
    except OSError as error:
        raise ExportError(f"{new} was not written: {error.strerror or error}") from error
    return made


def convert(old: Mapping[str, Tensor], name: str) -> Migrated:
    """Return ``old`` under today's names; raises ExportError for a kind that cannot be, and for what does not fit."""
    _refuse(old, name)
    steps = {key: _rename(key) for key in old}
    state = {steps[key]: value for key, value in old.items()}
    if len(state) < len(old):
        raise ExportError(f"{name} names a weight twice")
    said = [f"{key} → {steps[key]}" for key in old]
    if "stem.0.weight" in state and not any(key.startswith("stem.1.") for key in state):
        state |= _no_norm(len(state["stem.0.weight"]))
        said.append("conv1 has no batch norm → stem.1 passes everything through")
    said += [_fold(state, key) for key in sorted(state) if _is_convolution_bias(key)]
    net = RawNet2(level=False)
    checkpoints.load(net, state, name)
    return Migrated(net.state_dict(), tuple(said))


def _refuse(old: Mapping[str, Tensor], name: str) -> None:
    if any(key.startswith("skip.") for key in old):
        raise ExportError(
            f"{name} has one skip path for all blocks: each block overwrote the one before, so that blocks 2, 4 and 6 "
            "were trained without any, and 3 and 5 with their input added. That is another network than ours, and the "
            "state dict does not say all of it: it is not loaded; train anew: `python -m training audio`"
        )
    if any(key.startswith("conv1.") for key in old) and not any(key.startswith("res_block") for key in old):
        raise ExportError(
            f"{name} has no residual blocks: its module kept them in tuples, where torch does not look for weights, so "
            "they were neither taught nor saved, and nothing brings them back; train anew: `python -m training audio`"
        )


def _rename(key: str) -> str:
    """Today's name of a key; an unknown key stays, and loading refuses it by name."""
    module, _, leaf = key.rpartition(".")
    return f"{NAMES[module]}.{leaf}" if module in NAMES else key


def _is_convolution_bias(key: str) -> bool:
    return bool(re.fullmatch(r"(stem|blocks\.\d\.skip)\.0\.bias|blocks\.\d\.body\.[03]\.bias", key))


def _fold(state: dict[str, Tensor], key: str) -> str:
    """Take a convolution's bias into the batch norm after it, which subtracts its mean anyway: the same numbers."""
    module, number, _ = key.rsplit(".", 2)
    mean = f"{module}.{int(number) + 1}.running_mean"
    if mean in state and state[mean].shape == state[key].shape:
        state[mean] = state[mean] - state.pop(key)
    return f"{key} → taken off {mean}"


def _no_norm(channels: int) -> dict[str, Tensor]:
    """A batch norm that changes nothing."""
    norm = torch.nn.BatchNorm1d(channels)
    torch.nn.init.constant_(norm.weight, (1 + norm.eps) ** 0.5)
    return {f"stem.1.{key}": value for key, value in norm.state_dict().items()}
