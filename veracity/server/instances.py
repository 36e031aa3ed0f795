"""A model's instances in groups of one, so that Triton can replace one and leave the others alone.

Where nothing but the instance groups differs from the loaded configuration, Triton's load keeps each instance whose
group is as it was, requests included, and replaces the rest. What makes two groups differ here is the priority for
Triton's rate limiter, which does nothing while that is off, as it is.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import tritonclient.grpc as grpc
from google.protobuf import json_format, text_format

from veracity.server import reaper

MODEL_ARGUMENT, INSTANCE_ARGUMENT = 1, 8  # of a model process: the model's file, and the name of the instance


class Instances:
    """The configuration in ``folder`` (``configs/<variant>.pbtxt`` where there is one), its instance groups split."""

    def __init__(self, folder: Path, variant: str = "") -> None:
        chosen = folder / "configs" / f"{variant}.pbtxt"
        file = chosen if variant and chosen.is_file() else folder / "config.pbtxt"
        self._config: Any = text_format.Parse(file.read_text(), grpc.model_config_pb2.ModelConfig())
        self._config.name = folder.name
        groups = [group for group in self._config.instance_group for _ in range(max(1, group.count))]
        del self._config.instance_group[:]
        for number, group in enumerate(groups):
            self._config.instance_group.add().MergeFrom(group)
            own = self._config.instance_group[number]
            own.name, own.count, own.rate_limiter.priority = f"{folder.name}_{number}", 1, number + 1
        self._generation = 0

    @property
    def backend(self) -> str:
        """The name of the backend that runs the model."""
        return str(self._config.backend)

    @property
    def count(self) -> int:
        """How many instances the model has at least."""
        return max(1, len(self._config.instance_group))

    def tell(self, name: str, value: str) -> None:
        """Have the configuration tell callers something: a parameter, which Triton itself has no use for."""
        self._config.parameters[name].string_value = value

    def replace(self, names: Collection[str]) -> None:
        """Have the next load replace the instances of these names, as :func:`processes` returns them."""
        self._generation += 1
        groups = self._config.instance_group
        for number, group in enumerate(groups):
            if _is_of(group, names):
                group.rate_limiter.priority = self._generation * len(groups) + number + 1

    def to_json(self, without: Collection[str] = ()) -> str:
        """Return what Triton's load takes in place of the file, ``without`` the instances of these names."""
        config = grpc.model_config_pb2.ModelConfig()
        config.CopyFrom(self._config)
        del config.instance_group[:]
        config.instance_group.extend(group for group in self._config.instance_group if not _is_of(group, without))
        return str(json_format.MessageToJson(config, preserving_proto_field_name=True))


def _is_of(group: Any, names: Collection[str]) -> bool:
    return any(name.startswith(f"{group.name}_") for name in names)


def processes(server: int, model: Path) -> dict[int, str]:
    """Return the running processes of the model in folder ``model``, each with the name of its instance."""
    found = {}
    for pid in reaper.child_processes(server):
        with suppress(OSError, IndexError):  # it ended, or is about to become a model process
            arguments = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
            if model in Path(arguments[MODEL_ARGUMENT]).parents:
                found[pid] = arguments[INSTANCE_ARGUMENT]
    return found
