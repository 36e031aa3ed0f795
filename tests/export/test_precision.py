"""What fp16 and int8 may do to a graph, on small graphs made for the purpose; answers come from ONNX Runtime."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export import fp16, precision
from veracity.catalog import MODELS, Model
from veracity.catalog.layers import WINDOW_SAMPLES
from veracity.install.graphs.publish import ExportError

AUDIO = MODELS["audio_aasist"]
FACES = MODELS["visual_sbi_b4"]
WIDTH = 8

Step = tuple[str, list[str], str, dict[str, Any]]  # op, inputs, output, attributes


def graph(steps: list[Step], constants: dict[str, NDArray[Any]], model: Model = AUDIO) -> bytes:
    """A graph from the model's input to FAKE_LOGIT."""
    nodes = [helper.make_node(op, given, [out], f"made_{out}", **more) for op, given, out, more in steps]
    given = model.input
    kind = {"INT16": TensorProto.INT16, "UINT8": TensorProto.UINT8}[given.dtype]
    inputs = [helper.make_tensor_value_info(given.name, kind, ["batch", *given.shape])]
    outputs = [helper.make_tensor_value_info("FAKE_LOGIT", TensorProto.FLOAT, ["batch", 1])]
    held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    made = helper.make_model(
        helper.make_graph(nodes, "small", inputs, outputs, held),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )
    onnx.checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString())


def voice(gain: float = 3_000.0) -> list[dict[str, NDArray[Any]]]:
    rng = np.random.default_rng(3)
    return [{"WAVEFORM": (gain * rng.standard_normal((2, WINDOW_SAMPLES))).clip(-32_768, 32_767).astype(np.int16)}] * 2


def floats(*values: float) -> NDArray[np.float32]:
    return np.array(values if len(values) > 1 else values[0], np.float32)


def a_norm(epsilon: float = 1e-7) -> bytes:
    """Samples → features → a layer norm in pieces → softmax → logit."""
    rng = np.random.default_rng(1)
    steps: list[Step] = [
        ("Cast", ["WAVEFORM"], "float", {"to": TensorProto.FLOAT}),
        ("Div", ["float", "full"], "scaled", {}),
        ("MatMul", ["scaled", "filters"], "features", {}),
        ("MatMul", ["features", "mix"], "mixed", {}),
        ("ReduceMean", ["mixed", "last"], "mean", {}),
        ("Sub", ["mixed", "mean"], "centred", {}),
        ("Pow", ["centred", "two"], "squares", {}),
        ("ReduceMean", ["squares", "last"], "variance", {}),
        ("Add", ["variance", "epsilon"], "safe", {}),
        ("Sqrt", ["safe"], "deviation", {}),
        ("Div", ["centred", "deviation"], "normal", {}),
        ("Softmax", ["normal"], "shares", {"axis": -1}),
        ("MatMul", ["shares", "head"], "FAKE_LOGIT", {}),
    ]
    constants: dict[str, NDArray[Any]] = {
        "full": floats(32_768.0),
        "filters": (0.1 * rng.standard_normal((WINDOW_SAMPLES, WIDTH))).astype(np.float32),
        "mix": rng.standard_normal((WIDTH, WIDTH)).astype(np.float32),
        "last": np.array([-1], np.int64),
        "two": floats(2.0),
        "epsilon": floats(epsilon),
        "head": rng.standard_normal((WIDTH, 1)).astype(np.float32),
    }
    return graph(steps, constants)


def cancelling(size: float) -> bytes:
    """The mean sample, lifted by ``size`` and lowered again: what fp16 makes of that is its step at ``size``."""
    steps: list[Step] = [
        ("Cast", ["FACE"], "float", {"to": TensorProto.FLOAT}),
        ("ReduceMean", ["float", "sides"], "mean", {"keepdims": 0}),
        ("Mul", ["mean", "tenth"], "small", {}),
        ("Neg", ["small"], "turned", {}),
        ("Add", ["turned", "size"], "lifted", {}),
        ("Relu", ["lifted"], "held", {}),
        ("Sub", ["held", "size"], "flat", {}),
        ("Unsqueeze", ["flat", "column"], "FAKE_LOGIT", {}),
    ]
    constants: dict[str, NDArray[Any]] = {
        "sides": np.array([1, 2, 3], np.int64),
        "tenth": floats(0.0137),
        "size": floats(size),
    }
    return graph(steps, constants | {"column": np.array([1], np.int64)}, FACES)


