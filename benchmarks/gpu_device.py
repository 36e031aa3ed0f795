"""The device that networks run on: its name and versions, the memory in use, and ffmpeg's decoding on it."""

from __future__ import annotations

import ctypes
import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil

from veracity.analysis.local_infer import CPU, CUDA
from veracity.media import find_ffmpeg
from veracity_client.errors import VeracityError

PROVIDERS = {"cuda": CUDA, "cpu": CPU}
MIB, MB = 2**20, 10**6


def facts(provider: str) -> dict[str, Any]:
    """Return the GPU's name, memory and driver, and the newest CUDA that the driver knows; nothing of a CPU."""
    if provider == "cpu":
        return {}
    name, driver, mib = _asked("name,driver_version,memory.total").split(", ")
    cuda = ctypes.c_int()
    ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(cuda))  # 1000 × major + 10 × minor
    newest = f"{cuda.value // 1000}.{cuda.value % 1000 // 10}"
    return {"gpu": name, "driver": driver, "cuda": newest, "gpu_memory_mb": round(float(mib) * MIB / MB)}


def used_mb(provider: str) -> float:
    """Return the memory in use: on the device, by all processes, so that it must be otherwise idle; of this process."""
    if provider == "cpu":
        return float(psutil.Process().memory_info().rss) / MB
    return float(_asked("memory.used")) * MIB / MB


def _asked(fields: str) -> str:
    """Return what the driver's own program says of the first GPU that CUDA programs see."""
    index = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    command = ["nvidia-smi", f"--id={index}", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise VeracityError(f"nvidia-smi says nothing of GPU {index}: {error}") from None
    said = done.stdout.strip()
    if "N/A" in said:
        raise VeracityError(f"nvidia-smi does not know {fields} of GPU {index}: {said}")
    return said


def decode(clip: Path, rounds: int) -> dict[str, Any]:
    """Return the seconds of ffmpeg's decode of the clip to null: on the CPU; on NVDEC, or why not."""
    ffmpeg = str(find_ffmpeg(None))
    cpu = statistics.median(_decoded(ffmpeg, clip) for _ in range(rounds))
    try:
        _decoded(ffmpeg, clip, "-hwaccel", "cuda")
        nvdec = statistics.median(_decoded(ffmpeg, clip, "-hwaccel", "cuda") for _ in range(rounds))
    except VeracityError as error:
        return {"cpu_seconds": round(cpu, 3), "nvdec": error.message}
    return {"cpu_seconds": round(cpu, 3), "nvdec_seconds": round(nvdec, 3)}


def _decoded(ffmpeg: str, clip: Path, *options: str) -> float:
    """Raise VeracityError with ffmpeg's words: where it cannot use a device it says so, and takes the CPU."""
    began = time.perf_counter()
    command = [ffmpeg, "-nostdin", "-v", "error", *options, "-i", str(clip), "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if said := done.stderr.strip():
        raise VeracityError(f"ffmpeg: {said.splitlines()[-1]}")
    return time.perf_counter() - began
