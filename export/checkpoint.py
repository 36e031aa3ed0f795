"""Other people's checkpoints: read without running what is in them, and loaded whole or not at all."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from export.publish import ExportError

NAMED = 3  # keys that a message names of each kind


def read(path: Path) -> Any:
    """Return what a checkpoint file holds: torch's zip or pickle, safetensors, or JSON.

    Nothing in it is run. Raises :class:`ExportError` for a web page, a truncated file and a pickle with code in it.
    """
    head = _head(path)
    if head.lstrip()[:1] == b"<":
        raise ExportError(f"{path.name} is a web page, not weights: fetch it anew, or download it by hand")
    try:
        if path.suffix == ".json":
            return json.loads(path.read_text(encoding="utf-8"))
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ExportError(f"{path.name} holds more than numbers and is not opened: {_first_line(error)}") from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, zipfile.BadZipFile, ImportError) as error:
        raise ExportError(f"{path.name} cannot be read: {_first_line(error)}; is it whole?") from None
    except Exception as error:  # safetensors' errors derive from Exception alone
        raise ExportError(f"{path.name} cannot be read: {_first_line(error)}; is it whole?") from error


def tensors(content: Any, name: str) -> Mapping[str, Tensor]:
    """Return ``content`` if it is a state dict; raises :class:`ExportError` that says what it is instead."""
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ExportError(f"{name} holds no state dict but {_what(content)}")
    return content


def member(content: Any, key: str, name: str) -> Mapping[str, Tensor]:
    """Return the state dict that lies under ``key``; raises :class:`ExportError` where there is none."""
    if not isinstance(content, Mapping) or key not in content:
        raise ExportError(f"{name} has no {key!r} but {_what(content)}")
    return tensors(content[key], f"{key!r} of {name}")


def load(net: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Put every weight in its place; raises :class:`ExportError` for one that is missing, left over or misshapen."""
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
        raise ExportError(f"{name} does not fit the network: {said}")
    net.load_state_dict(state, strict=True)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:NAMED]) + (", …" if len(keys) > NAMED else "")


def _what(content: Any) -> str:
    return _some([str(key) for key in content]) if isinstance(content, Mapping) else f"a {type(content).__name__}"


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
