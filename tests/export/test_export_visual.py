"""The published detectors of faces and whole pictures: their scores, maps, checkpoints and golden cases."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import SHARED
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="make test-export installs torch")

import onnxruntime  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from export import parity  # noqa: E402
from export.__main__ import main  # noqa: E402
from export.detectors.clip import TEXT, UFD  # noqa: E402
from export.detectors.dfdc import DFDC  # noqa: E402
from export.detectors.sbi import SBI  # noqa: E402
from export.graph import torch_answer  # noqa: E402
from export.published import Published, graph_of  # noqa: E402
from networks import checkpoints, name_seeded_weights  # noqa: E402
from networks.errors import CheckpointError  # noqa: E402
from networks.published.images import planes  # noqa: E402
from patches import torchvision  # noqa: E402
from veracity.catalog import MODELS, smoke_test  # noqa: E402
from veracity.evidence.crops import picture_crops  # noqa: E402
from veracity.install.graphs.publish import session  # noqa: E402
from veracity.settings import CHECKOUT  # noqa: E402

pytestmark = [
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),  # torch's and the exporter's own
    pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter:UserWarning"),  # networks of no numbers
]
slow = pytest.mark.slow
CASES = SHARED / "parity"
RNG = np.random.default_rng(0)


class Exported(NamedTuple):
    detector: Published
    net: nn.Module
    graph: onnxruntime.InferenceSession


GAINS = {SBI.model: SBI.gain, DFDC.model: 1.15}  # enough for three faces to have three answers, too little for chaos


@pytest.fixture(scope="module", params=[SBI, pytest.param(DFDC, marks=slow)], ids=lambda detector: detector.model)
def exported(request: pytest.FixtureRequest) -> Exported:
    net = request.param.network()
    name_seeded_weights.fill(net, GAINS[request.param.model])
    noise = {"FACE": RNG.integers(0, 256, (2, 380, 380, 3), np.uint8)}
    return Exported(request.param, net, session(graph_of(request.param.serve(net), request.param.table, noise)))


@pytest.fixture(scope="module")
def faces() -> NDArray[np.uint8]:
    """A flat face, noise, and a face whose left half is noise."""
    noise = RNG.integers(0, 256, (380, 380, 3), np.uint8)
    half = noise.copy()
    half[:, 190:] = 60
    return np.stack([np.full_like(noise, 90), noise, half])


def test_the_graph_has_the_tables_tensors(exported: Exported) -> None:
    found = [(one.name, one.shape[1:]) for one in (*exported.graph.get_inputs(), *exported.graph.get_outputs())]
    assert found == [("FACE", [380, 380, 3]), ("FAKE_LOGIT", [1]), ("CAM", [12, 12])]


def test_the_logit_is_the_networks_own_log_odds_of_fake(exported: Exported, faces: NDArray[np.uint8]) -> None:
    """Of two classes the second is fake: what softmax says of it, as odds."""
    (scores,) = torch_answer(exported.net.eval(), {"faces": planes(torch.from_numpy(faces)).numpy()})
    wanted = scores if scores.shape[1] == 1 else scores[:, 1:] - scores[:, :1]
    logit, _ = exported.graph.run(None, {"FACE": faces})
    assert np.ptp(wanted) > 1e-3  # three faces, three answers
    assert logit == pytest.approx(wanted, abs=1e-4)


def test_the_map_is_exact(exported: Exported, faces: NDArray[np.uint8]) -> None:
    logit, cam = exported.graph.run(None, {"FACE": faces})
    assert cam.mean(axis=(1, 2)) == pytest.approx(logit[:, 0], abs=1e-4)
    assert (cam.std(axis=(1, 2)) > 0.01).all()


def empty(detector: Published) -> dict[str, Tensor]:
    """A state dict of the right names and shapes that holds one number a weight."""
    with torch.device("meta"):
        wanted = detector.network().state_dict()
    return {name: torch.zeros((), dtype=value.dtype).expand(value.shape) for name, value in wanted.items()}


def load(detector: Published, *contents: object, folder: Path) -> nn.Module:
    """Go the way of a checkpoint file."""
    paths = [folder / f"{k}.pt" for k in range(len(contents))]
    for path, content in zip(paths, contents):
        torch.save(content, path)
    with torch.device("meta"):
        net = detector.network()
    checkpoints.load(net, detector.unpack(*(checkpoints.read(path) for path in paths)), "the file")
    return net


def test_names_may_begin_with_module(tmp_path: Path) -> None:
    state = {f"module.{name}": value for name, value in empty(DFDC).items()}
    load(DFDC, {"epoch": 3, "state_dict": state}, folder=tmp_path)


@pytest.mark.parametrize(
    ("detector", "key", "other"), [(SBI, "model", DFDC), (DFDC, "state_dict", SBI)], ids=["b4", "b7"]
)
def test_another_networks_checkpoint_is_refused(
    tmp_path: Path, detector: Published, key: str, other: Published
) -> None:
    load(detector, {key: empty(detector)}, folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"does not fit the network: \d+ missing: .*; \d+ not of this network"):
        load(detector, {key: empty(other)}, folder=tmp_path)
    with pytest.raises(CheckpointError, match=f"has no '{key}'"):
        load(detector, empty(detector), folder=tmp_path)


def test_of_clip_the_text_tower_alone_is_left_out(tmp_path: Path) -> None:
    ours = empty(UFD)
    head = {name.removeprefix("fc."): value for name, value in ours.items() if name.startswith("fc.")}
    tower = {name: value for name, value in ours.items() if name.startswith("visual.")}
    text = {name + ("weight" if name.endswith(".") else ""): torch.zeros(3) for name in TEXT}
    assert sorted(head) == ["bias", "weight"]
    load(UFD, tower | text, head, folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"1 not of this network: visual_projection\.weight"):
        load(UFD, tower | {"visual_projection.weight": torch.zeros(3)}, head, folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"1 missing: visual\.proj"):
        load(UFD, {name: value for name, value in tower.items() if name != "visual.proj"}, head, folder=tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published head comes with the golden cases, which are not here")
def test_the_published_head_fits() -> None:
    head = checkpoints.read(SHARED / "weights" / "ufd_fc_weights.pth")
    wanted = np.load(CASES / "ufd_clip_vitl14.npz")
    state = UFD.unpack({}, head)
    assert (state["fc.weight"].numpy() == wanted["fc_weight"]).all()
    assert (state["fc.bias"].numpy() == wanted["fc_bias"]).all()


@pytest.mark.skipif(not CASES.is_dir(), reason="the golden cases are not here")
@pytest.mark.parametrize(
    "case",
    [
        "sbi_efficientnet_b4",
        pytest.param("dfdc_efficientnet_b7", marks=slow),
        pytest.param("ufd_clip_vitl14", marks=slow),
    ],
)
def test_golden_case(case: str) -> None:
    row = parity.run(CASES, CHECKOUT / "weights", case)
    assert row.keys.endswith(" match")
    assert row.passed, row


@slow
def test_b4_goes_the_whole_way_untrained(tmp_path: Path, talking: Path) -> None:
    arguments = ["visual_sbi_b4", "--untrained", "--repository", str(tmp_path), "--clip", str(talking)]
    assert main(arguments) == 0
    provenance = json.loads((tmp_path / "visual_sbi_b4" / "provenance.json").read_text())
    assert provenance["untrained"] is True
    assert provenance["largest_relative_error"] <= 1e-4
    graph = onnxruntime.InferenceSession(tmp_path / "visual_sbi_b4" / "1" / "model.onnx")
    names = [output.name for output in graph.get_outputs()]
    answer = dict(zip(names, graph.run(names, smoke_test.inputs(MODELS["visual_sbi_b4"]))))
    assert smoke_test.difference(answer, provenance["known_answer"]) <= 1e-4


@pytest.mark.parametrize("shape", [(250, 240), (227, 229), (225, 300), (100, 151), (100, 300), (500, 99), (224, 224)])
def test_the_middle_is_torchvisions(shape: tuple[int, int]) -> None:
    torchvision.ensure()
    from torchvision.transforms.functional import center_crop

    image = RNG.integers(1, 256, (*shape, 3), np.uint8)
    wanted = center_crop(torch.from_numpy(image).permute(2, 0, 1), [224, 224]).permute(1, 2, 0).numpy()
    assert (picture_crops(image, 224)[0] == wanted).all()


def python(script: str, *before: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh interpreter that finds our packages, and those in the folders ``before`` first."""
    paths = ":".join(str(path) for path in (*before, CHECKOUT))
    return subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )


def test_operators_are_declared_only_where_they_are_absent() -> None:
    ran = python(
        "from patches import torchvision as patch; patch.ensure(); patch.ensure()\n"
        "import torch, torchvision, timm, open_clip.transformer\n"
        "assert bool(patch._declared) is not torchvision.extension._has_ops()\n"
        "torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)"
    )
    assert ran.returncode == 0 or "Couldn't load custom C++ ops" in ran.stderr, ran.stderr


@pytest.mark.parametrize("words", ["operator other::thing does not exist", "something else"])
def test_what_else_is_wrong_with_torchvision_is_said(tmp_path: Path, words: str) -> None:
    (tmp_path / "torchvision.py").write_text(f"raise RuntimeError({words!r})")
    ran = python("from patches import torchvision as patch; patch.ensure()", tmp_path)
    assert ran.stderr.endswith(f"RuntimeError: {words}\n")
