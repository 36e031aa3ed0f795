"""The generated configurations, read with Triton's own schema: models batch and warm, detectors bound their queue."""

from collections.abc import Iterable
from pathlib import Path

import onnx
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from veracity.catalog import LAYERS, MODELS, Model, Tensor, tensorrt
from veracity.catalog.profiles import FALLBACKS, PROFILES
from veracity.decision.calibration import Calibration
from veracity.settings import CHECKOUT

REPOSITORY = CHECKOUT / "model_repository"
DETECTORS = {"deepfake_detector": "VERDICT", "deepfake_detector_stream": "EVENT"}
ONNX_TYPES = {"UINT8": onnx.TensorProto.UINT8, "INT16": onnx.TensorProto.INT16, "FP32": onnx.TensorProto.FLOAT}


SCORING = [model for model in MODELS.values() if model.layer]
VARIANTS = (tensorrt.TENSORRT, tensorrt.TRT_EP)
ACCELERATOR_KEYS = {  # of the table in the README of NVIDIA's onnxruntime_backend, those that we set
    "precision_mode", "max_workspace_size_bytes", "trt_layer_norm_fp32_fallback", "trt_engine_cache_enable",
    "trt_engine_cache_path", "trt_engine_cache_prefix", "trt_timing_cache_enable", "trt_timing_cache_path",
}  # fmt: skip


def config(name: str, variant: str = "") -> model_config_pb2.ModelConfig:
    path = REPOSITORY / name / (f"configs/{variant}.pbtxt" if variant else "config.pbtxt")
    return text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())


def tensors(
    entries: Iterable[model_config_pb2.ModelInput | model_config_pb2.ModelOutput],
) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(e.name, model_config_pb2.DataType.Name(e.data_type), tuple(e.dims)) for e in entries]


def wanted(*given: Tensor) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(t.name, f"TYPE_{t.dtype}", t.shape) for t in given]


def test_the_folders_are_the_table_and_nothing_else() -> None:
    assert {p.name for p in REPOSITORY.iterdir()} == {*MODELS, *DETECTORS}


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda m: m.name)
def test_a_child_is_what_the_table_says(model: Model) -> None:
    c = config(model.name)
    assert c.name == model.name
    assert c.backend == "onnxruntime"
    assert c.max_batch_size == model.max_batch
    assert tensors(c.input) == wanted(*model.inputs)
    assert tensors(c.output) == wanted(*model.outputs)


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda m: m.name)
def test_a_child_batches_and_warms(model: Model) -> None:
    c = config(model.name)
    preferred = list(c.dynamic_batching.preferred_batch_size)
    assert preferred
    assert max(preferred) <= model.max_batch
    assert any(size > model.request_items for size in preferred), "one video would fill every preferred batch"
    assert c.dynamic_batching.max_queue_delay_microseconds > 0
    (warmup,) = c.model_warmup
    assert set(warmup.inputs) == {tensor.name for tensor in model.inputs}
    for tensor in model.inputs:
        given = warmup.inputs[tensor.name]
        assert len(given.dims) == len(tensor.shape)
        assert all(side in (-1, dim) for side, dim in zip(tensor.shape, given.dims))


def test_scoring_models_have_both_variants_and_the_others_none() -> None:
    found = {(path.parts[-3], path.stem) for path in REPOSITORY.glob("*/configs/*")}
    assert found == {(model.name, variant) for model in SCORING for variant in VARIANTS}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("model", SCORING, ids=lambda m: m.name)
def test_a_variant_is_the_config_but_for_how_it_computes(model: Model, variant: str) -> None:
    usual, c = config(model.name), config(model.name, variant)
    assert c.name == usual.name
    assert c.max_batch_size == usual.max_batch_size == model.max_batch
    assert c.dynamic_batching == usual.dynamic_batching
    assert c.version_policy == usual.version_policy
    assert tensors(c.output) == wanted(*model.outputs)
    assert tensors(c.input) == [(t.name, f"TYPE_{tensorrt.dtype(t, variant)}", t.shape) for t in model.inputs]
    (group,) = c.instance_group
    assert (group.kind, group.count) == (model_config_pb2.ModelInstanceGroup.KIND_GPU, 1)
    for warmup in c.model_warmup:
        given = {n: (model_config_pb2.DataType.Name(i.data_type), tuple(i.dims)) for n, i in warmup.inputs.items()}
        assert given == {t.name: (f"TYPE_{tensorrt.dtype(t, variant)}", t.shape) for t in model.inputs}


