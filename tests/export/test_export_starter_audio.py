"""The audio starter: Whisper's encoder without torch, the committed head, and the two joined."""

from __future__ import annotations

import argparse
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import parser

from export.audio_starter import export, head_of
from veracity.catalog.layers import WINDOW_SAMPLES
from veracity.install.files import WeightsError
from veracity.install.graphs import audio_starter, ctranslate2, encoder_with_head, whisper
from veracity.install.graphs.encoder_with_head import largest_error, read_head
from veracity.install.graphs.publish import ExportError, session

if TYPE_CHECKING:
    from torch import Tensor


def variables(blocks: int = whisper.STAGES) -> ctranslate2.Variables:
    """Numbers of a tiny size under the names that an encoder's file has."""
    rng = np.random.default_rng(0)
    wide = whisper.WIDTH
    shapes: dict[str, tuple[int, ...]] = {"conv1/weight": (wide, whisper.BANDS, 3), "conv2/weight": (wide, wide, 3)}
    shapes |= {f"{conv}/bias": (wide,) for conv in ("conv1", "conv2")}
    for block in range(blocks):
        for part in ("self_attention", "ffn"):
            shapes |= {f"layer_{block}/{part}/layer_norm/{kind}": (wide,) for kind in ("gamma", "beta")}
        for part, out, into in (
            ("self_attention/linear_0", 3 * wide, wide),
            ("self_attention/linear_1", wide, wide),
            ("ffn/linear_0", 4 * wide, wide),
            ("ffn/linear_1", wide, 4 * wide),
        ):
            shapes |= {f"layer_{block}/{part}/weight": (out, into), f"layer_{block}/{part}/bias": (out,)}
    shapes["position_encodings/encodings"] = (1500, wide)
    return {f"encoder/{name}": (rng.standard_normal(shape) * 0.05).astype("<f2") for name, shape in shapes.items()}


def packed(numbers: ctranslate2.Variables, version: int = 6) -> bytes:
    """The file of them."""

    def text(word: str) -> bytes:
        return struct.pack("<H", len(word) + 1) + word.encode() + b"\0"

    parts = [struct.pack("<I", version), text("WhisperSpec"), struct.pack("<II", 3, len(numbers))]
    for name, value in numbers.items():
        kind = {"<f4": 0, "<i1": 1, "|i1": 1, "<f2": 4}[value.dtype.str]
        shape = struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        parts += [text(name), shape, struct.pack("<BI", kind, value.nbytes), value.tobytes()]
    return b"".join([*parts, struct.pack("<I", 0)])


HEAD = parser.parse_model(
    f"""<ir_version: 8, opset_import: ["" : 18]>
    head (float[batch, {whisper.STATISTICS}] statistics) => (float[batch, 1] FAKE_LOGIT) <int64[1] one = {{1}}>
    {{ FAKE_LOGIT = ReduceMean<keepdims = 1>(statistics, one) }}"""
)


def test_a_file_of_variables_is_read(tmp_path: Path) -> None:
    numbers = {"a/b": np.arange(6, dtype="<f2").reshape(2, 3), "c": np.array(3, "<i1"), "d": np.ones(4, "<f4")}
    (tmp_path / "model.bin").write_bytes(packed(numbers))
    found = ctranslate2.read(tmp_path / "model.bin")
    assert found.keys() == numbers.keys()
    assert all(np.array_equal(found[name], numbers[name]) for name in numbers)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (packed({"a": np.ones(9, "<f4")})[:-20], "too early"),
        (packed({}, version=5), "its version is 5"),
        (b"", "is no CTranslate2 model"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(ExportError, match=words):
        ctranslate2.read(tmp_path / "model.bin")


def test_a_file_of_another_model_is_refused() -> None:
    numbers = variables()
    del numbers["encoder/layer_1/ffn/linear_1/bias"]
    with pytest.raises(ExportError, match="layer_1/ffn/linear_1/bias"):
        whisper.encoder(numbers)


def test_head_and_encoder_are_one_graph_of_any_batch() -> None:
    encoder = whisper.encoder(variables())
    graph = audio_starter.join(encoder, HEAD)
    assert largest_error(graph, audio_starter.cases(encoder, HEAD)) <= 1e-4
    loaded = session(graph)
    sound = np.random.default_rng(1).integers(-9000, 9000, (3, WINDOW_SAMPLES)).astype(np.int16)
    together = loaded.run(["FAKE_LOGIT"], {"WAVEFORM": sound})[0]
    alone = [loaded.run(["FAKE_LOGIT"], {"WAVEFORM": one[None]})[0][0] for one in sound]
    assert np.allclose(together, alone, atol=1e-4)


def test_a_head_for_another_encoder_is_refused() -> None:
    head = onnx.ModelProto.FromString(HEAD.SerializeToString())
    head.graph.input[0].name = "image_embeds"
    with pytest.raises(ExportError, match="image_embeds"):
        audio_starter.join(whisper.encoder(variables()), head)
    head.graph.input[0].name = "statistics"
    head.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1152
    with pytest.raises(ExportError, match=r"\('statistics', 1152\).*teach it anew"):
        audio_starter.join(whisper.encoder(variables()), head)


def test_without_encoder_or_head_the_export_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"whisper_base\.bin"):
        export(args(tmp_path))
    with pytest.raises(ExportError, match=r"head\.onnx is gone"):
        read_head(tmp_path / "audio_starter")
    (tmp_path / "head.onnx").write_bytes(b"no graph")
    (tmp_path / "head.json").write_text("{}")
    with pytest.raises(ExportError, match="is damaged"):
        read_head(tmp_path)


