"""Two real servers behind one address: shadow, canary, promotion and roll-back under load, and no request is lost."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import media_samples
import pytest

from veracity.cli import main
from veracity.decision.calibration import FILE
from veracity.releases.serving import ReleaseServer, serving
from veracity.releases.store import ANSWERS, Store
from veracity.server.ports import Ports
from veracity.settings import Settings
from veracity_client import Detector, Options, Verdict

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(600)]

SECONDS = 240.0
ONLY = Options(layers=("semantic",))


@pytest.fixture(scope="module")
def store(full_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A current release and a candidate with another calibration."""
    folder = tmp_path_factory.mktemp("releases")
    plain = "\n".join(line for line in FILE.read_text().splitlines() if not line.startswith("checkpoint"))
    for name in ("one", "two"):
        calibration = folder / f"{name}.toml"
        calibration.write_text(f"{plain}\n# {name}\n")
        own = Path(shutil.copytree(full_repository, folder / f"repository of {name}"))
        command = ["release", "stage", name, "--folder", str(folder / "all")]
        assert main([*command, "--repository", str(own), "--calibration", str(calibration)]) == 0
        if name == "one":
            assert main(["release", "promote", "--folder", str(folder / "all")]) == 0
    return Store(folder / "all")


@pytest.fixture(scope="module")
def running(store: Store, settings: Settings) -> Iterator[str]:
    """Its gRPC address, while it is served."""
    server = ReleaseServer(store, Settings(), "127.0.0.1", Ports(0, 0, 0, 0), keep_previous=True)
    opened: list[Any] = []
    thread = threading.Thread(target=server.run, args=(opened.append,))
    thread.start()
    try:
        until = time.monotonic() + SECONDS
        while not opened:
            assert thread.is_alive()
            assert time.monotonic() < until
            time.sleep(0.1)
        yield opened[0].url(opened[0].ports.grpc)
    finally:
        server.request_stop()
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert serving(store) is None


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    return [media_samples.png(240 + k, 240) for k in range(40)]


@pytest.fixture
def release(store: Store) -> Callable[..., None]:
    def command(name: str, *arguments: str) -> None:
        assert main(["release", name, "--folder", str(store.folder), *arguments]) == 0

    return command


def answered_by(store: Store, name: str) -> dict[str, str]:
    """The label of each analysis that a release recorded, by its id."""
    path = store.path(name) / ANSWERS
    lines = path.read_text().splitlines() if path.is_file() else []
    return {one["video_id"]: one["label"] for one in map(json.loads, lines)}


def ask(url: str, pictures: list[bytes], threads: int = 4) -> list[Verdict]:
    with Detector(url, timeout=SECONDS) as detector, ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda picture: detector.analyze(picture, ONLY), pictures))


@contextmanager
def load(url: str, pictures: list[bytes]) -> Iterator[list[Verdict | Exception]]:
    """Requests again and again, without a repetition by the client: what is lost is seen."""
    ended, found = threading.Event(), []

    def work(first: int) -> None:
        with Detector(url, timeout=SECONDS, retries=0) as detector:
            k = first
            while not ended.is_set():
                try:
                    found.append(detector.analyze(pictures[k % len(pictures)], ONLY))
                except Exception as error:
                    found.append(error)
                k += 1

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_two_releases_side_by_side(
    store: Store, running: str, pictures: list[bytes], release: Callable[..., None]
) -> None:
    found = ask(running, pictures[:4])
    assert {one.video_id for one in found} == answered_by(store, "one").keys()
    assert not answered_by(store, "two")

    release("shadow")
    said = ask(running, pictures)
    assert {one.video_id for one in said} <= answered_by(store, "one").keys()  # no caller got the candidate's
    until = time.monotonic() + 30
    while len(answered_by(store, "two")) < len(pictures) and time.monotonic() < until:
        time.sleep(0.2)
    assert len(answered_by(store, "two")) == len(pictures)

    release("canary", "--share", "0.3")
    said = ask(running, pictures * 2)
    by = [sum(one.video_id in answered_by(store, name) for one in said) for name in ("one", "two")]
    assert sum(by) == len(said)
    assert 8 <= by[1] <= 44  # of 80 at 0.3; outside with a chance of one in 100,000

    with load(running, pictures) as answers:
        before = len(answers)
        release("promote", "--force", "the test")
        ask(running, pictures[:2])
        release("rollback")
        after = ask(running, pictures[:2])
        release("promote", "two", "--force", "again")
        last = ask(running, pictures[:2])
        wait_for(lambda: len(answers) > before + 20)
    lost = [answer for answer in answers if isinstance(answer, Exception)]
    assert not lost, lost
    assert {one.video_id for one in after} <= answered_by(store, "one").keys()
    assert {one.video_id for one in last} <= answered_by(store, "two").keys()
    ids = [one.video_id for one in answers if isinstance(one, Verdict)]
    assert len(set(ids)) == len(ids)


def wait_for(true: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_folder_is_served_once(store: Store, running: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["release", "serve", "--folder", str(store.folder), "--grpc-port", "0"]) == 3
    assert "is served already" in capsys.readouterr().err


def test_a_release_that_does_not_start_changes_nothing(
    store: Store, running: str, pictures: list[bytes], full_repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calibration = store.folder.parent / "one.toml"
    command = ["release", "stage", "three", "--folder", str(store.folder)]
    assert main([*command, "--repository", str(full_repository), "--calibration", str(calibration)]) == 0
    (store.path("three") / "model_repository" / "deepfake_detector" / "config.pbtxt").write_text("no such field: 1")
    state = store.state()
    before = state.current
    assert main(["release", "promote", "three", "--force", "the test", "--folder", str(store.folder)]) == 3
    assert "was changed after it was staged" in capsys.readouterr().err
    assert store.state().current == before
    assert ask(running, pictures[:1])
