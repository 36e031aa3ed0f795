"""The whole command from a bucket into a bucket, on a real S3: killed, begun again, begun twice, and refused."""

import csv
import io
import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from bulk_runs import WAIT_SECONDS, command, processes, running, serving, until
from gateway_stores import BUCKET, KEYS, s3
from obstore.store import ObjectStore, from_url

from veracity.cli import main
from veracity.server import Server
from veracity_bulk.inputs import entries

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(1500)]

FILES = 12
CLIPS, OUT = f"s3://{BUCKET}/clips/", f"s3://{BUCKET}/results/one"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("double")) as running:
        yield running


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """The output's prefix; the environment says where the bucket is. The key ``limited`` may write nothing."""
    with s3(tmp_path_factory.mktemp("s3"), limited=[f"List:{BUCKET}", f"Read:{BUCKET}"]) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield from_url(OUT)


def content(store: ObjectStore, name: str) -> bytes:
    return bytes(store.get(name).bytes())


def rows_in(store: ObjectStore) -> list[dict[str, Any]]:
    parts = [found["path"] for batch in store.list("rows") for found in batch]
    return [row for part in parts for row in pa.parquet.read_table(pa.BufferReader(content(store, part))).to_pylist()]


def test_killed_begun_twice_and_refused(
    server: Server,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    gate, clips = tmp_path / "gate", from_url(CLIPS)
    texts = {f"{k:02}.mp4": f"real {k}" for k in range(FILES)} | {"bad.mp4": "error BadVideo: no moov atom"}
    for name, text in (texts | {"06.mp4": f"wait {gate}", "notes.txt": "no clip"}).items():
        clips.put(name, text.encode())
    everything = {f"{CLIPS}{name}" for name in texts}

    # It is killed in the middle, after another was kept out. One file waits, so that not everything is done by then.
    log = tmp_path / "log"
    at_once = command(server, CLIPS, OUT, "--part-seconds", "0")
    with log.open("w") as file, subprocess.Popen(at_once, stderr=file) as first:
        until(lambda: len(rows_in(store)) >= 4 or first.poll() is not None)
        assert first.poll() is None, log.read_text()
        assert main(command(server, CLIPS, OUT)[3:]) == 3
        assert "another run writes to it; wait for its end" in capfd.readouterr().err
        assert first.poll() is None
        below = processes(first.pid)
        first.send_signal(signal.SIGKILL)
    written = Counter(row["uri"] for row in rows_in(store))
    assert set(written.values()) == {1}
    assert set(written) < everything
    until(lambda: not running(below))

    # The same command sees that nobody renews the lock, and goes on.
    gate.touch()
    second = subprocess.run(
        command(server, CLIPS, OUT), capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )
    assert second.returncode == 1, second.stderr
    assert "another run writes to it or was killed" in second.stderr
    assert f"skipped 1 of {FILES + 2} objects, not media by name" in second.stderr
    rows = rows_in(store)
    assert Counter(row["uri"] for row in rows) == Counter(everything)
    assert Counter(row["label"] or row["error_class"] for row in rows) == {"real": FILES - 1, "fake": 1, "BadVideo": 1}
    report = json.loads(content(store, "report.json"))
    assert (report["kept"], report["rows"]) == (len(written), len(everything) - len(written))
    dead = csv.DictReader(io.StringIO(content(store, "dead-letters.csv").decode()))
    assert [(line["uri"], line["error_class"]) for line in dead] == [(f"{CLIPS}bad.mp4", "BadVideo")]
    assert f"{OUT}/dead-letters.csv" in second.stdout
    assert [found["path"] for batch in store.list() for found in batch if "lock" in found["path"]] == []

    # What the bucket refuses is said, and what is there stays.
    for key, said in (("nobody", "The access key ID you provided does not exist"), ("limited", "Access Denied.")):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        assert main(command(server, str(gate), OUT)[3:]) == 3
        assert said in capfd.readouterr().err
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["AWS_ACCESS_KEY_ID"])
    assert main(command(server, CLIPS, OUT)[3:]) == 1  # all is done, which needs no Ray
    assert f"{FILES + 1} files: {FILES + 1} kept from earlier runs, 0 rows" in capfd.readouterr().out
    assert Counter(row["uri"] for row in rows_in(store)) == Counter(everything)
    assert [entry.uri for entry in entries(f"{OUT}/dead-letters.csv", "uri")[0]] == [f"{CLIPS}bad.mp4"]
