"""The published voice networks: the authors' numbers, polarity, and what is refused."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="make test-export installs torch")

from conftest import SHARED  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from export import published  # noqa: E402
from export.detectors import aasist, rawnet2, wav2vec2  # noqa: E402
from export.graph import MAX_RELATIVE_ERROR, error, largest_error, to_onnx, torch_answer  # noqa: E402
from networks import checkpoints, name_seeded_weights  # noqa: E402
from networks.errors import CheckpointError  # noqa: E402
from networks.published.rawnet2 import Network as RawNet2  # noqa: E402
from networks.published.sound import SincFilters  # noqa: E402
from patches import torchvision  # noqa: E402
from veracity.catalog.layers import WINDOW_SAMPLES  # noqa: E402
from veracity.install.graphs.publish import ExportError  # noqa: E402
from veracity.settings import Settings  # noqa: E402

torchvision.ensure()  # transformers imports it with its models

from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification  # noqa: E402

pytestmark = [
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),  # the exporter's own
]

PARITY, WEIGHTS = SHARED / "parity", SHARED / "weights"
PUBLISHED = {
    "aasist": (aasist.AASIST, "AASIST.pth"),
    "aasist_l": (aasist.AASIST_L, "AASIST-L.pth"),
    "rawnet2_asvspoof": (rawnet2.RAWNET2, None),
}
# small enough for a test, and of wav2vec2-base's kind in all that matters
TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "classifier_proj_size": 8,
}


def sound(batch: int, seed: int = 0) -> NDArray[np.int16]:
    """Int16 windows, each of another level."""
    levels = 1_000.0 * (1 + np.arange(batch))[:, None]
    return (np.random.default_rng(seed).standard_normal((batch, WINDOW_SAMPLES)) * levels).astype(np.int16)


def filled(net: nn.Module) -> nn.Module:
    name_seeded_weights.fill(net)
    return net.eval()


# ---- AASIST and RawNet2


@pytest.mark.skipif(not PARITY.is_dir(), reason=f"no golden cases at {PARITY}")
@pytest.mark.parametrize("case", PUBLISHED)
def test_the_authors_numbers_come_out(case: str) -> None:
    detector, file = PUBLISHED[case]
    facts, arrays = json.loads((PARITY / f"{case}.json").read_text()), np.load(PARITY / f"{case}.npz")
    net = detector.network().eval()
    shapes = {key: tuple(shape) for key, shape in facts["keys"]}
    assert {key: tuple(value.shape) for key, value in net.state_dict().items()} == shapes
    seeded = name_seeded_weights.state(shapes, facts.get("gain", 1.0))
    state = detector.unpack(checkpoints.read(WEIGHTS / file)) if file else seeded
    checkpoints.load(net, state, case)
    (scores,) = torch_answer(net, {"waveform": arrays["waveform"]})
    assert error(scores, arrays["logits"]) <= MAX_RELATIVE_ERROR
    pcm = np.round(arrays["waveform"] * 32_768).clip(-32_768, 32_767).astype(np.int16)
    (logit,) = torch_answer(detector.serve(net), {"WAVEFORM": pcm})
    spoof, bona_fide = arrays["logits"].T
    assert np.allclose(logit[:, 0], spoof - bona_fide, atol=2e-2)  # the wire rounds to 16 bits
    assert logit.shape == (len(pcm), 1)


@pytest.mark.parametrize("detector", [aasist.AASIST_L, rawnet2.RAWNET2], ids=lambda one: one.model)
def test_a_norm_without_effect_keeps_its_place(detector: published.Published) -> None:
    net = filled(detector.network())
    given = {"sound": sound(1) / np.float32(32_768)}
    (before,) = torch_answer(net, given)
    unused = [module for name, module in net.named_modules() if name.endswith(".bn1")]
    assert len(unused) == 5
    for norm in unused:
        nn.init.constant_(norm.weight, 7.0)
    assert np.array_equal(torch_answer(net, given)[0], before)


def test_rawnet2_takes_the_names_of_the_challenge() -> None:
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    layer = ("weight", "bias")
    parts = {"first_bn": norm, "bn_before_gru": norm, "fc1_gru": layer, "fc2_gru": layer}
    for i in range(6):
        block = {"conv1": layer, "bn2": norm, "conv2": layer}
        block |= {"bn1": norm} if i else {}
        block |= {"conv_downsample": layer} if i == 2 else {}
        parts |= {f"block{i}.0.{name}": leaves for name, leaves in block.items()}
        parts[f"fc_attention{i}.0"] = layer
    names = {f"{name}.{leaf}" for name, leaves in parts.items() for leaf in leaves}
    names |= {f"gru.{kind}_{way}_l{i}" for kind in layer for way in ("ih", "hh") for i in range(3)}
    assert set(RawNet2().state_dict()) == names


def test_sinc_filters_pass_their_own_bands() -> None:
    count, taps = 20, 1024
    filters = SincFilters(count, taps)
    assert filters.filters.shape == (count, 1, 1025)
    assert torch.allclose(filters.filters, filters.filters.flip(2), atol=1e-7)
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8_000 / 700), count + 1) / 2595) - 1)
    time = np.arange(4_000) / 16_000
    tones = np.sin(2 * np.pi * ((edges[:-1] + edges[1:]) / 2)[:, None] * time).astype(np.float32)
    passed = filters(torch.from_numpy(tones)).std(2)  # [tone, filter]
    assert passed.argmax(1).tolist() == list(range(count))
    assert torch.allclose(passed.diag(), torch.tensor(0.5**0.5), atol=0.02)
    low, high = 2 * np.pi * edges[:-1] * 512 / 16_000, 2 * np.pi * edges[1:] * 512 / 16_000
    last = 0.08 * (np.sin(high) - np.sin(low)) / (np.pi * 512)  # a Hamming window ends at 0.08
    assert np.allclose(filters.filters[:, 0, -1], last, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("detector", [aasist.AASIST_L, rawnet2.RAWNET2], ids=lambda one: one.model)
def test_graphs_take_any_batch(detector: published.Published) -> None:
    served = detector.serve(filled(detector.network())).eval()
    graph = to_onnx(served, {"WAVEFORM": sound(2)}, ["FAKE_LOGIT"])
    extremes = np.stack([np.zeros(WINDOW_SAMPLES), np.full(WINDOW_SAMPLES, 32_767)]).astype(np.int16)
    cases = [{"WAVEFORM": pcm} for pcm in (sound(1, 1), sound(5, 2), extremes)]
    assert largest_error(graph, served, cases) <= MAX_RELATIVE_ERROR


# ---- wav2vec2


class Given:
    """A small checkpoint as transformers writes it: its tensors, its config.json, and the answer of transformers."""

    def __init__(self, folder: Path, labels: dict[int, str]) -> None:
        torch.manual_seed(0)
        config = Wav2Vec2Config(**TINY, id2label=labels, label2id={word: index for index, word in labels.items()})
        self.net = Wav2Vec2ForSequenceClassification(config).eval()
        nn.init.normal_(self.net.classifier.weight)  # apart, so that a swap shows
        self.net.save_pretrained(folder)
        self.tensors: dict[str, Tensor] = checkpoints.read(folder / "model.safetensors")
        self.config = checkpoints.read(folder / "config.json")

    def scores(self, pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        windows = list(pcm / np.float32(32_768))
        given = Wav2Vec2FeatureExtractor()(windows, sampling_rate=16_000, return_tensors="pt").input_values
        with torch.inference_mode():
            scores: NDArray[np.float32] = self.net(given).logits.numpy()
        return scores


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    return Given(tmp_path_factory.mktemp("wav2vec2"), {0: "fake", 1: "real"})


def served(tensors: dict[str, Tensor], config: dict[str, object]) -> nn.Module:
    detector = wav2vec2.published(TINY)
    net = detector.network()
    checkpoints.load(net, detector.unpack(tensors, config), "net.safetensors")
    return detector.serve(net.eval()).eval()


@pytest.mark.parametrize("labels", [("fake", "real"), ("real", "fake"), ("Bona-fide", "AI"), ("SPOOF", "Human Voice")])
def test_log_odds_of_fake_whichever_class_it_was(tmp_path: Path, labels: tuple[str, str]) -> None:
    given = Given(tmp_path, dict(enumerate(labels)))
    fake = int(labels[1] in ("fake", "AI"))
    scores = given.scores(sound(3))
    (logit,) = torch_answer(served(given.tensors, given.config), {"WAVEFORM": sound(3)})
    assert np.abs(scores[:, fake] - scores[:, 1 - fake]).min() > 0.01
    assert np.allclose(logit[:, 0], scores[:, fake] - scores[:, 1 - fake], atol=1e-5)
    assert wav2vec2.describe(None, given.config) == {"id2label": dict(zip("01", labels)), "fake_index": fake}


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (None, "has no id2label"),
        ({"0": "LABEL_0", "1": "LABEL_1"}, "LABEL_0"),
        ({"0": "fake", "1": "spoof"}, "does not say which class"),
        ({"0": "real", "1": "not real"}, "does not say which class"),
        ({"0": "real", "1": "fake", "2": "noise"}, "does not say which class"),
        ({"1": "real", "2": "fake"}, "does not say which class"),
    ],
)
def test_no_polarity_no_network(given: Given, labels: dict[str, str] | None, words: str) -> None:
    config = {key: value for key, value in given.config.items() if key not in ("id2label", "label2id")}
    with pytest.raises(ExportError, match=words):
        served(given.tensors, config if labels is None else config | {"id2label": labels})


def test_reversed_labels_are_noticed(given: Given) -> None:
    with pytest.raises(ExportError, match="contradicts itself"):
        served(given.tensors, given.config | {"label2id": {"fake": 1, "real": 0}})


@pytest.mark.parametrize(
    ("name", "value"),
    [("feat_extract_norm", "layer"), ("hidden_size", 64), ("model_type", "hubert"), ("num_hidden_layers", None)],
)
def test_another_architecture_is_refused(given: Given, name: str, value: int | str | None) -> None:
    with pytest.raises(ExportError, match=f"of another architecture: {name} "):
        served(given.tensors, given.config | {name: value})


def test_every_weight_must_have_its_place(given: Given) -> None:
    with pytest.raises(CheckpointError, match=r"1 missing: projector\.bias"):
        served({key: value for key, value in given.tensors.items() if key != "projector.bias"}, given.config)
    with pytest.raises(CheckpointError, match=r"1 not of this network: lm_head\.bias"):
        served(given.tensors | {"lm_head.bias": torch.ones(1)}, given.config)
    with pytest.raises(CheckpointError, match="holds no state dict"):
        served({"model": given.tensors}, given.config)


def test_both_names_of_the_normed_weight_are_known(given: Given) -> None:
    at, new = "wav2vec2.encoder.pos_conv_embed.conv", "parametrizations.weight.original"
    names = {f"{at}.{new}0": f"{at}.weight_g", f"{at}.{new}1": f"{at}.weight_v"}
    assert names.keys() <= given.tensors.keys()
    renamed = {names.get(key, key): value for key, value in given.tensors.items()}
    first, second = (
        torch_answer(served(tensors, given.config), {"WAVEFORM": sound(2)})[0] for tensors in (given.tensors, renamed)
    )
    assert np.array_equal(first, second)


def test_the_wav2vec2_graph_takes_any_batch_and_any_offset(given: Given) -> None:
    net = served(given.tensors, given.config)
    graph = to_onnx(net, {"WAVEFORM": sound(2)}, ["FAKE_LOGIT"])
    constants = np.stack([np.full(WINDOW_SAMPLES, level) for level in (0, 32_767, -32_768, 1)]).astype(np.int16)
    cases = [{"WAVEFORM": pcm} for pcm in (sound(1, 1), sound(3, 2), constants)]
    assert largest_error(graph, net, cases) <= MAX_RELATIVE_ERROR
    with_offset = torch_answer(net, {"WAVEFORM": sound(1) + np.int16(5_000)})
    assert np.allclose(with_offset, torch_answer(net, {"WAVEFORM": sound(1)}), atol=1e-4)


def test_the_provenance_say_which_class_was_the_fake_one(
    tmp_path: Path, given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = wav2vec2.published(TINY)
    weights, config = detector.table.files
    save_file(given.tensors, tmp_path / weights)
    (tmp_path / config).write_text(json.dumps(given.config))
    monkeypatch.setattr(published, "require", lambda name, folder: folder / name)  # these are nobody's digests
    _, origin = published.trained(detector, tmp_path)
    assert origin["id2label"] == {"0": "fake", "1": "real"}
    assert origin["fake_index"] == 0
    assert origin["checkpoints"].keys() == {weights, config}


@pytest.mark.slow
def test_wav2vec2_is_exported_in_full_size(tmp_path: Path, settings: Settings) -> None:
    args = argparse.Namespace(
        repository=tmp_path, weights=settings.weights, untrained=True, precision="fp32", clip=None, upstream=None
    )
    published.export(wav2vec2.WAV2VEC2, args)
    provenance = json.loads((tmp_path / "audio_wav2vec2" / "provenance.json").read_text())
    assert provenance["untrained"] is True
    assert provenance["bytes"] > 4 * 94_000_000
    assert provenance["largest_relative_error"] <= MAX_RELATIVE_ERROR
