"""A request's tensors: ``VIDEO`` or ``PATH``, and ``OPTIONS``. Reading them blocks: call :func:`parse` in a thread."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb

from veracity.catalog.serving import ARRIVED
from veracity.media import FileBelow, Source
from veracity_client._wire import PRIORITIES
from veracity_client.errors import BadOption, PathNotAllowed
from veracity_client.verdict import Options

MAX_OPTIONS_BYTES = 64 << 10  # every option there is takes under 1 KiB


def parse(request: Any, media_root: Path | None) -> tuple[Source, Options]:
    """Return the video and the options; the request keeps no reference to the video's bytes. No file is opened yet.

    Raises :class:`BadOption`, :class:`PathNotAllowed`.
    """
    text, content, name = (_take(request, tensor) for tensor in ("OPTIONS", "VIDEO", "PATH"))
    if (content is None) == (name is None):
        raise BadOption("give either VIDEO or PATH")
    if text is not None and len(text) > MAX_OPTIONS_BYTES:
        raise BadOption(f"OPTIONS has {len(text)} bytes, more than the {MAX_OPTIONS_BYTES} that it may have")
    video = content if content is not None else _named(os.fsdecode(name or b""), media_root)
    return Source(video), Options.from_json(text) if text else Options()


def seconds_waited(request: Any, now: float) -> float:
    """Return how long ago a request arrived, where a proxy said when; 0 where none did, or in the future.

    Triton itself tells a model neither the arrival nor the time in its queue. A caller that sends the parameter itself
    moves its own deadline alone, and only forward.
    """
    try:
        return max(0.0, now - float(str(json.loads(request.parameters() or "{}")[ARRIVED])))
    except (ValueError, TypeError, KeyError):
        return 0.0


def priority(request: Any) -> int:
    """Return a request's priority, of which Triton tells a model nothing: by its options, which stay where they are."""
    tensor = pb.get_input_tensor_by_name(request, "OPTIONS")
    try:
        text = bytes(tensor.as_numpy().reshape(-1)[0]) if tensor is not None else b"{}"
        return PRIORITIES[Options.from_json(text[: MAX_OPTIONS_BYTES + 1] or b"{}").priority]
    except (BadOption, IndexError):  # it is refused when it is read
        return PRIORITIES["interactive"]


def is_empty(request: Any) -> bool:
    """Return whether a request's video is empty, as the supervisor's probes are."""
    tensor = pb.get_input_tensor_by_name(request, "VIDEO")
    return tensor is not None and not any(tensor.as_numpy().reshape(-1))


def _take(request: Any, name: str) -> bytes | None:
    """Return a tensor's one element, and leave an empty one in its place."""
    tensor = pb.get_input_tensor_by_name(request, name)
    if tensor is None:
        return None
    values = tensor.as_numpy().reshape(-1)
    if len(values) != 1:
        raise BadOption(f"{name} holds one element, got {len(values)}")
    content = bytes(values[0])
    values[0] = b""
    return content


def _named(name: str, media_root: Path | None) -> FileBelow:
    if media_root is None:
        raise PathNotAllowed("this server reads no files by name; send the video, or set VERACITY_MEDIA_ROOT there")
    return FileBelow(media_root, name)
