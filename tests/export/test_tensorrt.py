"""TensorRT as far as a machine without a GPU goes; what needs one is marked so."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny_models
import tritonclient.grpc as grpc
from conftest import REPOSITORY
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from server_models import OPEN, make_repository

from export import tensorrt
from export.__main__ import main
from veracity.catalog import MODELS, Model
from veracity.catalog import tensorrt as engines
from veracity.install.graphs.publish import ExportError, publish, sha256, write_model
from veracity.server import Server, accelerators
from veracity.server.repository import read
from veracity.settings import Settings
from veracity_client import Detector, Options
from veracity_client.errors import ServerUnavailable

GRAPH = REPOSITORY / "audio_starter" / "1" / "model.onnx"
WITHOUT_GPU = pytest.mark.skipif(bool(engines.gpus()), reason="this machine has a GPU")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One with the committed audio starter, and nothing else."""
    shutil.copytree(REPOSITORY / "audio_starter", tmp_path / "repository" / "audio_starter")
    return tmp_path / "repository"


@pytest.mark.parametrize("model", [m for m in MODELS.values() if m.layer], ids=lambda m: m.name)
def test_a_profile_is_the_tables(model: Model) -> None:
    shapes = tensorrt.profile(model)
    assert list(shapes) == [tensor.name for tensor in model.inputs]
    for tensor, (least, usual, most) in zip(model.inputs, shapes.values()):
        assert (least, usual, most) == tuple((b, *tensor.shape) for b in (1, model.request_items, model.max_batch))
        assert least <= usual <= most


def test_samples_become_int32_and_the_answers_stay(repository: Path) -> None:
    made = tensorrt.retyped(GRAPH.read_bytes())
    (given,) = onnxruntime.InferenceSession(made).get_inputs()
    assert given.type == "tensor(int32)"
    case = {"WAVEFORM": np.random.default_rng(0).integers(-32_768, 32_768, (2, 64_600)).astype(np.int16)}
    new = onnxruntime.InferenceSession(made).run(None, dict(engines.taken(case, "tensorrt")))
    old = onnxruntime.InferenceSession(GRAPH).run(None, case)
    assert np.array_equal(new[0], old[0])


def test_pixels_become_floats_before_anything_else() -> None:  # cutting and turning bytes is what TensorRT cannot
    nodes = [
        helper.make_node("Slice", ["FACE", "from", "to", "axis"], ["cut"]),
        helper.make_node("Transpose", ["cut"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "sides"], ["OUT"], keepdims=0),
    ]
    held = {"from": [4], "to": [9], "axis": [1], "sides": [2, 3]}
    graph = helper.make_graph(
        nodes,
        "cutting",
        [helper.make_tensor_value_info("FACE", TensorProto.UINT8, ["batch", 16, 16, 3])],
        [helper.make_tensor_value_info("OUT", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.array(values, np.int64), name) for name, values in held.items()],
    )
    before = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()
    after = tensorrt.retyped(before)
    model = onnx.load_from_string(after)
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    assert [n.op_type for n in model.graph.node if "FACE" in n.input] == ["Cast"]
    case = {"FACE": np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)}
    (new,), (old,) = ((onnxruntime.InferenceSession(g).run(None, case)) for g in (after, before))
    assert np.array_equal(new, old)


def test_only_engines_take_int32() -> None:
    case: dict[str, NDArray[Any]] = {"SOUND": np.ones((1, 4), np.int16), "FACES": np.ones((1, 4), np.uint8)}
    for config in ("", "trt_ep"):
        assert engines.taken(case, config) is case
    made = engines.taken(case, "tensorrt")
    assert {name: array.dtype for name, array in made.items()} == {"SOUND": np.int32, "FACES": np.uint8}
    assert engines.dtype(MODELS["audio_starter"].input, "tensorrt") == "INT32"
    assert engines.dtype(MODELS["audio_starter"].input, "trt_ep") == "INT16"


