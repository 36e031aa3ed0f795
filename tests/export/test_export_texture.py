"""The texture model: the faces' lower blocks with a head, built and proved without torch."""

import argparse
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from conftest import REPOSITORY

from export.semantic_texture_starter import BACKBONE, MODEL, Head, export, features, join, largest_error
from veracity.catalog import provenance
from veracity.install.graphs.publish import ExportError, session

CHANNELS = 112


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    shutil.copytree(REPOSITORY / BACKBONE, tmp_path / "repository" / BACKBONE)
    return tmp_path / "repository"


def head() -> Head:
    return Head(np.random.default_rng(0).normal(0, 0.1, 3 * CHANNELS + 1), 0.5)


def checkpoint(folder: Path, backbone: str | None) -> Path:
    about = json.dumps({"trained_on": ["tests"], "backbone": backbone}).encode()
    path = folder / "texture.npz"
    np.savez(path, **head().arrays(), about=np.frombuffer(about, np.uint8))
    return path


def arguments(repository: Path, given: Path | None) -> argparse.Namespace:
    return argparse.Namespace(repository=repository, checkpoint=given)


def test_features_are_mean_spread_and_maximum_of_the_faces_channels_and_fineness(repository: Path) -> None:
    squares = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3)).astype(np.uint8)
    (found,) = session(features(repository)).run(None, {"FRAME": squares})
    whole = onnx.load(repository / BACKBONE / "1" / "model.onnx")
    first = next(node for node in whole.graph.node if "head.1.weight" in node.input)
    joined = next(node for node in whole.graph.node if first.input[0] in node.output)
    whole.graph.output.append(onnx.helper.make_tensor_value_info(joined.input[0], onnx.TensorProto.FLOAT, None))
    cells = session(whole).run([joined.input[0]], {"FACE": squares})[0].reshape(2, CHANNELS, -1)
    wanted = np.concatenate([cells.mean(2), cells.std(2), cells.max(2)], axis=1)
    assert found[:, :-1] == pytest.approx(wanted, abs=1e-4)
    grey = [cv2.cvtColor(square.astype(np.float32), cv2.COLOR_RGB2GRAY) for square in squares]
    fine = np.log([np.abs(cv2.Laplacian(one, cv2.CV_32F)[1:-1, 1:-1]).mean() + 0.1 for one in grey])
    assert found[:, -1] == pytest.approx(fine, rel=1e-5)


def test_an_exported_model_names_what_it_was_made_of(repository: Path, tmp_path: Path) -> None:
    learned = provenance.checkpoint(repository / BACKBONE)
    export(arguments(repository, checkpoint(tmp_path, learned)))
    page = provenance.read(repository / MODEL)
    assert page["trained_on"] == ["tests"]
    assert page["backbone"] == {BACKBONE: learned}
    assert page["largest_error"] < 1e-4
    squares = np.full((1, 224, 224, 3), 90, np.uint8)
    (logit,) = session((repository / MODEL / "1" / "model.onnx").read_bytes()).run(["FAKE_LOGIT"], {"FRAME": squares})
    seen = session(features(repository)).run(None, {"FRAME": squares})[0]
    assert logit == pytest.approx(head()(seen), abs=1e-4)


def test_a_head_for_other_weights_or_a_wrong_file_is_refused(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="was taught on another visual_starter"):
        export(arguments(repository, checkpoint(tmp_path, "0" * 64)))
    (tmp_path / "no.npz").write_bytes(b"no zip")
    with pytest.raises(ExportError, match=r"no\.npz is no checkpoint"):
        export(arguments(repository, tmp_path / "no.npz"))
    with pytest.raises(ExportError, match="give its head with --checkpoint"):
        export(arguments(repository, None))
    assert not (repository / MODEL).exists()


def test_a_graph_that_is_not_its_parts_is_refused(repository: Path) -> None:
    backbone, mine = features(repository), head()
    with pytest.raises(ExportError, match="the graph and NumPy differ"):
        largest_error(join(backbone, mine), backbone, Head(mine.weight, mine.bias + 1))
