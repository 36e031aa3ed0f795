"""Two real servers behind one address: shadow, canary, promotion and roll-back under load, and no request is lost."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import canned
import media_samples
import pytest

from veracity.catalog.profiles import children, choose
from veracity.cli import main
from veracity.decision.calibration import FILE
from veracity.releases.agreement import agreement
from veracity.releases.serving import ReleaseServer, serving
from veracity.releases.store import ANSWERS, Store
from veracity.server.ports import Ports
from veracity.settings import CHECKOUT, Settings
from veracity_client import Detector, Options

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(600)]

SECONDS = 240.0

Build = Callable[[Path, str], Path]


def staged(folder: Path, build: Build) -> Store:
    """A current release, one, and a candidate, two, whose calibrations are not the same."""
    plain = "\n".join(line for line in FILE.read_text().splitlines() if not line.startswith("checkpoint"))
    for name in ("one", "two"):
        calibration = folder / f"{name}.toml"
        calibration.write_text(f"{plain}\n# {name}\n")
        command = ["release", "stage", name, "--folder", str(folder / "all")]
        own = build(folder / f"repository of {name}", name)
        assert main([*command, "--repository", str(own), "--calibration", str(calibration)]) == 0
        if name == "one":
            assert main(["release", "promote", "--folder", str(folder / "all")]) == 0
    return Store(folder / "all")


@contextmanager
def served(store: Store) -> Iterator[str]:
    """Its gRPC address, while it is served."""
    server = ReleaseServer(store, Settings(), "127.0.0.1", Ports(0, 0, 0, 0), keep_previous=True)
    opened: list[Any] = []
    thread = threading.Thread(target=server.run, args=(opened.append,))
    thread.start()
    try:
        wait_for(lambda: bool(opened) or not thread.is_alive())
        yield opened[0].url(opened[0].ports.grpc)
    finally:
        server.request_stop()
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert serving(store) is None


def wait_for(true: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


def doubles(folder: Path, name: str) -> Path:
    """Detectors that answer at once, with the release's name; of the models that they would call, no graph."""
    for model in children(choose("starter")):
        (folder / model).mkdir(parents=True)
        shutil.copy(CHECKOUT / "model_repository" / model / "config.pbtxt", folder / model)
    canned.install(folder, instances=4)
    for config in folder.glob("deepfake_detector*/config.pbtxt"):  # as many may wait as of the real one
        config.write_text(config.read_text().replace("max_queue_size: 1 ", "max_queue_size: 32 "))
    for verdict in folder.glob("*/1/verdict.json"):
        verdict.write_text(verdict.read_text().replace("small networks of our own", name))
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return staged(tmp_path_factory.mktemp("doubled"), doubles)


@pytest.fixture(scope="module")
def running(store: Store) -> Iterator[str]:
    with served(store) as url:
        yield url


@pytest.fixture
def release(store: Store) -> Callable[..., None]:
    def command(name: str, *arguments: str) -> None:
        assert main(["release", name, "--folder", str(store.folder), *arguments]) == 0

    return command


def ask(url: str, videos: list[bytes]) -> list[str]:
    """Which release answered each."""
    with Detector(url, timeout=SECONDS) as detector:
        return [detector.analyze(video).profile.statement for video in videos]


@contextmanager
def load(url: str) -> Iterator[list[str]]:
    """Requests again and again, without a repetition by the client: what is lost is seen. A request takes a while."""
    ended, found = threading.Event(), []

    def work() -> None:
        with Detector(url, timeout=SECONDS, retries=0) as detector:
            while not ended.is_set():
                try:
                    found.append(detector.analyze(b"fake" * 50_000).profile.statement)
                except Exception as error:
                    found.append(f"lost: {error!r}")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_a_canary_answers_its_share(running: str, release: Callable[..., None]) -> None:
    assert set(ask(running, [b"fake"] * 4)) == {"one"}
    release("canary", "--share", "0.3")
    said = ask(running, [b"fake"] * 120)
    assert 14 <= said.count("two") <= 62  # of 120 at 0.3; outside with a chance of under one in 10,000
    assert set(said) == {"one", "two"}
    release("rollback")
    assert set(ask(running, [b"fake"] * 10)) == {"one"}


def test_promotion_and_roll_back_lose_no_request(running: str, release: Callable[..., None]) -> None:
    with load(running) as answers:
        wait_for(lambda: len(answers) > 20)
        for command in (("promote", "two", "--force", "a test"), ("rollback",), ("promote", "two", "--force", "again")):
            release(*command)
            before = len(answers)
            expected = "one" if command[0] == "rollback" else "two"
            assert set(ask(running, [b"fake"] * 5)) == {expected}
            wait_for(lambda before=before: len(answers) > before + 20)  # type: ignore[misc]
    assert not [answer for answer in answers if answer.startswith("lost")]
    assert set(answers) == {"one", "two"}


def test_a_folder_is_served_once(store: Store, running: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["release", "serve", "--folder", str(store.folder), "--grpc-port", "0"]) == 3
    assert "is served already" in capsys.readouterr().err


def test_a_release_that_does_not_start_changes_nothing(
    store: Store, running: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = doubles(tmp_path / "broken", "three")
    (broken / "deepfake_detector" / "config.pbtxt").write_text("no such field: 1")
    command = ["release", "stage", "three", "--folder", str(store.folder), "--repository", str(broken)]
    assert main([*command, "--calibration", str(store.folder.parent / "one.toml")]) == 0
    before = store.state()
    assert main(["release", "promote", "--force", "a test", "--folder", str(store.folder)]) == 3
    assert "three does not start" in capsys.readouterr().err
    assert store.state() == before
    assert set(ask(running, [b"fake"] * 3)) == {str(before.current)}


def test_a_shadow_answers_nobody(full_repository: Path, settings: Settings, tmp_path: Path) -> None:
    """Real models: what each release said is recorded, and callers get the current one's."""
    store = staged(tmp_path, lambda folder, _name: Path(shutil.copytree(full_repository, folder)))
    pictures = [media_samples.png(240 + k, 240) for k in range(6)]
    with served(store) as url, Detector(url, timeout=SECONDS) as detector:
        assert main(["release", "shadow", "--folder", str(store.folder)]) == 0
        said = {detector.analyze(picture, Options(layers=("semantic",))).video_id for picture in pictures}
        assert said <= recorded(store, "one")
        wait_for(lambda: len(recorded(store, "two")) == len(pictures))
        assert not said & recorded(store, "two")
    found = agreement(*(store.path(name) / ANSWERS for name in ("one", "two")))
    assert (found.files, found.same_label) == (len(pictures), 1.0)


def recorded(store: Store, name: str) -> set[str]:
    path = store.path(name) / ANSWERS
    return {json.loads(line)["video_id"] for line in path.read_text().splitlines()} if path.is_file() else set()