def faces() -> list[dict[str, NDArray[Any]]]:
    return [{"FACE": np.random.default_rng(2).integers(0, 255, (2, 380, 380, 3), np.uint8)}]


def types(made: bytes) -> dict[str, int]:
    return fp16.tensor_types(onnx.shape_inference.infer_shapes(onnx.load_from_string(made)))


def test_fp32_is_the_graph_itself() -> None:
    assert precision.convert(b"any", "fp32", AUDIO, []) == (b"any", {"precision": "fp32"})


def test_fp16_keeps_the_inputs_the_front_end_the_norm_and_the_softmax_in_fp32() -> None:
    made, facts = precision.convert(a_norm(), "fp16", AUDIO, voice())
    model = onnx.load_from_string(made)
    found = types(made)
    assert (found["WAVEFORM"], found["FAKE_LOGIT"]) == (TensorProto.INT16, TensorProto.FLOAT)
    for node in model.graph.node:
        if node.op_type in {"Div", "Sub", "Pow", "ReduceMean", "Add", "Sqrt", "Softmax"}:
            assert found[node.output[0]] == TensorProto.FLOAT, node.op_type
    first, *_, last = (node for node in model.graph.node if node.op_type == "MatMul")
    assert found[first.output[0]] == TensorProto.FLOAT
    assert found[last.output[0]] == TensorProto.FLOAT16
    assert sum(node.op_type == "Cast" for node in model.graph.node) == 6, "a cast too many rounds between fp32 nodes"
    weights = {w.name: w.data_type for w in onnx.load_from_string(made).graph.initializer}
    assert weights["filters"] == TensorProto.FLOAT
    assert weights["head"] == TensorProto.FLOAT16
    assert facts["precision"] == "fp16"
    assert 0 < facts["largest_drift"] <= precision.FP16_DRIFT


def test_a_halved_graph_answers_as_its_provenance_say() -> None:
    before, case = a_norm(), voice()[0]
    made, facts = precision.convert(before, "fp16", AUDIO, [case])
    (new,), (old,) = ((onnxruntime.InferenceSession(g).run(None, case)) for g in (made, before))
    assert np.max(np.abs(new - old)) <= facts["largest_drift"]


def test_numbers_that_fp16_cannot_hold_stay_fp32() -> None:
    source = fp16.named(cancelling(100_000.0))
    kept = {name.split("/")[1] for name in fp16.kept(source, faces())}
    assert kept == {"Add", "Relu", "Sub"}
    _, facts = precision.convert(cancelling(100_000.0), "fp16", FACES, faces())
    assert facts["largest_drift"] <= precision.FP16_DRIFT


def test_a_drift_that_the_cpu_does_not_show_is_seen_and_refused() -> None:
    before, case = cancelling(30_000.0), faces()[0]
    source = fp16.named(before)
    fast = fp16.to_fp16(source, fp16.kept(source, [case])).SerializeToString()
    (new,), (old,) = ((onnxruntime.InferenceSession(g).run(None, case)) for g in (fast, before))
    assert np.max(np.abs(new - old)) < 1.0, "ONNX Runtime began to round between nodes: rounded() may go"
    with pytest.raises(ExportError, match=r"visual_sbi_b4: fp16 moves real items by \d.* logit; 0.05 is allowed"):
        precision.convert(before, "fp16", FACES, [case])


def test_only_real_items_count_for_the_drift() -> None:
    loud, quiet = voice(20_000.0)[0], {"WAVEFORM": np.zeros((1, WINDOW_SAMPLES), np.int16)}
    drifts = [precision.convert(a_norm(), "fp16", AUDIO, [loud, last])[1]["largest_drift"] for last in (loud, quiet)]
    assert drifts[0] != drifts[1]


