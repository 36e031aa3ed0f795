"""Check before the start that a tritonserver can serve the configuration that the settings name."""

from __future__ import annotations

from pathlib import Path

from veracity.catalog.tensorrt import TENSORRT, TRT_EP, gpus
from veracity_client.errors import ServerUnavailable

LIBRARIES = {TENSORRT: "tensorrt/libtriton_tensorrt.so", TRT_EP: "onnxruntime/libtriton_onnxruntime.so"}  # of backends


def check(model_config: str, backends: Path) -> None:
    """Raise :class:`ServerUnavailable` that names what ``VERACITY_MODEL_CONFIG`` needs and this machine lacks."""
    if model_config not in LIBRARIES:
        return
    missing = []
    if not gpus():
        missing.append("an NVIDIA GPU with its driver")
    if not (backends / LIBRARIES[model_config]).is_file():
        missing.append(f"a tritonserver with {LIBRARIES[model_config]} (NVIDIA's image has it, the pip wheel does not)")
    if missing:
        raise ServerUnavailable(
            f"VERACITY_MODEL_CONFIG={model_config} needs {' and '.join(missing)}; "
            "without this setting the models run on ONNX Runtime"
        )
