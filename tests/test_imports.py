"""What may import what, tried in a fresh interpreter."""

import subprocess
import sys

import pytest

PROTOBUF = "ignore:Type google._upb:DeprecationWarning"  # protobuf 4 on Python 3.12, which tritonclient wants
BOUNDARIES = {
    "veracity_client": ("numpy", "tritonclient", "grpc", "rich", "veracity"),
    "veracity_client.cli": ("numpy", "tritonclient", "grpc", "veracity"),
    "veracity.analysis.pipeline": ("torch", "tritonclient", "onnx"),
    "veracity.cli; veracity.cli.parser()": ("torch", "onnxruntime", "cv2", "tritonclient", "grpc", "pydantic"),
    "veracity.server": ("torch", "cv2"),
    "veracity.server.readiness": ("torch", "onnxruntime", "cv2"),
}


@pytest.mark.parametrize("module", BOUNDARIES)
def test_a_module_does_not_drag_in(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", PROTOBUF, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not set(BOUNDARIES[module]) & set(done.stdout.split())
