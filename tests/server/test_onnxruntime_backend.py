"""How our backend for ONNX Runtime runs a batch."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import tritonclient.grpc as grpc
from onnx import TensorProto, helper
from server_models import OPEN

from veracity.server import Server

CONFIG = """
backend: "onnxruntime"
max_batch_size: 8
input [{ name: "X" data_type: TYPE_FP32 dims: [ 1 ] }]
output [{ name: "X_AND_RUN" data_type: TYPE_FP32 dims: [ 2 ] }]
"""


def write_counter(folder: Path, config: str) -> None:
    """A graph that answers each item with itself and with how many items its run had."""
    nodes = [
        helper.make_node("Shape", ["X"], ["shape"], end=1),
        helper.make_node("Cast", ["shape"], ["items"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["X", "zero"], ["zeros"]),
        helper.make_node("Add", ["zeros", "items"], ["run"]),
        helper.make_node("Concat", ["X", "run"], ["X_AND_RUN"], axis=1),
    ]
    made = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", w]) for n, w in (("X", 1), ("X_AND_RUN", 2))]
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])
    graph = helper.make_graph(nodes, "counter", made[:1], made[1:], [zero])
    (folder / "1").mkdir(parents=True)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "1/model.onnx"
    )
    (folder / "config.pbtxt").write_text(CONFIG + config)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("models")
    write_counter(root / "usual", "")
    write_counter(root / "three", 'parameters { key: "items_at_once" value { string_value: "3" } }')
    write_counter(root / "none", 'parameters { key: "items_at_once" value { string_value: "0" } }')
    with Server(root, access=OPEN) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator["grpc.InferenceServerClient"]:
    with grpc.InferenceServerClient(server.grpc_url) as made:
        yield made


@pytest.mark.triton
@pytest.mark.parametrize(("model", "runs"), [("usual", [2, 2, 2, 2, 2, 2, 1]), ("three", [3, 3, 3, 3, 3, 3, 1])])
def test_a_run_has_two_items_or_as_many_as_the_config_says(
    client: "grpc.InferenceServerClient", model: str, runs: list[int]
) -> None:
    rows = np.arange(7, dtype=np.float32)[:, None]
    x = grpc.InferInput("X", [7, 1], "FP32")
    x.set_data_from_numpy(rows)
    answers = client.infer(model, [x]).as_numpy("X_AND_RUN")
    assert answers[:, 0].tolist() == rows[:, 0].tolist()
    assert answers[:, 1].tolist() == runs


@pytest.mark.triton
def test_a_config_that_runs_nothing_is_refused(server: Server) -> None:
    assert "items_at_once of the config is 1 or more, not 0" in server.models["none"].reason