@pytest.mark.parametrize("model", SCORING, ids=lambda m: m.name)
def test_an_engine_is_served_as_one(model: Model) -> None:
    c = config(model.name, tensorrt.TENSORRT)
    assert (c.platform, c.backend, c.default_model_filename) == ("tensorrt_plan", "tensorrt", tensorrt.PLAN)
    assert [w.batch_size for w in c.model_warmup] == [1]


@pytest.mark.parametrize("model", SCORING, ids=lambda m: m.name)
def test_the_provider_builds_for_every_batch_before_the_first_video(model: Model) -> None:
    c = config(model.name, tensorrt.TRT_EP)
    assert c.backend == "onnxruntime"
    assert [w.batch_size for w in c.model_warmup] == [1, model.max_batch]
    (accelerator,) = c.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt"
    assert set(accelerator.parameters) <= ACCELERATOR_KEYS
    assert accelerator.parameters["trt_engine_cache_prefix"] == model.name
    sound = any(tensor.dtype == "INT16" for tensor in model.inputs)
    assert accelerator.parameters["precision_mode"] == ("FP32" if sound else "FP16")
    assert accelerator.parameters.get("trt_layer_norm_fp32_fallback", "0") == ("0" if sound else "1")


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda m: m.name)
def test_no_limit_of_a_childs_queue_makes_triton_wait_for_its_instance(model: Model) -> None:
    for variant in ("", *(VARIANTS if model.layer else ())):
        batching = config(model.name, variant).dynamic_batching
        assert not batching.HasField("default_queue_policy")
        assert not batching.priority_levels


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detectors_queue_is_bounded_and_refuses(name: str) -> None:
    policy = config(name).dynamic_batching.default_queue_policy
    assert policy.timeout_action == model_config_pb2.ModelQueuePolicy.REJECT
    assert policy.default_timeout_microseconds > 0
    assert policy.max_queue_size > 0


@pytest.mark.parametrize(("name", "output"), DETECTORS.items())
def test_a_detector_takes_one_video_and_is_not_warmed_by_triton(name: str, output: str) -> None:
    c = config(name)
    assert tensors(c.input) == [(n, "TYPE_STRING", (1,)) for n in ("VIDEO", "PATH", "OPTIONS")]
    assert all(i.optional for i in c.input)
    assert tensors(c.output) == [(output, "TYPE_STRING", (1,))]
    assert c.max_batch_size == 1
    assert not c.model_warmup
    assert c.model_transaction_policy.decoupled == (output == "EVENT")


@pytest.mark.parametrize("name", DETECTORS)
def test_a_model_py_is_one_import(name: str) -> None:
    lines = (REPOSITORY / name / "1" / "model.py").read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("from veracity.serving import ")


@pytest.mark.parametrize("graph", sorted(REPOSITORY.glob("*/1/model.onnx")), ids=lambda p: p.parts[-3])
def test_an_installed_graph_has_the_tables_tensors(graph: Path) -> None:
    model = MODELS[graph.parts[-3]]
    net = onnx.load(graph).graph
    found = {v.name: _onnx_shape(v) for v in (*net.input, *net.output)}
    assert found == {t.name: (ONNX_TYPES[t.dtype], t.shape) for t in (*model.inputs, *model.outputs)}


def _onnx_shape(value: onnx.ValueInfoProto) -> tuple[int, tuple[int, ...]]:
    """Return type and shape without the batch, which must be free; other free sides are -1."""
    dims = value.type.tensor_type.shape.dim
    assert dims[0].dim_param, f"{value.name}: the batch is fixed"
    return value.type.tensor_type.elem_type, tuple(d.dim_value or -1 for d in dims[1:])


def test_profiles_name_known_models_of_the_right_layer() -> None:
    for profile in PROFILES.values():
        assert set(profile) == {layer.name for layer in LAYERS}
        for layer, models in profile.items():
            assert all(MODELS[name].layer == layer for name, _ in models)
    assert all(MODELS[first].layer == MODELS[second].layer for first, second in FALLBACKS.items())


def test_the_calibration_knows_every_layer_and_profile_and_no_other_model() -> None:
    calibration = Calibration.read()
    assert set(calibration.evidence_weights) == {layer.name for layer in LAYERS}
    assert sum(calibration.evidence_weights.values()) == pytest.approx(1.0)
    assert set(calibration.statements) == set(PROFILES)
    assert set(calibration.calibrators) <= set(MODELS)
    assert set(calibration.model_thresholds) <= set(calibration.calibrators)
    assert set(calibration.still_calibrators) <= set(MODELS)
    assert set(calibration.of("starter").fusions) == {"sound", "still", "film"}