@pytest.mark.parametrize(
    ("times", "accepted"), [([1.0, 0.5], True), ([1.0, 0.95], False), ([1.0, 1.4], False)], ids=lambda t: str(t)
)
def test_int8_is_offered_only_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, times: list[float], accepted: bool
) -> None:
    monkeypatch.setattr(precision, "seconds", lambda *_: times)  # a clock would make this test a gamble
    if accepted:
        made, facts = precision.convert(a_norm(), "int8", AUDIO, voice())
        assert len(made) < len(a_norm()) / 3
        assert facts["seconds_an_item"] == {"fp32": 1.0, "int8": 0.5}
        assert 0 < facts["largest_drift"] <= precision.INT8_DRIFT
    else:
        with pytest.raises(ExportError, match=rf"{times[1]:.2f} of fp32's time .* move by 0\.\d+ logit"):
            precision.convert(a_norm(), "int8", AUDIO, voice())


def test_int8_that_moves_a_logit_is_refused_however_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "seconds", lambda *_: [1.0, 0.1])
    uneven = np.full((WINDOW_SAMPLES, 1), 1e-3, np.float32)
    uneven[0] = 10.0  # one weight takes the whole scale; the others round to nothing
    steps: list[Step] = [
        ("Cast", ["WAVEFORM"], "float", {"to": TensorProto.FLOAT}),
        ("Div", ["float", "full"], "scaled", {}),
        ("MatMul", ["scaled", "uneven"], "FAKE_LOGIT", {}),
    ]
    case = {"WAVEFORM": np.full((1, WINDOW_SAMPLES), 9_000, np.int16)}
    with pytest.raises(ExportError, match=r"int8 is not worth having: 0\.10 of fp32's time"):
        precision.convert(graph(steps, {"full": floats(32_768.0), "uneven": uneven}), "int8", AUDIO, [case])


def test_both_graphs_are_timed_in_one_run() -> None:
    assert all(0 < took < 60 for took in precision.seconds([a_norm(), a_norm()], voice()[0]))


def test_a_model_without_a_logit_counts_all_its_outputs() -> None:
    assert precision.counted(MODELS["lipsync_syncnet"]) == ["FACES_EMBEDDING", "SOUND_EMBEDDING"]
    assert precision.counted(FACES) == ["FAKE_LOGIT"]
    large = np.array([[100.0, 0.0]])
    assert precision.drift([large + 1.0], [large]) == pytest.approx(0.01)
    assert precision.drift([np.array([[101.0]])], [np.array([[100.0]])]) == pytest.approx(1.0)
    assert np.isnan(precision.drift([large * np.nan], [large]))


def test_a_graph_that_cannot_be_loaded_is_refused_whether_it_fails_or_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    precision.refuse_unloadable(a_norm(), "a norm")
    with pytest.raises(ExportError, match=r"half: ONNX Runtime [\d.]+ cannot load the graph: .*Protobuf"):
        precision.refuse_unloadable(b"no graph", "half")
    monkeypatch.setattr(precision, "LOAD", "import os; os.kill(os.getpid(), 11)")
    with pytest.raises(ExportError, match=r"half: ONNX Runtime [\d.]+ cannot load the graph: it ends in SIGSEGV"):
        precision.refuse_unloadable(a_norm(), "half")


def test_the_scale_of_attention_stays_fp32() -> None:
    rng = np.random.default_rng(2)
    steps: list[Step] = [
        ("Cast", ["WAVEFORM"], "float", {"to": TensorProto.FLOAT}),
        ("MatMul", ["float", "filters"], "queries", {}),
        ("Mul", ["queries", "scale"], "scaled", {}),
        ("MatMul", ["scaled", "keys"], "scores", {}),
        ("Mul", ["scores", "scale"], "small", {}),
        ("Softmax", ["small"], "shares", {"axis": -1}),
        ("MatMul", ["shares", "head"], "FAKE_LOGIT", {}),
    ]
    constants: dict[str, NDArray[Any]] = {
        "filters": (1e-6 * rng.standard_normal((WINDOW_SAMPLES, WIDTH))).astype(np.float32),
        "scale": floats(0.125),
        "keys": rng.standard_normal((WIDTH, WIDTH)).astype(np.float32),
        "head": rng.standard_normal((WIDTH, 1)).astype(np.float32),
    }
    model = fp16.named(graph(steps, constants))
    kept = fp16.kept(model, voice())
    assert {node.output[0] for node in model.graph.node if node.name in kept & fp16._scales(model)} == {"scaled"}
