"""The mouths' detectors: LipForensics and SyncNet against their authors, and the cepstra against the library."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED

torch = pytest.importorskip("torch", reason="make test-export installs torch")

from export import parity  # noqa: E402
from export.detectors import crops, lipforensics, syncnet  # noqa: E402
from export.graph import to_onnx  # noqa: E402
from networks import name_seeded_weights  # noqa: E402
from networks.errors import CheckpointError  # noqa: E402
from networks.published.lipforensics import Network as LipForensics  # noqa: E402
from networks.published.lipforensics import Pixels  # noqa: E402
from networks.published.syncnet import Cepstra, Served  # noqa: E402
from networks.published.syncnet import Network as SyncNet  # noqa: E402
from veracity.catalog.detectors.lipsync_syncnet import SOUND_SAMPLES as SYNC_SAMPLES  # noqa: E402
from veracity.install.graphs.publish import ExportError, session  # noqa: E402

pytestmark = [
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),  # the exporter's own
]

RNG = np.random.default_rng(0)
TIME = np.arange(SYNC_SAMPLES) / 16_000
SOUNDS = {
    "silence": np.zeros(SYNC_SAMPLES),
    "noise": 3_000 * RNG.standard_normal(SYNC_SAMPLES),
    "quiet noise": 2 * RNG.standard_normal(SYNC_SAMPLES),
    "silence, then noise": 8_000 * RNG.standard_normal(SYNC_SAMPLES) * (TIME > 0.1),
    "loudest tone": 32_767 * np.sin(2 * np.pi * 3_000 * TIME),
    "loudest level": np.full(SYNC_SAMPLES, 32_767),
    "click": 32_767 * (np.arange(SYNC_SAMPLES) == 2_000),
}


@pytest.fixture(scope="module")
def cepstra_graph() -> bytes:
    return to_onnx(Cepstra(), {"SOUND": np.zeros((2, SYNC_SAMPLES), np.int16)}, ["CEPSTRA"])


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_cepstra_are_the_librarys(name: str, cepstra_graph: bytes) -> None:
    """The library gets the same samples behind 159 of silence: its second window begins at our second sample."""
    features = pytest.importorskip("python_speech_features")
    sound = np.clip(np.round(SOUNDS[name]), -32_768, 32_767).astype(np.int16)
    wanted = features.mfcc(np.concatenate([np.zeros(159, np.int16), sound]), 16_000)[1:21].T
    by_torch = Cepstra()(torch.from_numpy(sound[None])).numpy()
    by_onnx = session(cepstra_graph).run(None, {"SOUND": sound[None]})[0]
    for found in (by_torch, by_onnx):
        assert found.shape == (1, 1, 13, 20)
        np.testing.assert_allclose(found[0, 0], wanted, rtol=0, atol=1e-3)


def test_red_and_blue_change_places_before_the_towers() -> None:
    net = SyncNet()
    name_seeded_weights.fill(net)
    faces = torch.from_numpy(RNG.integers(0, 256, (1, 5, 224, 224, 3), np.uint8))
    sound = torch.from_numpy(SOUNDS["noise"].astype(np.int16)[None])
    with torch.inference_mode():
        served, _ = Served(net.eval()).eval()(faces, sound)
        wanted, _ = net(faces[..., [2, 1, 0]], torch.zeros(1, 1, 13, 20))
        turned, _ = net(faces, torch.zeros(1, 1, 13, 20))
    torch.testing.assert_close(served, wanted)
    assert not torch.allclose(served, turned)


def test_a_checkpoint_saved_out_of_its_object_is_read() -> None:
    state = SyncNet().state_dict()
    assert syncnet.unpack({f"__S__.{name}": value for name, value in state.items()}).keys() == state.keys()
    assert syncnet.unpack(state).keys() == state.keys()
    with pytest.raises(CheckpointError, match="no state dict"):
        syncnet.unpack({"model": state})


def test_a_clip_is_scored_alike_alone_and_among_others() -> None:
    net = LipForensics()
    name_seeded_weights.fill(net)
    served = Pixels(net.eval()).eval()
    mouths = torch.from_numpy(RNG.integers(0, 256, (3, 25, 96, 96), np.uint8))
    with torch.inference_mode():
        together, alone = served(mouths), torch.cat([served(one[None]) for one in mouths])
        framed = mouths.clone()
        framed[:, :, :4], framed[..., 92:] = 0, 255
        assert torch.equal(served(framed), together), "the edge that is cut off is seen"
    assert together.shape == (3, 1)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["lipforensics", "syncnet", "sbi_face_crop", "lipforensics_mouth_crop"])
def test_the_golden_cases_pass(case: str, tmp_path: Path) -> None:
    if not (SHARED / "parity").is_dir():
        pytest.skip("the golden cases are not here")
    row = parity.run(SHARED / "parity", tmp_path, case)
    assert row.passed, row


@pytest.mark.parametrize("change", [{}, {"vshift": 11}, {"offset": 2}, {"confidence": 34.5}])
def test_the_golden_sequence_sees_what_differs(change: dict[str, float]) -> None:
    case = SHARED / "parity" / "syncnet"
    if not case.with_suffix(".npz").is_file():
        pytest.skip("the golden cases are not here")
    facts = json.loads(case.with_suffix(".json").read_text()) | change
    arrays = dict(np.load(case.with_suffix(".npz")))
    if "vshift" in change:
        with pytest.raises(ExportError, match="shape"):
            syncnet.compare(facts, arrays)
    else:
        assert (syncnet.compare(facts, arrays) <= 1e-4) == (not change)


def test_golden_crops_see_a_pixel() -> None:
    data = Path(__file__).parent.parent / "data"
    facts = json.loads((data / "sbi_face_crop.json").read_text())
    assert crops.faces(facts, {}) == 0
    facts["cases"][7]["crop"][2] += 1
    assert crops.faces(facts, {}) == 1


def test_a_case_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"no case 'syncnet' in .*neither syncnet\.json nor syncnet\.npz"):
        parity.run(tmp_path, tmp_path, "syncnet")
    (tmp_path / "lipforensics.json").write_text('{"keys": []}')
    with pytest.raises(ExportError, match="'lipforensics' is not whole: it has no mouths, logit"):
        parity.run(tmp_path, tmp_path, "lipforensics")


def test_the_authors_network_answers_the_same() -> None:
    given = os.environ.get("VERACITY_LIPFORENSICS")
    if given is None:
        pytest.skip("VERACITY_LIPFORENSICS names no checkout")
    ours, theirs = LipForensics(), lipforensics.upstream(Path(given))
    for net in (ours, theirs):
        name_seeded_weights.fill(net)
        net.eval()
    mouths = torch.from_numpy(RNG.standard_normal((2, 1, 25, 88, 88)).astype(np.float32))
    with torch.inference_mode():
        torch.testing.assert_close(ours(mouths), theirs(mouths), rtol=1e-4, atol=1e-4)
