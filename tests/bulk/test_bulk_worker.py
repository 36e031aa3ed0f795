"""What a worker says of each file, on a real tritonserver and a real bucket: verdicts, refusals, unreadable files."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from gateway_stores import BUCKET, s3
from obstore.store import from_url
from url_servers import site

from veracity.server import Server
from veracity_bulk import files, schema
from veracity_bulk.inputs import entries
from veracity_bulk.worker import Job, Worker
from veracity_client import Options
from veracity_client.errors import Overloaded

pytestmark = pytest.mark.triton

Ask = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture
def ask(doubles: Server) -> Ask:
    def asked(*uris: str, earlier: dict[str, Any] | None = None, **more: Any) -> dict[str, dict[str, Any]]:
        given = {"attempts": 2, "seconds": 60.0, "max_bytes": 1000, "threads": 2, "places": 1.0} | more
        job = Job((doubles.grpc_url,), None, Options(), "1-f", "{}", **given)
        table = pa.table({"uri": uris, "earlier": [json.dumps((earlier or {}).get(uri, [])) for uri in uris]})
        found = Worker(job)(table)
        return {uri: json.loads(answer) for uri, answer in zip(found["uri"].to_pylist(), found["answer"].to_pylist())}

    return asked


def test_every_file_has_its_row(ask: Ask, tmp_path: Path) -> None:
    texts = {
        "real": "real 1",
        "bad": "error BadVideo: no moov atom",
        "down": "error ModelUnavailable: gone",
        "big": "x" * 1001,
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    found = ask(*(str(tmp_path / name) for name in (*texts, "missing")), threads=1)
    rows = {Path(row["uri"]).name: row for row in schema.to_table(list(found.values())).to_pylist()}
    assert {name: (row["label"], row["error_class"], row["attempts"]) for name, row in rows.items()} == {
        "real": ("real", None, 1), "bad": (None, "BadVideo", 1), "down": (None, "ModelUnavailable", 2),
        "big": (None, "TooLarge", 1), "missing": (None, "Missing", 1),
    }  # fmt: skip
    assert rows["down"]["error"] == "gone (asked 2)"
    real = rows["real"]
    assert json.loads(real["verdict"])["input"]["sha256"] == real["content_sha256"]
    assert real["id"] == schema.identity(real["content_sha256"], "1-f", "{}")
    assert real["file_version"] == files.version(str(tmp_path / "real"))
    assert rows["missing"]["content_sha256"] is rows["big"]["content_sha256"] is None


def test_what_stands_is_not_asked_again(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "once"
    path.write_text("error BadVideo: counted once")
    (row,) = ask(str(path)).values()
    version, sha256 = row["file_version"], row["content_sha256"]
    assert row["error"].endswith("(asked 1)")
    for known in ([version, "0" * 64, "by version"], [None, sha256, "by content"], ["other", sha256, "by content"]):
        assert ask(str(path), earlier={str(path): [known]}) == {str(path): {"kept": known[2]}}
    (again,) = ask(str(path), earlier={str(path): [["other", "0" * 64, "of another content"]]}).values()
    assert again["error"].endswith("(asked 2)")  # and not between


def test_a_full_queue_is_waited_for(ask: Ask, tmp_path: Path) -> None:
    """One is worked on and one waits; of eight at once some are refused, and all have their verdict in the end."""
    gate = tmp_path / "gate"
    for k in range(8):
        (tmp_path / str(k)).write_text(f"wait {gate}")

    def open_gate() -> None:
        time.sleep(2)
        gate.touch()

    threading.Thread(target=open_gate).start()
    rows = ask(*(str(tmp_path / str(k)) for k in range(8)), threads=8, attempts=20).values()
    assert {row["label"] for row in rows} == {"fake"}
    assert max(row["attempts"] for row in rows) > 1
    gate.unlink()
    threading.Thread(target=open_gate).start()
    rows = ask(*(str(tmp_path / str(k)) for k in range(8)), threads=8, attempts=1).values()
    refused = [row for row in rows if "error_class" in row]
    assert {row["error_class"] for row in refused} == {Overloaded.__name__}
    assert len(refused) >= 5


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A bucket with eight clips, of which the key ``limited`` may list all and read those below ``open/``."""
    may = [f"List:{BUCKET}", f"Read:{BUCKET}/open*"]
    with s3(tmp_path_factory.mktemp("s3"), limited=may) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        store = from_url(f"s3://{BUCKET}")
        for k in range(8):
            store.put(f"{'open' if k % 2 else 'closed'}/clip {k}.mp4", f"real {k}".encode())
        store.put("open/notes.txt", b"no clip")
        patch.setenv("AWS_ACCESS_KEY_ID", "limited")
        files._store.cache_clear()
        yield environment


def test_a_bucket_that_denies_half_of_its_keys(bucket: dict[str, str], ask: Ask) -> None:
    found, notes = entries(f"s3://{BUCKET}/", "uri")
    assert notes == [f"s3://{BUCKET}/: skipped 1 of 9 objects, not media by name"]
    rows = ask(*(each.uri for each in found), f"s3://{BUCKET}/open/gone.mp4", "s3://nobucket/a.mp4")
    refused = rows.pop("s3://nobucket/a.mp4")
    assert refused["error_class"] in ("Missing", "Denied")  # which one tells whether there is such a bucket
    denied = sorted(uri for uri, row in rows.items() if row.get("error_class") == "Denied")
    assert denied == [f"s3://{BUCKET}/closed/clip {k}.mp4" for k in (0, 2, 4, 6)]
    assert all("may not be read" in rows[uri]["error"] for uri in denied)
    read = sorted(uri for uri, row in rows.items() if row.get("label") == "real")
    assert read == [f"s3://{BUCKET}/open/clip {k}.mp4" for k in (1, 3, 5, 7)]
    assert {rows[each.uri]["file_version"] for each in found if each.uri in read} == {
        each.version for each in found if each.uri in read
    }
    assert rows[f"s3://{BUCKET}/open/gone.mp4"]["error_class"] == "Missing"


def test_a_site(ask: Ask) -> None:
    with site() as web:
        web.busy = 1
        (busy,) = ask(web.at("/a.mp4"), max_bytes=20000).values()
        found = ask(*map(web.at, ("/to?url=/b.mp4", "/none", "/endless", "/short")), max_bytes=20000)
        files._web().close()
        files._web.cache_clear()
    assert (busy["label"], busy["attempts"]) == ("fake", 2)
    rows = {uri.rpartition("/")[2]: row.get("label") or row["error_class"] for uri, row in found.items()}
    assert rows == {"b.mp4": "fake", "none": "Missing", "endless": "TooLarge", "short": "StoreUnavailable"}
