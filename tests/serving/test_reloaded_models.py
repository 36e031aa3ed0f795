"""An analysis waits for a model that died over its request while the supervisor brings it back, and no longer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from server_models import OPEN, ask_slow, write_python

from veracity.server import Server

DEATHS = 3
NOTICE_SECONDS = 2.0  # of the caller: less than the deaths take together
# Named as one of ours, since the detectors know the outputs of those alone. Of its requests those with two samples are
# its callers', and it dies over the first of them, after a while in which it worked.
CALLED = f"""
import os, signal, time, uuid
from pathlib import Path
import numpy as np
import triton_python_backend_utils as pb
FOLDER = Path(os.environ["DEATHS_FOLDER"])
class TritonPythonModel:
    def initialize(self, args):
        if (FOLDER / "for good").exists():
            raise RuntimeError("broken")
    def execute(self, requests):
        for request in requests:
            if pb.get_input_tensor_by_name(request, "WAVEFORM").as_numpy().size == 2:
                (FOLDER / uuid.uuid4().hex).touch()
                if len(list(FOLDER.iterdir())) <= {DEATHS}:
                    time.sleep(2.5)
                    os.kill(os.getpid(), signal.SIGKILL)
        return [pb.InferenceResponse([pb.Tensor("FAKE_LOGIT", np.zeros((1, 1), np.float32))]) for _ in requests]
"""
CALLED_CONFIG = """
backend: "python"
max_batch_size: 1
input [{ name: "WAVEFORM" data_type: TYPE_INT16 dims: [ -1 ] }]
output [{ name: "FAKE_LOGIT" data_type: TYPE_FP32 dims: [ 1 ] }]
instance_group [{ kind: KIND_CPU count: 1 }]
"""
CALLER = f"""
from pathlib import Path
import numpy as np
import triton_python_backend_utils as pb
from veracity.serving import bls
bls.NOTICE_SECONDS = {NOTICE_SECONDS}
class TritonPythonModel:
    def initialize(self, args):
        self.infer = bls.BlsInfer(Path(args["model_repository"]).parent)
    async def execute(self, requests):
        return [await self.answer(request) for request in requests]
    async def answer(self, request):
        asked = pb.get_input_tensor_by_name(request, "VIDEO").as_numpy()[0]
        said = b""
        try:
            if asked:
                await self.infer("audio_starter", {{"WAVEFORM": np.zeros((1, 2), np.int16)}})
                said = self.infer.state("audio_starter").encode()
        except Exception as error:
            said = str(error).encode() + b": " + self.infer.state("audio_starter").encode()
        return pb.InferenceResponse([pb.Tensor("VERDICT", np.array([said], object))])
"""


@pytest.fixture
def deaths(tmp_path: Path) -> Path:
    folder = tmp_path / "deaths"
    folder.mkdir()
    return folder


@pytest.fixture
def server(tmp_path: Path, deaths: Path) -> Iterator[Server]:
    write_python(tmp_path / "models/audio_starter", CALLED, CALLED_CONFIG)
    (tmp_path / "models/audio_starter/1/model.onnx").touch()  # its weights are here
    write_python(tmp_path / "models/caller", CALLER)
    with Server(tmp_path / "models", access=OPEN, canary_seconds=60, env={"DEATHS_FOLDER": str(deaths)}) as running:
        yield running


def ask(server: Server) -> str:
    return ask_slow(server.grpc_url, "caller", 1.0).decode()


@pytest.mark.triton
def test_a_model_that_dies_again_and_again_is_waited_for_each_time(server: Server, deaths: Path) -> None:
    assert ask(server) == "ready"
    assert len(list(deaths.iterdir())) == DEATHS + 1


@pytest.mark.triton
def test_a_model_that_stays_down_is_reported_as_soon_as_it_is_given_up(
    server: Server, deaths: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("veracity.server.models.QUICK_ATTEMPTS", 2)  # of which the second comes after a second
    (deaths / "for good").touch()
    for _ in range(2):
        assert ask(server) == "audio_starter does not answer: down"
    assert "given up" in server.models["audio_starter"].reason
