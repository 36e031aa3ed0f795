"""The whole command on a real Ray and a real tritonserver, killed twice: one row a file, and no process left."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from bulk_runs import WAIT_SECONDS, command, processes, rows_in, running, serving, until
from refusing_servers import refusing_grpc

from veracity.cli import main
from veracity.server import Server

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(900)]

FILES = 48


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("double")) as running:
        yield running


def working(root: int) -> psutil.Process | None:
    """The worker that has files, by the title that Ray gives it."""
    found = processes(root)
    return next(
        (each for each in found if "MapBatches(Worker)" in (title := title_of(each)) and "submit" in title), None
    )


def title_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_killed_twice_and_every_file_has_one_row(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, gate = tmp_path / "out", tmp_path / "gate"
    texts = {f"{k:02}.mp4": f"real {k}" for k in range(FILES)}
    texts |= {"10.mp4": f"wait {gate}", "40.mp4": f"wait {gate}", "bad.mp4": "error BadVideo: no moov atom"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    manifest = tmp_path / "files.csv"
    manifest.write_text("\n".join(["uri", *texts, "00.mp4", "missing.mp4"]) + "\n")
    everything = {str(tmp_path / name) for name in (*texts, "missing.mp4")}

    # The command is killed in the middle. One of its files waits, so that not everything is done by then.
    with subprocess.Popen(command(server, manifest, out, "--part-seconds", "0"), stderr=subprocess.DEVNULL) as first:
        until(lambda: len(rows_in(out)) >= 8 or first.poll() is not None)
        assert first.poll() is None
        below = processes(first.pid)
        assert any("raylet" in each.name() for each in below)
        first.send_signal(signal.SIGKILL)
    written = Counter(row["uri"] for row in rows_in(out))
    assert set(written.values()) == {1}
    assert set(written) < everything
    until(lambda: not running(below))

    # The same command goes on; now its worker is killed.
    with subprocess.Popen(
        command(server, manifest, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as second:
        worker = until(lambda: working(second.pid) or second.poll() is not None)
        assert second.poll() is None, second.communicate()
        worker.kill()
        gate.touch()
        below = processes(second.pid)
        said, errors = second.communicate(timeout=WAIT_SECONDS)
    assert second.returncode == 1, errors
    until(lambda: not running(below))
    rows = {row["uri"]: row for row in rows_in(out)}
    assert Counter(row["uri"] for row in rows_in(out)) == Counter(everything)
    assert Counter(row["label"] or row["error_class"] for row in rows.values()) == {
        "real": FILES - 2,
        "fake": 2,
        "BadVideo": 1,
        "Missing": 1,
    }
    report = json.loads((out / "report.json").read_text())
    assert report["kept"] + report["rows"] == report["files"] == len(everything)
    assert report["kept"] >= 8
    assert report["cost"]["core_seconds_per_video_hour"] > 0
    with (out / "dead-letters.csv").open() as file:
        assert [(line["uri"], line["error_class"]) for line in csv.DictReader(file)] == [
            (str(tmp_path / "bad.mp4"), "BadVideo"), (str(tmp_path / "missing.mp4"), "Missing"),
        ]  # fmt: skip
    assert "2 files have no verdict" in said
    assert "1 names are given more than once" in errors

    # What is done needs no Ray.
    manifest.write_text("\n".join(["uri", *(name for name in texts if name != "bad.mp4")]) + "\n")
    assert main(["bulk", str(manifest), str(out), "--url", server.grpc_url]) == 0
    assert f"{FILES} files: {FILES} kept from earlier runs, 0 rows" in capsys.readouterr().out
    assert "ray" not in sys.modules
    assert Counter(row["uri"] for row in rows_in(out)) == Counter(everything)


def test_a_run_that_cannot_begin_says_why(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.mp4").write_text("real")
    given, out = str(tmp_path / "a.mp4"), str(tmp_path / "out")
    with refusing_grpc() as (port, _):
        assert main(["bulk", given, out, "--url", f"127.0.0.1:{port}"]) == 3
        assert "Unauthorized" in capfd.readouterr().err
    assert main(["bulk", given, out, "--url", "127.0.0.1:1"]) == 3
    assert "ServerUnavailable" in capfd.readouterr().err
    assert main(["bulk", given, out, "--ray", "127.0.0.1:1"]) == 3
    assert "with --ray give --url as well" in capfd.readouterr().err
    assert rows_in(tmp_path / "out") == []


def test_a_cluster_that_runs_is_joined_and_goes_on(server: Server, tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    out, nodes = tmp_path / "out", {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=nodes)
    try:
        for name in ("a.mp4", "b.mp4"):  # the second run finds it as the first one did
            (tmp_path / name).write_text(f"real {name}")
            done = subprocess.run(
                command(server, tmp_path, out, "--ray", cluster.address), capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            assert "raylet" in {each.name() for each in processes(os.getpid())}
    finally:
        cluster.shutdown()
    assert [Path(row["uri"]).name for row in rows_in(out)] == ["a.mp4", "b.mp4"]
