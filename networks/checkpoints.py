"""Checkpoint files: read without running any code in them, and loaded into a network whole or not at all."""

from __future__ import annotations

import codecs
import json
import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from networks.errors import CheckpointError

NAMED = 3  # keys that a message names of each kind
TRAINED_ON = "trained_on"  # key of a training run's checkpoint: the sources of its training set


def read_run(path: Path) -> dict[str, Any]:
    """The content of a training run's checkpoint, on the CPU; raises :class:`CheckpointError`."""
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}")
    try:
        content = read(path)
    except CheckpointError as error:
        raise CheckpointError(f"{path} is no checkpoint, or is not whole: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is no checkpoint: it holds a {type(content).__name__}")
    return content


def training_sources(path: Path) -> list[str]:
    """The sources of the training set, as a checkpoint names them; raises :class:`CheckpointError`."""
    sources = read_run(path).get(TRAINED_ON)
    if not sources:
        raise CheckpointError(f"{path} does not say which sources its network was trained on")
    return list(sources)


def read(path: Path) -> Any:
    """Return what a checkpoint file holds: torch's zip or pickle, safetensors, or JSON.

    Nothing in it is run. Raises CheckpointError for a file that is not there, a web page or a pointer in place of
    the file, a truncated one, and a pickle with more in it than numbers.
    """
    try:
        _refuse_impostors(path)
        if path.suffix == ".json":
            return json.loads(path.read_text(encoding="utf-8"))
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles in a newer protocol than torch's own
            return torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # torch, pickle, zipfile and safetensors have no error in common
        # torch's message advises to read the file with all that is in it: only the name is taken out of it
        code = re.search(r"GLOBAL ([\w.]+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if code:
            raise CheckpointError(f"{path.name} holds more than numbers ({code[1]}) and is not opened") from None
        raise CheckpointError(f"{path.name} cannot be read: {_reason(error)}; is it whole?") from None


def _refuse_impostors(path: Path) -> None:
    """Raise :class:`CheckpointError` for web pages and pointers sent in place of a file."""
    with path.open("rb") as file:
        head = file.read(64)
    if head.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"<":
        raise CheckpointError(f"{path.name} is a web page, not weights: fetch it anew, or download it by hand")
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path.name} is a Git LFS pointer, not weights: fetch it anew, or run git lfs pull")


def tensors(content: Any, name: str) -> Mapping[str, Tensor]:
    """Return ``content`` if it is a state dict; raises :class:`CheckpointError` that says what it is."""
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise CheckpointError(f"{name} holds no state dict but {_what(content)}")
    return content


def member(content: Any, key: str, name: str) -> Mapping[str, Tensor]:
    """Return the state dict that lies under ``key``; raises :class:`CheckpointError` where there is none."""
    if not isinstance(content, Mapping) or key not in content:
        raise CheckpointError(f"{name} has no {key!r} but {_what(content)}")
    return tensors(content[key], f"{key!r} of {name}")


def load(net: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Put every weight in its place; raises CheckpointError for one missing, left over or misshapen."""
    wanted = net.state_dict()
    shared = wanted.keys() & state.keys()
    wrong = sorted(key for key in shared if wanted[key].shape != state[key].shape)
    faults = [
        ("missing", [key for key in wanted if key not in state]),
        ("not of this network", [key for key in state if key not in wanted]),
        ("of another shape", [f"{k} {list(state[k].shape)}, not {list(wanted[k].shape)}" for k in wrong]),
    ]
    said = "; ".join(f"{len(keys)} {kind}: {_some(keys)}" for kind, keys in faults if keys)
    if said:
        raise CheckpointError(f"{name} does not fit the network: {said}")
    net.load_state_dict(state, strict=True)


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:NAMED]) + (", …" if len(keys) > NAMED else "")


def _what(content: Any) -> str:
    return _some([str(key) for key in content]) if isinstance(content, Mapping) else f"a {type(content).__name__}"


def _reason(error: Exception) -> str:
    """The first sentence of an error's message."""
    if isinstance(error, pickle.UnpicklingError):
        return "it is no pickle of weights"
    words = str(error).strip().splitlines() or [type(error).__name__]
    return words[0].split(". ")[0].rstrip(".")
