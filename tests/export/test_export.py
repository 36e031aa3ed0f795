"""From a checkpoint to the served graph, and what must never be written."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import tiny_models

torch = pytest.importorskip("torch", reason="make test-export installs torch")

import onnxruntime  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from export import audio_scratch, audio_starter  # noqa: E402
from export.graph import largest_error, to_onnx  # noqa: E402
from networks.registry import AUDIO_NETS  # noqa: E402
from veracity.catalog.layers import WINDOW_SAMPLES  # noqa: E402
from veracity.install.graphs import encoder_with_head, whisper  # noqa: E402
from veracity.install.graphs.publish import ExportError, publish, sha256  # noqa: E402

pytestmark = [
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),  # the exporter's own
]

GRAPH = Path(__file__).resolve().parent.parent.parent / "model_repository" / "audio_starter" / "1" / "model.onnx"


NUMBERS = {"NUMBERS": np.ones((2, 3), np.float32)}


class Double(nn.Module):
    def forward(self, numbers: Tensor) -> Tensor:
        return numbers * 2


def checkpoint(path: Path, **changes: object) -> Path:
    torch.manual_seed(0)
    content = {"net": "spectrum", "state": AUDIO_NETS["spectrum"]().state_dict(), "trained_on": ["mine"]}
    torch.save(content | changes, path)
    return path


def options(checkpoint: Path | None, repository: Path) -> argparse.Namespace:
    return argparse.Namespace(checkpoint=checkpoint, repository=repository, format="onnx")


@pytest.mark.slow
def test_audio_starter_is_written_with_its_provenance(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "net.pt")
    audio_starter.export(options(path, tmp_path))
    graph = (tmp_path / "audio_starter" / "1" / "model.onnx").read_bytes()
    provenance = json.loads((tmp_path / "audio_starter" / "provenance.json").read_text())
    assert provenance["graph_sha256"] == sha256(graph)
    assert provenance["checkpoint_sha256"] == sha256(path.read_bytes())
    assert provenance["trained_on"] == ["mine"]
    assert provenance["largest_relative_error"] <= 1e-4
    assert sorted(one.name for one in (tmp_path / "audio_starter").iterdir()) == ["1", "provenance.json"]


@pytest.mark.skipif(not GRAPH.is_file(), reason="make models joins it")
def test_the_starter_keeps_the_contract() -> None:
    session = onnxruntime.InferenceSession(GRAPH)
    (given,), (answered,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape[1]) == ("WAVEFORM", "tensor(int16)", WINDOW_SAMPLES)
    assert (answered.name, answered.type, answered.shape[1]) == ("FAKE_LOGIT", "tensor(float)", 1)
    rng = np.random.default_rng(0)
    sound = (1_000 * rng.standard_normal((5, WINDOW_SAMPLES))).astype(np.int16)
    together = session.run(None, {"WAVEFORM": sound})[0]
    apart = np.concatenate([session.run(None, {"WAVEFORM": one[None]})[0] for one in sound])
    assert np.allclose(together, apart, atol=1e-4)
    assert np.isfinite(session.run(None, {"WAVEFORM": np.zeros((1, WINDOW_SAMPLES), np.int16)})[0]).all()


def test_the_committed_head_is_small_and_of_a_whole() -> None:
    head = encoder_with_head.read_head(GRAPH.parent.parent)
    assert head.provenance["trained_on"]
    assert head.graph.ByteSize() < 3_000_000
    assert head.graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value == whisper.STATISTICS


def test_any_batch_size_goes_through_the_graph() -> None:
    graph = to_onnx(Double(), NUMBERS, ["DOUBLED"])
    cases = [{"NUMBERS": np.ones((size, 3), np.float32)} for size in (1, 2, 7)]
    assert largest_error(graph, Double(), cases) == 0


def test_a_graph_that_differs_is_refused() -> None:
    graph = to_onnx(Double(), NUMBERS, ["DOUBLED"])
    with pytest.raises(ExportError, match="differs from the network"):
        largest_error(graph, torch.nn.Identity(), [NUMBERS])
    with pytest.raises(ExportError, match="differs from the network"):
        largest_error(graph, Double(), [{"NUMBERS": np.full((1, 3), np.nan, np.float32)}])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": {}}, "Missing key"),
        ({"state": AUDIO_NETS["spectrum"]().state_dict() | {"extra": torch.zeros(1)}}, "Unexpected key"),
        ({"net": "resnet"}, "no network 'resnet'"),
    ],
)
def test_wrong_weights_are_refused_and_nothing_is_written(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    path = checkpoint(tmp_path / "net.pt", **changes)
    with pytest.raises(ExportError, match=words):
        audio_starter.export(options(path, tmp_path / "repository"))
    assert not (tmp_path / "repository").exists()


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ExportError, match="no checkpoint"):
        audio_starter.export(options(path, tmp_path))
    with pytest.raises(ExportError, match="--checkpoint"):
        audio_scratch.export(options(None, tmp_path), "audio_melspec")


def test_publishing_replaces_whole_files_and_leaves_nothing_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "audio_starter"
    for gain in (1.0, 2.0):
        tiny_models.install(tmp_path / "made", "audio_starter", gain)
        graph = (tmp_path / "made" / "audio_starter" / "1" / "model.onnx").read_bytes()
        publish(graph, folder, {"source": "test"}, ["numpy"])
    assert (folder / "1" / "model.onnx").read_bytes() == graph
    assert [one.name for one in (folder / "1").iterdir()] == ["model.onnx"]
    assert "FAKE_LOGIT" in json.loads((folder / "provenance.json").read_text())["known_answer"]


def test_a_graph_does_not_tell_where_it_was_made(tmp_path: Path) -> None:
    made = to_onnx(Double(), NUMBERS, ["DOUBLED"])
    committed = (GRAPH.parent.parent / encoder_with_head.HEAD).read_bytes()
    for graph in (made, committed):
        assert b"stack_trace" not in graph
        assert b'File "' not in graph
