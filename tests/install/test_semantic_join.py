"""The semantic starter's graph out of a quantised encoder and a head, without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper, parser
from onnxruntime.quantization import quantize_dynamic

from veracity.install.graphs import semantic_starter
from veracity.install.graphs.encoder_with_head import largest_error, read_head
from veracity.install.graphs.publish import ExportError, session
from veracity.install.graphs.semantic_starter import FEATURE, TAP, cases, features, join
from veracity.install.graphs.weight_only_quantisation import dequantised

WIDTH = 8
PIXELS = "pixel_values"


def encoder(seed: int = 0) -> ModelProto:
    """Patches of 32 pixels through two products; the second layer's rows are what the real one has behind a block."""
    rng = np.random.default_rng(seed)
    graph = f"""<ir_version: 7, opset_import: ["" : 14]>
    tiny (float[batch, 3, 224, 224] {PIXELS}) => (float[batch, 49, {WIDTH}] rows) {{
      pooled = AveragePool<kernel_shape = [32, 32], strides = [32, 32]>({PIXELS})
      flat = Reshape(pooled, shape)
      patches = Transpose<perm = [0, 2, 1]>(flat)
      first = MatMul(patches, w1)
      bent = Relu(first)
      tapped = MatMul(bent, w2)
      rows = MatMul(tapped, w3)
    }}"""
    model = parser.parse_model(graph)
    tensors = {"w1": (3, 16), "w2": (16, WIDTH), "w3": (WIDTH, WIDTH)}
    made = [numpy_helper.from_array(rng.standard_normal(s).astype(np.float32), n) for n, s in tensors.items()]
    made.append(helper.make_tensor("shape", TensorProto.INT64, [3], [0, 3, 49]))
    model.graph.initializer.extend(made)
    for node in model.graph.node:
        node.name = node.output[0]
        node.input[:] = [TAP if name == "tapped" else name for name in node.input]
        node.output[:] = [TAP if name == "tapped" else name for name in node.output]
    return model


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> ModelProto:
    folder = tmp_path_factory.mktemp("encoder")
    onnx.save(encoder(), folder / "float.onnx")
    quantize_dynamic(folder / "float.onnx", folder / "int8.onnx", op_types_to_quantize=["MatMul"])
    model = onnx.load(folder / "int8.onnx")
    assert [node.op_type for node in model.graph.node].count("MatMulInteger") == 3
    return model


