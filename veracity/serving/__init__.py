"""What Triton loads: the only room that imports ``triton_python_backend_utils``."""

from __future__ import annotations

from veracity.serving.detector import Detector, DetectorStream

__all__ = ["Detector", "DetectorStream"]
