"""The deadline of a request holds in the queues of the models that its detector calls."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from server_models import OPEN, PYTHON_CONFIG, ask_slow, eventually, write_python
from tritonclient.utils import InferenceServerException

from veracity.server import Server

SECONDS = 3.0  # that the called model takes for one request
# Named as one of ours, since the detectors know the outputs of those alone.
CALLED = f"""
import os, time, uuid
import numpy as np
import triton_python_backend_utils as pb
class TritonPythonModel:
    def execute(self, requests):
        for _ in requests:
            open(os.environ["BUSY_FOLDER"] + "/" + uuid.uuid4().hex, "w").close()
            time.sleep({SECONDS} * (pb.get_input_tensor_by_name(requests[0], "WAVEFORM").as_numpy().size == 2))
        return [pb.InferenceResponse([pb.Tensor("FAKE_LOGIT", np.zeros((1, 1), np.float32))]) for _ in requests]
"""
CALLED_CONFIG = """
backend: "python"
max_batch_size: 1
input [{ name: "WAVEFORM" data_type: TYPE_INT16 dims: [ -1 ] }]
output [{ name: "FAKE_LOGIT" data_type: TYPE_FP32 dims: [ 1 ] }]
instance_group [{ kind: KIND_CPU count: 1 }]
dynamic_batching { default_queue_policy {
  timeout_action: REJECT default_timeout_microseconds: 60000000 allow_timeout_override: true
} }
"""
CALLER = """
import asyncio
from pathlib import Path
import numpy as np
import triton_python_backend_utils as pb
from veracity.analysis.deadline import within
from veracity.serving.bls import BlsInfer
class TritonPythonModel:
    async def execute(self, requests):
        return await asyncio.gather(*map(self.answer, requests))
    async def answer(self, request):
        seconds = float(pb.get_input_tensor_by_name(request, "VIDEO").as_numpy()[0] or 0)
        try:
            with within(seconds):
                seconds and await BlsInfer(Path("nowhere"))("audio_starter", {"WAVEFORM": np.zeros((1, 2), np.int16)})
        except Exception as error:
            return pb.InferenceResponse([], pb.TritonError(str(error)))
        return pb.InferenceResponse([pb.Tensor("VERDICT", np.array([b"answered"], object))])
"""


@pytest.mark.triton
def test_a_request_whose_time_is_up_is_not_worked_on(tmp_path: Path) -> None:
    write_python(tmp_path / "models/audio_starter", CALLED, CALLED_CONFIG)
    write_python(tmp_path / "models/caller", CALLER, PYTHON_CONFIG + "instance_group [{ kind: KIND_CPU count: 2 }]")
    begun = tmp_path / "begun"
    begun.mkdir()
    server = Server(tmp_path / "models", access=OPEN, canary_seconds=60, env={"BUSY_FOLDER": str(begun)})
    with server, ThreadPoolExecutor(2) as pool:
        before = len(list(begun.iterdir()))
        first = pool.submit(ask_slow, server.grpc_url, "caller", 60.0)
        eventually(lambda: len(list(begun.iterdir())) == before + 1)
        with pytest.raises(InferenceServerException, match="more work than it can take"):
            ask_slow(server.grpc_url, "caller", SECONDS / 3)
        assert first.result() == b"answered"
        assert ask_slow(server.grpc_url, "caller", 60.0) == b"answered"
        assert len(list(begun.iterdir())) == before + 2
