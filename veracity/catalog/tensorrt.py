"""What TensorRT needs to know of this machine, and what its engines take: they have no 16 bit integers."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veracity.catalog import Tensor

TENSORRT, TRT_EP = "tensorrt", "trt_ep"  # of Settings.model_config: engines; ONNX graphs through TensorRT
PLAN = "model.plan"  # an engine's file


def dtype(tensor: Tensor, model_config: str = "") -> str:
    """Return the type that a model takes a tensor in, by Triton's name; an engine takes samples as INT32."""
    return "INT32" if model_config == TENSORRT and tensor.dtype == "INT16" else tensor.dtype


def taken(inputs: Mapping[str, NDArray[Any]], model_config: str) -> Mapping[str, NDArray[Any]]:
    """Return inputs of the table's types as a model of that configuration takes them, by the rule of :func:`dtype`."""
    if model_config != TENSORRT:
        return inputs
    return {n: array.astype(np.int32) if array.dtype == np.int16 else array for n, array in inputs.items()}


def gpus() -> list[str]:
    """Return the names of the NVIDIA GPUs that CUDA programs of this process can use."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")  # the driver's own; no package brings it
    except OSError:
        return []
    count = ctypes.c_int()
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return []
    return [_name(cuda, index) for index in range(count.value)]


def _name(cuda: ctypes.CDLL, index: int) -> str:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    cuda.cuDeviceGet(ctypes.byref(device), index)
    cuda.cuDeviceGetName(name, len(name), device)
    return name.value.decode()