@WITHOUT_GPU
def test_the_command_names_all_that_is_missing_before_any_work(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(repository)
    assert main(["audio_starter", "--format", "tensorrt", "--repository", str(repository)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("export: ExportError: a TensorRT engine is built on the GPU that runs it")
    assert "an NVIDIA GPU with its driver" in line
    assert "pip install tensorrt-cu12 polygraphy" in line
    assert files(repository) == before


def test_an_engine_of_int8_is_refused(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["audio_starter", "--format", "tensorrt", "--precision", "int8", "--repository", str(repository)]
    assert main(asked) == 1
    assert "int8 is for CPUs" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_face_detector_has_no_other_precision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], precision: str
) -> None:
    assert main(["face_detector", "--precision", precision, "--repository", str(tmp_path)]) == 1
    assert f"face_detector is fp32 only, got {precision}" in capsys.readouterr().err
    assert not files(tmp_path)


def test_an_engine_is_made_of_a_proven_fp32_graph_alone(repository: Path) -> None:
    model, folder = MODELS["audio_starter"], repository / "audio_starter"
    graph, facts = tensorrt.installed(model, folder)
    assert facts["graph_sha256"] == sha256(graph)
    provenance = folder / "provenance.json"
    provenance.write_text(json.dumps(facts | {"precision": "fp16"}))
    with pytest.raises(ExportError, match="installed graph is fp16"):
        tensorrt.installed(model, folder)
    provenance.write_text(json.dumps(facts | {"graph_sha256": "0" * 64}))
    with pytest.raises(ExportError, match="does not match its provenance"):
        tensorrt.installed(model, folder)
    with pytest.raises(ExportError, match="python -m export audio_aasist"):
        tensorrt.installed(MODELS["audio_aasist"], repository / "audio_aasist")
    with pytest.raises(ExportError, match="stays with ONNX Runtime"):
        tensorrt.installed(MODELS["face_detector"], REPOSITORY / "face_detector")


def test_a_new_graph_takes_the_old_ones_engine_away(repository: Path) -> None:
    folder = repository / "audio_starter"
    write_model(folder, {Path("1", engines.PLAN): b"an engine"}, {"engine": {}})
    assert (folder / "1" / engines.PLAN).read_bytes() == b"an engine"
    publish(GRAPH.read_bytes(), folder, {"source": "test"}, ["numpy"])
    assert [one.name for one in (folder / "1").iterdir()] == ["model.onnx"]
    assert "engine" not in json.loads((folder / "provenance.json").read_text())


@WITHOUT_GPU
@pytest.mark.parametrize("config", ["tensorrt", "trt_ep"])
def test_a_server_without_a_gpu_refuses_and_starts_nothing(repository: Path, config: str) -> None:
    said: list[bytes] = []
    settings = Settings(model_repository=repository, model_config=config)
    server = Server.from_settings(settings, log_sink=said.append)
    with pytest.raises(ServerUnavailable, match=rf"VERACITY_MODEL_CONFIG={config} needs an NVIDIA GPU .* and a triton"):
        server.start()
    assert not said


def test_a_server_without_the_backend_says_so(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailable, match=r"tensorrt/libtriton_tensorrt\.so \(NVIDIA's image has it"):
        accelerators.check("tensorrt", tmp_path)
    accelerators.check("", tmp_path)  # models as they are need nothing


@pytest.fixture
def chosen(tmp_path: Path) -> Iterator[Server]:
    """A real server told to use configs/small.pbtxt, which only one of its models has."""
    models = make_repository(tmp_path)
    text = (models / "double" / "config.pbtxt").read_text()
    (models / "double" / "configs").mkdir()
    (models / "double" / "configs" / "small.pbtxt").write_text(
        text.replace("max_batch_size: 8", "max_batch_size: 3").replace("[ 8 ]", "[ 2 ]")
    )
    with Server(models, access=OPEN, models=["double", "deepfake_detector"], model_config="small") as server:
        yield server


@pytest.mark.triton
def test_a_model_with_such_a_config_uses_it_and_the_others_their_own(chosen: Server) -> None:
    assert {name: state.state for name, state in chosen.models.items()} == dict.fromkeys(chosen.models, "ready")
    with grpc.InferenceServerClient(chosen.grpc_url) as client:
        sizes = {name: client.get_model_config(name).config.max_batch_size for name in chosen.models}
    assert sizes == {"double": 3, "deepfake_detector": 0}


@pytest.fixture
def wide(tmp_path: Path, full_repository: Path) -> Iterator[Server]:
    """A server whose detector believes in engines, and whose voice model takes INT32, computed by ONNX Runtime."""
    models = tmp_path / "models"
    for name in ("audio_starter", "face_detector", "deepfake_detector", "deepfake_detector_stream"):
        shutil.copytree(full_repository / name, models / name)
    folder = models / "audio_starter"
    (folder / "1" / "wide.onnx").write_bytes(tensorrt.retyped(GRAPH.read_bytes()))
    text = (folder / "configs" / "tensorrt.pbtxt").read_text()
    for engine, here in (
        ('platform: "tensorrt_plan"', ""),
        ('"tensorrt"', '"onnxruntime"'),
        (engines.PLAN, "wide.onnx"),
        ("KIND_GPU", "KIND_CPU"),
    ):
        assert engine in text
        text = text.replace(engine, here)
    (folder / "configs" / "wide.pbtxt").write_text(text)
    settings = Settings(model_repository=models)
    believing = settings.replace(model_config="tensorrt").to_env()
    with Server.from_settings(settings, model_config="wide", env=believing) as server:
        yield server


@pytest.mark.slow
@pytest.mark.triton
def test_a_detector_widens_the_samples_for_an_engine(wide: Server, server: Server, talking: Path) -> None:
    with wide.sockets.connect() as client:
        (given,) = client.get_model_config("audio_starter").config.input
    assert grpc.model_config_pb2.DataType.Name(given.data_type) == "TYPE_INT32"
    found = [heard(one, talking) for one in (wide, server)]
    assert found[0] == pytest.approx(found[1], abs=2e-3)


def heard(server: Server, video: Path) -> float | None:
    with Detector(server.grpc_url) as detector:
        result = detector.analyze(video, Options(policy="exhaustive")).layer_results["1_audio"]
    assert result.status == "scored", result.reason
    return result.fake_probability


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_engine_is_built_compared_and_written(repository: Path, precision: str) -> None:
    try:
        tensorrt.require()
    except ExportError as error:
        pytest.skip(error.message)
    args = argparse.Namespace(repository=repository, weights=Settings().weights, clip=None, precision=precision)
    tensorrt.export("audio_starter", args)
    folder = repository / "audio_starter"
    engine = json.loads((folder / "provenance.json").read_text())["engine"]
    assert engine["plan_sha256"] == sha256((folder / "1" / engines.PLAN).read_bytes())
    assert engine["precision"] == precision


def test_a_plan_counts_as_installed(tmp_path: Path) -> None:
    tiny_models.install(tmp_path, "audio_aasist")
    (tmp_path / "audio_aasist" / "1" / "model.onnx").rename(tmp_path / "audio_aasist" / "1" / engines.PLAN)
    (tmp_path / "audio_aasist" / "config.pbtxt").touch()
    assert read(tmp_path).children == ("audio_aasist",)
