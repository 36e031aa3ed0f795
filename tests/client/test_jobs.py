"""How many files ``analyze`` works on at a time: what the servers say of themselves."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import canned
import pytest
from command_line import documents, in_a_terminal, run
from switchable_servers import switchable

from veracity.server import Server
from veracity_client import Detector, __version__
from veracity_client.batch import jobs_of
from veracity_client.info import ServerInfo, read_info

triton = pytest.mark.triton
WIDE = 3  # instances


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Doubles that analyse three videos at once, with a setting that changes answers."""
    repository = tmp_path_factory.mktemp("wide")
    canned.install(repository, WIDE)
    with Server(repository, env={"VERACITY_MAX_FACES": "3"}, canary_seconds=3600.0) as running:
        yield running


@triton
def test_a_server_says_how_many_videos_it_takes_and_what_it_answers_with(doubles: Server, wide: Server) -> None:
    said = []
    for server in (doubles, wide):
        with Detector(server.grpc_url) as grpc, Detector(f"http://{server.http_url}") as http:
            assert grpc.info() == http.info()
            said += grpc.info()
    assert [info and info.videos_at_once for info in said] == [1, WIDE]
    prints = [info and info.fingerprint for info in said]
    assert all(isinstance(one, str) and re.fullmatch(f"{re.escape(__version__)}-[0-9a-f]{{64}}", one) for one in prints)
    assert prints[0] != prints[1]


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_a_server_that_does_not_say_it_counts_for_four(transport: str, tmp_path: Path) -> None:
    clips = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for clip in clips:
        clip.write_text("fake")
    with switchable(transport) as switch:
        with Detector([switch.url, f"{transport}://127.0.0.1:1"]) as detector:
            assert detector.info() == [None, None]
        done, seen = in_a_terminal("--json", "--url", switch.url, *clips)
        assert done.returncode == 1
        assert [line["label"] for line in documents(done)] == ["fake", "fake"]
        assert "4 at a time" in seen
    assert jobs_of([None, ServerInfo(3, None)]) == 7


@pytest.mark.parametrize(
    "config", [{}, {"instance_group": None}, {"instance_group": [1]}, {"instance_group": [{"count": "many"}]}]
)
def test_what_is_no_configuration_says_nothing(config: dict[str, object]) -> None:
    assert read_info(config) is None


@triton
def test_the_servers_add_up_and_the_option_goes_before(doubles: Server, wide: Server, tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.mp4").write_text("real")
    both = ["--url", wide.grpc_url, "--url", doubles.grpc_url]
    for arguments, jobs in ((both[:2], WIDE), (both, WIDE + 1), ([*both, "--jobs", "2"], 2)):
        done, seen = in_a_terminal(*arguments, tmp_path)
        assert done.returncode == 0
        assert f"files, {jobs} at a time" in seen
        assert "6/6" in seen
        assert done.stdout.count(b"REAL") == 6
        assert b"at a time" not in done.stdout
    assert run("--json", tmp_path, url=wide.grpc_url).stderr == b""


@triton
def test_results_want_servers_of_one_answer(doubles: Server, wide: Server, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("real")
    out = tmp_path / "results.jsonl"
    done = run("--out", out, "--url", wide.grpc_url, "--url", doubles.grpc_url, tmp_path / "a.mp4")
    assert done.returncode == 3
    assert b"other models or settings" in done.stderr
    assert run("--out", out, tmp_path / "a.mp4", url=wide.grpc_url).returncode == 0
    shutil.copy(out, tmp_path / "before")
    assert run("--out", out, tmp_path / "a.mp4", url=doubles.grpc_url).returncode == 0
    (old,), (new,) = (documents_of(path) for path in (tmp_path / "before", out))
    assert old.pop("asked") != new.pop("asked")  # it was asked again
    assert old == new


def documents_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
