"""The real graph on real photographs."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from veracity.catalog import ASSETS, FACE_DETECTOR, smoke_test
from veracity.catalog.assets import PORTRAIT_FILE
from veracity.catalog.detectors.face_detector import CENTERFACE, MAX_FACES
from veracity.evidence.faces import Detection, detections, iou, letterbox
from veracity.install.files import WeightsError
from veracity.install.graphs import face_detector
from veracity.install.graphs.face_numpy import Faces, Raw
from veracity.install.graphs.publish import ExportError
from veracity.install.names import find
from veracity.install.store import fetch
from veracity.settings import CHECKOUT, Settings

ASTRONAUT = (178.0, 60.0, 270.0, 177.0)  # her face in the portrait, 512x512
SHARED = CHECKOUT.parent / "shared"


def _folder(*names: str) -> Path:
    """Return the folder that holds all these files, or skip."""
    for folder in (Settings().weights, SHARED / "weights"):
        if all((folder / name).is_file() for name in names):
            return folder
    pytest.skip(f"{', '.join(names)} not installed: veracity weights fetch")


@pytest.fixture(scope="module", params=["centerface", "yunet"])
def graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported graph of each network whose file is here."""
    sources = find([face_detector.NETWORKS[request.param].file, PORTRAIT_FILE])
    folder = tmp_path_factory.mktemp("weights")
    for source in sources:
        fetch([source], folder, from_dir=_folder(source.name))
    repository = tmp_path_factory.mktemp("repository")
    face_detector.install(folder, repository, request.param)
    return repository / "face_detector"


@pytest.fixture(scope="module")
def session(graph: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph / "1" / "model.onnx", providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    return face_detector.read_photograph(_folder(PORTRAIT_FILE) / PORTRAIT_FILE)


def look(session: onnxruntime.InferenceSession, images: list[NDArray[np.uint8]], side: int) -> list[list[Detection]]:
    batch, scale = letterbox(images, side)
    answers = session.run(face_detector.OUTPUTS, {"IMAGE": batch})
    return detections(dict(zip(face_detector.OUTPUTS, answers)), scale)


def test_the_graph_has_the_contract_of_the_layer_table(session: onnxruntime.InferenceSession) -> None:
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape[3]) == ("IMAGE", "tensor(uint8)", 3)
    assert not any(isinstance(side, int) for side in image.shape[:3])
    shapes = {value.name: tuple(value.shape[1:]) for value in session.get_outputs()}
    assert shapes == {tensor.name: tensor.shape for tensor in FACE_DETECTOR.outputs}
    assert {value.type for value in session.get_outputs()} == {"tensor(float)"}


def test_provenance_names_what_it_was_made_of(graph: Path) -> None:
    provenance = json.loads((graph / "provenance.json").read_text())
    assert provenance["source"]["sha256"] in {asset.sha256 for asset in ASSETS}
    assert provenance["bytes"] == (graph / "1" / "model.onnx").stat().st_size
    assert provenance["largest_error"] <= face_detector.TOLERANCE
    assert sorted(p.name for p in graph.rglob("*") if p.is_file()) == ["model.onnx", "provenance.json"]


def test_the_known_question_has_one_face(session: onnxruntime.InferenceSession) -> None:
    (scores,) = session.run(["SCORES"], smoke_test.inputs(FACE_DETECTOR))
    assert scores[0, 0] > 0.8
    assert not scores[0, 1:].any()


@pytest.mark.parametrize("side", [160, 320, 480, 512])
def test_one_face_in_the_portrait(
    session: onnxruntime.InferenceSession, astronaut: NDArray[np.uint8], side: int
) -> None:
    ((one,),) = look(session, [astronaut], side)
    assert iou(one.box, ASTRONAUT) > 0.7
    right_eye, left_eye, nose, right_mouth, left_mouth = one.landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


