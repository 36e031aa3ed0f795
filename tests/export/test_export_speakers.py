"""Light-ASD: its checkpoint, its authors' own answers, and a film of two faces in a real server."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import media_samples
import numpy as np
import pytest
from conftest import REPOSITORY, SHARED, installed
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="make test-export installs torch")

from export.__main__ import main as export  # noqa: E402
from export.detectors.light_asd import LIGHT_ASD, unpack  # noqa: E402
from export.graph import to_onnx  # noqa: E402
from networks import checkpoints, name_seeded_weights  # noqa: E402
from networks.published.light_asd import Network, Served  # noqa: E402
from networks.published.syncnet import Cepstra  # noqa: E402
from veracity import cli  # noqa: E402
from veracity.catalog import SPEAKER  # noqa: E402
from veracity.catalog.detectors.speaker_light_asd import SIDE, SOUND_SAMPLES, WEIGHTS  # noqa: E402
from veracity.install.files import sha256  # noqa: E402
from veracity.install.graphs.publish import session  # noqa: E402
from veracity.server import Server  # noqa: E402
from veracity.settings import Settings  # noqa: E402
from veracity_client import Detector  # noqa: E402
from veracity_client.verdict import Options  # noqa: E402

pytestmark = [
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),  # the exporter's own
]

TIME = np.arange(SOUND_SAMPLES) / 16_000
SOUND = (9_000 * np.sin(2 * np.pi * 440 * TIME)).astype(np.int16)
FACES = np.tile(np.arange(SIDE, dtype=np.uint8), (25, SIDE, 1))
# of frames 0, 6, 12, 18 and 24: the authors' code of commit ed38c23 with python_speech_features 0.6 and these weights
THEIRS = [-2.46549, -2.38984, -2.27835, -2.20431, -1.44533]


@pytest.fixture(scope="module")
def published() -> Path:
    file = SHARED / "weights" / "light_asd_TalkSet.model"
    if not file.is_file():
        pytest.skip("the shared weights are not here")
    return file


def test_the_authors_code_answers_the_same(published: Path) -> None:
    assert sha256(published) == WEIGHTS.sha256
    net = Network()
    checkpoints.load(net, unpack(checkpoints.read(published)), published.name)
    assert answer(net.eval())[::6] == pytest.approx(THEIRS, abs=1e-4)


def answer(net: Network) -> NDArray[np.float32]:
    with torch.inference_mode():
        odds: NDArray[np.float32] = (
            Served(net).eval()(torch.from_numpy(FACES[None]), torch.from_numpy(SOUND[None]))[0].numpy()
        )
    return odds


def test_the_head_that_only_the_training_reads_is_left_out() -> None:
    own = Network().state_dict()
    theirs = {f"lossAV.{name}" if name.startswith("FC.") else f"model.{name}": value for name, value in own.items()}
    assert unpack(theirs | {"lossV.FC.weight": torch.zeros(2, 128)}).keys() == own.keys()


def test_the_graph_answers_as_the_network_in_batches_too() -> None:
    net = Network()
    name_seeded_weights.fill(net, LIGHT_ASD.gain)
    given = {"FACES": np.stack([FACES, 255 - FACES]), "SOUND": np.stack([SOUND, SOUND // 2])}
    assert [t.name for t in SPEAKER.inputs] == list(given)
    served = Served(net.eval()).eval()
    graph = session(to_onnx(served, given, [t.name for t in SPEAKER.outputs]))
    (found,) = graph.run(None, given)
    assert found.shape == (2, *SPEAKER.outputs[0].shape)
    alone = np.concatenate([graph.run(None, {n: a[k : k + 1] for n, a in given.items()})[0] for k in range(2)])
    with torch.inference_mode():
        wanted = served(*(torch.from_numpy(array) for array in given.values())).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    np.testing.assert_allclose(found, alone, atol=1e-4)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_four_windows_of_cepstra_are_a_frame() -> None:
    """As the library reads a track: its window at 10 ms × k is ours, with the sample before it."""
    features = pytest.importorskip("python_speech_features")
    sound = np.random.default_rng(0).integers(-3_000, 3_000, SOUND_SAMPLES, np.int16)
    wanted = features.mfcc(np.concatenate([np.zeros(159, np.int16), sound]), 16_000)[1:101].T
    found = Cepstra()(torch.from_numpy(sound[None])).numpy()[0, 0]
    assert found.shape == (13, 4 * 25)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3)


FILMS = SHARED / "data" / "video_real"
TALKS, LISTENS = (
    FILMS / "LatentSync__assets__demo1_video.mp4",
    FILMS / "LivePortrait__assets__examples__driving__d18.mp4",
)


@pytest.fixture(scope="module")
def served(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detector]:
    """A tritonserver with the model, fetched and exported as a person does it."""
    if not (TALKS.is_file() and LISTENS.is_file()):
        pytest.skip(f"no media at {FILMS}")
    usual, folder = installed(Settings()), tmp_path_factory.mktemp("speakers")
    weights, repository = folder / "weights", folder / "model_repository"
    shutil.copytree(REPOSITORY, repository, ignore=shutil.ignore_patterns(SPEAKER.name, "semantic_*", "visual_*"))
    (repository / SPEAKER.name).mkdir()
    shutil.copy(REPOSITORY / SPEAKER.name / "config.pbtxt", repository / SPEAKER.name)
    weights.mkdir()
    for file in usual.weights.iterdir():
        (weights / file.name).symlink_to(file)
    (weights / WEIGHTS.name).unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VERACITY_WEIGHTS", str(weights))
        patch.setenv("VERACITY_MODEL_REPOSITORY", str(repository))
        assert cli.main(["weights", "fetch", "--from", str(published.parent), SPEAKER.name]) == 0
        assert export([SPEAKER.name, "--clip", str(TALKS)]) == 0
    with (
        Server.from_settings(usual.replace(weights=weights, model_repository=repository)) as server,
        Detector(server.grpc_url) as detector,
    ):
        yield detector


@pytest.mark.parametrize("talks_left", [True, False])
def test_speech_is_linked_to_the_face_whose_it_is(served: Detector, talks_left: bool, tmp_path: Path) -> None:
    """A person who speaks beside one who moves the face and does not, real films: never to the other one."""
    left, right = (TALKS, LISTENS) if talks_left else (LISTENS, TALKS)
    half = "fps=25,scale=320:320:force_original_aspect_ratio=increase,crop=320:320"
    graph = f"[0:v]{half}[a];[1:v]{half}[b];[a][b]hstack[v]"
    sound = "0:a" if talks_left else "1:a"
    film = media_samples.write(
        tmp_path / "two.mp4", "-i", left, "-i", right, "-filter_complex", graph, "-map", "[v]", "-map", sound,
        *media_samples.H264, "-t", 6,
    )  # fmt: skip
    verdict = served.analyze(film, Options(policy="exhaustive", explain=True, layers=("audio", "lipsync")))
    assert verdict.explanation is not None
    found = verdict.explanation.speakers
    assert found is not None
    assert found.reason is None
    places = {face.id: face.boxes[0].box[0] for face in verdict.faces}
    speaker = min(places, key=lambda face: places[face] if talks_left else -places[face])
    assert len(places) == 2
    assert len(found.heard_face) >= 3
    linked = [heard.face for heard in found.heard_face if heard.face is not None]
    assert set(linked) == {speaker}
    assert 2 * len(linked) > len(found.heard_face)
    assert {face.face: bool(face.speaks) for face in found.faces} == {face: face == speaker for face in places}