def head(width: int = WIDTH, seed: int = 1, given: str = FEATURE) -> ModelProto:
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        head (float[batch, {width}] {given}) => (float[batch, 1] FAKE_LOGIT) {{ FAKE_LOGIT = MatMul({given}, w) }}"""
    )
    weight = np.random.default_rng(seed).standard_normal((width, 1)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    return model


def answer(model: ModelProto, given: NDArray[np.float32] | NDArray[np.uint8]) -> NDArray[np.float32]:
    loaded = session(model)
    return np.asarray(loaded.run(None, {loaded.get_inputs()[0].name: given})[0])


def planes(*scales: float) -> NDArray[np.float32]:
    noise = np.random.default_rng(3).standard_normal((len(scales), 3, 224, 224))
    made: NDArray[np.float32] = (noise * np.reshape(scales, (-1, 1, 1, 1))).astype(np.float32) * 30
    return made


def test_in_float_a_picture_does_not_see_its_batch_mates(quantised: ModelProto) -> None:
    """And the quantised one does, which is why."""
    given = planes(1, 50)
    for model, apart in ((quantised, True), (dequantised(quantised), False)):
        alone, beside = answer(model, given[:1])[0], answer(model, given)[0]
        assert (np.abs(alone - beside).max() > 1e-3 * np.abs(alone).max()) is np.bool_(apart)


def test_in_float_it_answers_what_the_original_did(quantised: ModelProto) -> None:
    given = planes(1, 2)
    found, wanted = answer(dequantised(quantised), given), answer(encoder(), given)
    assert np.abs(found - wanted).max() < 0.03 * np.abs(wanted).max()  # of weights in 8 bits
    kinds = {node.op_type for node in dequantised(quantised).graph.node}
    assert not kinds & {"MatMulInteger", "DynamicQuantizeLinear"}


def test_another_way_of_quantising_is_refused(quantised: ModelProto) -> None:
    broken = ModelProto()
    broken.CopyFrom(quantised)
    for node in broken.graph.node:
        if node.op_type == "Cast":
            node.op_type = "Identity"
            del node.attribute[:]
    with pytest.raises(ExportError, match="Cast and Mul"):
        dequantised(broken)


def test_the_features_are_the_first_row_of_the_tapped_layer(quantised: ModelProto) -> None:
    given, model = planes(1, 2), features(quantised)
    whole = dequantised(quantised)
    whole.graph.output[0].CopyFrom(helper.make_tensor_value_info(TAP, TensorProto.FLOAT, None))
    assert np.allclose(answer(model, given), answer(whole, given)[:, 0])
    assert "w3_quantized" not in {tensor.name for tensor in model.graph.initializer}  # what stands behind is gone


def test_the_joined_graph_does_what_its_parts_do(quantised: ModelProto) -> None:
    middle, end = features(quantised), head()
    graph = join(middle, end)
    assert [value.name for value in graph.graph.input] == ["FRAME"]
    assert [value.name for value in graph.graph.output] == ["FAKE_LOGIT"]
    assert largest_error(graph, cases(middle, end)) < 1e-4
    with pytest.raises(ExportError, match="semantic_starter: graph and parts differ"):
        largest_error(graph, cases(middle, head(seed=2)))


def test_colours_are_brought_to_clips_mean_and_deviation(quantised: ModelProto) -> None:
    """By the published numbers, written out once more."""
    frames = np.full((1, 224, 224, 3), [10, 128, 250], np.uint8)
    scaled = (np.array([10, 128, 250]) / 255 - [0.4815, 0.4578, 0.4082]) / [0.2686, 0.2613, 0.2758]
    given = np.broadcast_to(scaled.reshape(1, 3, 1, 1), (1, 3, 224, 224)).astype(np.float32)
    middle, end = features(quantised), head()
    wanted = answer(middle, given) @ numpy_helper.to_array(end.graph.initializer[0])
    assert np.allclose(answer(join(middle, end), frames), wanted, rtol=1e-3, atol=1e-3)


def test_a_head_for_another_feature_is_refused(quantised: ModelProto) -> None:
    with pytest.raises(ExportError, match="no output patches"):
        join(features(quantised), head(given="patches"))


def test_an_encoder_without_the_layer_is_refused(quantised: ModelProto) -> None:
    with pytest.raises(ExportError, match="has no nowhere"):
        features(quantised, "nowhere")


def test_a_head_that_is_gone_or_damaged_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"head.onnx is gone"):
        read_head(tmp_path)
    (tmp_path / "head.onnx").write_bytes(b"\x00not a graph")
    (tmp_path / "head.json").write_text("{}")
    with pytest.raises(ExportError, match="damaged"):
        read_head(tmp_path)
    (tmp_path / "head.onnx").write_bytes(head().SerializeToString())
    (tmp_path / "head.json").write_text("[]")
    with pytest.raises(ExportError, match=r"damaged: a list is no paper"):
        read_head(tmp_path)


def test_the_committed_head_fits_the_encoder() -> None:
    folder = Path(__file__).resolve().parent.parent.parent / "model_repository" / semantic_starter.NAME
    committed = read_head(folder)
    assert [value.name for value in committed.graph.graph.input] == [FEATURE]
    assert committed.graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value == 768
    assert committed.provenance["trained_on"] == sorted(committed.provenance["trained_on"])
    assert (folder / "head.onnx").stat().st_size < 20_000