def test_a_picture_in_a_batch_is_answered_as_alone(
    session: onnxruntime.InferenceSession, astronaut: NDArray[np.uint8]
) -> None:
    nobody = np.full_like(astronaut, 127)
    pair = np.hstack([astronaut[:, 100:356], astronaut[:, 355:99:-1]])
    images = [astronaut, nobody, np.ascontiguousarray(astronaut[::-1]), pair, astronaut]
    batch, _ = letterbox(images, 320)
    together = session.run(face_detector.OUTPUTS, {"IMAGE": batch})
    for k in range(len(images)):
        alone = session.run(face_detector.OUTPUTS, {"IMAGE": batch[k : k + 1]})
        for ours, whole in zip(alone, together):
            np.testing.assert_allclose(ours[0], whole[k], atol=1e-3)
    assert [int((scores > 0).sum()) for scores in together[1]][:2] == [1, 0]
    assert (together[1][3] > 0).sum() == 2


def test_what_is_no_face_is_zero(session: onnxruntime.InferenceSession, astronaut: NDArray[np.uint8]) -> None:
    for batch in (np.zeros((2, 64, 96, 3), np.uint8), letterbox([astronaut], 320)[0]):
        boxes, scores, landmarks = session.run(face_detector.OUTPUTS, {"IMAGE": batch})
        assert boxes.shape == (len(batch), MAX_FACES, 4)
        assert not boxes[scores == 0].any()
        assert not landmarks[scores == 0].any()
        assert (np.diff(scores) <= 0).all()


def test_the_smallest_picture_is_answered(session: onnxruntime.InferenceSession) -> None:
    _, scores, _ = session.run(face_detector.OUTPUTS, {"IMAGE": np.zeros((1, 32, 32, 3), np.uint8)})
    assert scores.shape == (1, MAX_FACES)


def test_more_faces_than_places(session: onnxruntime.InferenceSession, astronaut: NDArray[np.uint8]) -> None:
    """Twenty-five faces, sixteen places: all taken, none twice."""
    head = cv2.resize(astronaut[20:220, 120:330], (96, 96), interpolation=cv2.INTER_AREA)
    (found,) = look(session, [np.tile(head, (5, 5, 1))], 480)
    assert len(found) == MAX_FACES
    assert max(iou(a.box, b.box) for k, a in enumerate(found) for b in found[:k]) <= 0.3


@pytest.mark.parametrize("shape", [(1, 64, 64, 1), (64, 64, 3), (1, 64, 50, 3)])
def test_other_shapes_are_refused(session: onnxruntime.InferenceSession, shape: tuple[int, ...]) -> None:
    with pytest.raises(Exception, match=r"(?i)dimension|rank|shape"):
        session.run(face_detector.OUTPUTS, {"IMAGE": np.zeros(shape, np.uint8)})


def test_group_photographs(session: onnxruntime.InferenceSession) -> None:
    """Photographs with a known number of faces, all of them at least 16 pixels wide at 480."""
    folder = SHARED / "data" / "images_real"
    if not folder.is_dir():
        pytest.skip("the development media are not here")
    expected = {"2008_001009": 2, "2008_001322": 3, "2008_002506": 3, "2009_004587": 2}
    for name, count in expected.items():
        image = face_detector.read_photograph(folder / f"dlib__examples__faces__{name}.jpg")
        assert len(look(session, [image], 480)[0]) == count, name


def test_export_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"centerface.onnx is missing: veracity weights fetch"):
        face_detector.install(tmp_path, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("off", [0.5, float("nan")])
def test_export_refuses_a_graph_that_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: float) -> None:
    """A decoder that is wrong by half a pixel, or has no numbers, is caught before anything is written."""
    folder = tmp_path / "weights"
    names = [CENTERFACE.name, PORTRAIT_FILE]
    fetch(find(names), folder, from_dir=_folder(*names))
    right = face_detector.NETWORKS["centerface"]

    def wrong(raw: Raw, image: int, sides: tuple[int, int]) -> Faces:
        boxes, scores, points = right.decode(raw, image, sides)
        return boxes + off, scores, points

    monkeypatch.setitem(face_detector.NETWORKS, "centerface", replace(right, decode=wrong))
    with pytest.raises(ExportError, match=rf"differ by {off}"):
        face_detector.install(folder, tmp_path / "r")
    assert not (tmp_path / "r").exists()