def args(folder: Path) -> argparse.Namespace:
    return argparse.Namespace(checkpoint=None, repository=folder, weights=folder, untrained=False, precision="fp32")


@pytest.mark.export
def test_the_graph_is_the_network_in_torch() -> None:
    torch = pytest.importorskip("torch", reason="make test-export installs torch")
    from networks import whisper as nets

    numbers = variables()
    sound = np.random.default_rng(1).integers(-9000, 9000, (2, WINDOW_SAMPLES)).astype(np.int16)
    sound[1] = 0
    found = session(whisper.encoder(numbers)).run(None, {"WAVEFORM": sound})[0]
    with torch.inference_mode():
        expected = nets.encoder(numbers)(torch.from_numpy(sound).float() / 32_768).numpy()
    assert found.shape == expected.shape == (2, whisper.STATISTICS)
    assert np.abs(found - expected).max() <= 1e-4 * max(1.0, float(np.abs(expected).max()))


@pytest.mark.export
def test_a_checkpoint_becomes_a_head_with_provenance(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="make test-export installs torch")
    from networks.registry import AUDIO_NETS

    net = AUDIO_NETS["whisper"]().eval()
    content = {"net": "whisper", "state": net.state_dict(), "trained_on": ["mine"]}
    torch.save(content, tmp_path / "audio.pt")
    head = head_of(tmp_path / "audio.pt")
    assert head.provenance["trained_on"] == ["mine"]
    statistics = np.random.default_rng(0).standard_normal((2, whisper.STATISTICS)).astype(np.float32)
    with torch.inference_mode():
        expected = net(torch.from_numpy(statistics)).numpy()
    assert np.allclose(session(head.graph).run(None, {"statistics": statistics})[0], expected, atol=1e-5)


@pytest.mark.export
def test_a_head_that_is_not_proven_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="make test-export installs torch")
    from networks.registry import AUDIO_NETS

    (tmp_path / "encoder.bin").write_bytes(packed(variables()))
    monkeypatch.setattr(
        audio_starter, "require", lambda *_: tmp_path / "encoder.bin"
    )  # of the right size, not Whisper's
    folder, checkpoints = tmp_path / "audio_starter", [tmp_path / "a.pt", tmp_path / "b.pt"]
    for seed, path in enumerate(checkpoints):
        torch.manual_seed(seed)
        net = AUDIO_NETS["whisper"]()
        torch.nn.init.normal_(next(net.parameters()))
        torch.save({"net": "whisper", "state": net.state_dict(), "trained_on": [path.stem]}, path)
    given = args(tmp_path)
    given.checkpoint = checkpoints[0]
    export(given)
    before = files(folder)
    assert set(before) == {"1/model.onnx", "head.json", "head.onnx", "provenance.json"}
    assert folder.joinpath("1/model.onnx").stat().st_mtime_ns >= folder.joinpath("head.onnx").stat().st_mtime_ns

    given.checkpoint = checkpoints[1]
    with monkeypatch.context() as strict:
        strict.setattr(encoder_with_head, "TOLERANCE", -1.0)
        with pytest.raises(ExportError, match="graph and parts differ"):
            export(given)
    assert files(folder) == before
    export(given)
    after = files(folder)
    assert all(after[name] != before[name] for name in before)
    assert read_head(folder).provenance["trained_on"] == ["b"]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.export
def test_the_encoder_is_whispers_in_transformers() -> None:
    torch = pytest.importorskip("torch", reason="make test-export installs torch")
    from patches import torchvision

    torchvision.ensure()
    from transformers import WhisperConfig, WhisperFeatureExtractor
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    from networks import whisper as nets

    torch.manual_seed(0)
    theirs = WhisperEncoder(
        WhisperConfig(d_model=512, encoder_layers=2, encoder_attention_heads=8, encoder_ffn_dim=2048, num_mel_bins=80)
    ).eval()
    ours = nets.WhisperEncoder().eval()
    ours.load_state_dict(renamed(theirs.state_dict()), strict=False)
    sound = torch.randn(1, 480_000) * 0.05
    sound *= whisper.LEVEL / sound.square().mean().sqrt()
    mel = WhisperFeatureExtractor()(sound[0].numpy(), sampling_rate=16_000, return_tensors="pt").input_features
    with torch.inference_mode():
        assert torch.allclose(ours.log_mel(sound), mel, atol=1e-4)
        hidden = theirs(mel, output_hidden_states=True).hidden_states
        for found, expected in zip(ours.stages(sound)[:2], hidden):
            assert torch.allclose(found, expected, atol=1e-3)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Transformers' names in ours; its keys have no bias."""
    import torch

    found = {"positions": state["embed_positions.weight"]}
    for name in ("conv1", "conv2"):
        found |= {f"{name}.{kind}": state[f"{name}.{kind}"] for kind in ("weight", "bias")}
    parts = {"attention_norm": "self_attn_layer_norm", "attention_out": "self_attn.out_proj",
             "feed_norm": "final_layer_norm", "feed_in": "fc1", "feed_out": "fc2"}  # fmt: skip
    for block in range(whisper.STAGES):
        old, new = f"layers.{block}", f"blocks.{block}"
        found |= {f"{new}.{a}.{k}": state[f"{old}.{b}.{k}"] for a, b in parts.items() for k in ("weight", "bias")}
        weights = [state[f"{old}.self_attn.{one}_proj.weight"] for one in "qkv"]
        biases = [state.get(f"{old}.self_attn.{one}_proj.bias", torch.zeros(whisper.WIDTH)) for one in "qkv"]
        found |= {f"{new}.query_key_value.weight": torch.cat(weights), f"{new}.query_key_value.bias": torch.cat(biases)}
    return found
