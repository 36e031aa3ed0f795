"""What most tests stand on: the repository, real media made on the spot, and one tritonserver for all of them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import canned
import measuring
import pytest
import server_models
import skips
import structlog
import tiny_models
import tritonclient.grpc

from veracity.analysis.context import AnalysisContext
from veracity.server import Server
from veracity.settings import CHECKOUT, Settings
from veracity_client import Detector

if TYPE_CHECKING:  # not every environment that tests run in has a browser's driver
    from browsers import Watched
    from playwright.sync_api import Browser, Page

collect_ignore_glob = [] if find_spec("ray") else ["bulk/*"]  # environments with torch are without Ray
REPOSITORY = CHECKOUT / "model_repository"
SHARED = CHECKOUT.parent / "shared"
VISUAL = ("visual_starter", "lipsync_starter", "semantic_starter", "semantic_texture_starter")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(skips.Skips())


@pytest.fixture(autouse=True)
def usual_log() -> Iterator[None]:
    """A test that configures the log, as ``veracity serve`` does, leaves it as it was for those that read it."""
    yield
    structlog.reset_defaults()


def installed(settings: Settings) -> Settings:
    """Skip, with the reason, where set-up did not fetch what a real run needs."""
    for path in (settings.weights / "silero_vad.onnx", REPOSITORY / "face_detector" / "1" / "model.onnx"):
        if not path.is_file():
            pytest.skip(f"{path.name} of {path.parent.parent.name} is not installed: make models")
    return settings


@pytest.fixture(scope="session")
def settings() -> Settings:
    return installed(Settings())


@pytest.fixture(scope="session")
def context(settings: Settings) -> AnalysisContext:
    return AnalysisContext.from_settings(settings)


@pytest.fixture(scope="session")
def full_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with a real (tiny) graph in every video layer: what it answers is known, and takes no time."""
    target = tmp_path_factory.mktemp("repository") / "model_repository"
    shutil.copytree(REPOSITORY, target)
    for name in VISUAL:
        tiny_models.install(target, name)
    return target


@pytest.fixture(scope="session")
def full_context(full_repository: Path, settings: Settings) -> AnalysisContext:
    return AnalysisContext.from_settings(Settings(model_repository=full_repository))


@pytest.fixture(scope="session")
def media_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="session")
def server(full_repository: Path, media_folder: Path, settings: Settings) -> Iterator[Server]:
    """A real tritonserver with all four layers, reading files by name from ``media_folder``."""
    with Server.from_settings(Settings(model_repository=full_repository, media_root=media_folder)) as running:
        yield running


@pytest.fixture(scope="module")
def detector(server: Server) -> Iterator[Detector]:
    with Detector(server.grpc_url) as found:
        yield found


@pytest.fixture(scope="session")
def talking(media_folder: Path, settings: Settings) -> Path:
    """Six seconds of espeak-ng over a moving photograph of a face: sound, speech and a face."""
    from veracity.media import find_ffmpeg
    from veracity.sample import Clip, make_sample

    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    portrait = settings.weights / "astronaut.png"
    return make_sample(media_folder / "talking.mp4", portrait, find_ffmpeg(None), Clip(640, 360, 6.0, 1_500_000))


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory, talking: Path) -> Path:
    """A folder of clips to measure on: :func:`measuring.make`."""
    return measuring.make(tmp_path_factory.mktemp("measured"), talking)


@pytest.fixture
def clips(media: Path, monkeypatch: pytest.MonkeyPatch, full_repository: Path) -> Path:
    """The list of them, to be asked of the tiny models."""
    monkeypatch.setenv("VERACITY_MODEL_REPOSITORY", str(full_repository))
    return measuring.listed(media)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that vouches for itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=veracity", "-addext", "subjectAltName=IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command = ["openssl", "req", "-x509", *curve, *subject, "-days", "2", "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made, key


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models, some of which cannot be served: ``server_models.py``."""
    return server_models.make_repository(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def open_server(models: Path) -> Iterator[Server]:
    """A tritonserver of them that lets everybody call every model."""
    with Server(models, access=server_models.OPEN, canary_seconds=0.5) as running:
        yield running


@pytest.fixture(scope="module")
def client(open_server: Server) -> Iterator[tritonclient.grpc.InferenceServerClient]:
    with tritonclient.grpc.InferenceServerClient(open_server.grpc_url) as made:
        yield made


@pytest.fixture(scope="module")
def doubles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A tritonserver with doubles of both detectors (``double_model.py``)."""
    repository = tmp_path_factory.mktemp("double")
    canned.install(repository)
    with Server(repository, canary_seconds=3600.0) as running:  # a canary would take a place in the queue
        yield running


@pytest.fixture(scope="module")
def labelled_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files to which the doubles give the label that they are named after, and one that is an error."""
    folder = tmp_path_factory.mktemp("labelled")
    for label in ("real", "fake", "inconclusive", "error BadVideo: no moov atom"):
        (folder / label.partition(" ")[0]).write_text(label)
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of a megabyte, to be filled."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can make a root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    from browsers import chromium
    from pages import SHOWN_SECONDS
    from playwright.sync_api import expect

    with chromium() as running:
        expect.set_options(timeout=1000 * SHOWN_SECONDS)
        yield running
        expect.set_options(timeout=5000)


@pytest.fixture
def opened(browser: "Browser") -> "Iterator[Watched]":
    from browsers import watched

    with watched(browser) as found:
        yield found


@pytest.fixture
def page(opened: "Watched") -> "Page":
    return opened.page
