"""The audit of locked packages: pip-audit itself, asking a server on this machine that speaks OSV's protocol."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from veracity.settings import CHECKOUT

ADVISORY = {
    "id": "GHSA-aaaa-bbbb-cccc",
    "aliases": ["CVE-2026-12345"],
    "summary": "Reads what it should not",
    "affected": [
        {
            "package": {"name": "holey", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}
HASH = f"--hash=sha256:{'0' * 64}"
LOCK = f"holey==1.0 \\\n    {HASH}\nwhole==2.0 \\\n    {HASH}\nothers==3.0 ; python_version < '3' \\\n    {HASH}\n"


class Advisories(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/query"


class Handler(BaseHTTPRequestHandler):
    server: Advisories

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = query["package"]["name"], query["version"]
        self.server.asked.append(asked)
        body = json.dumps({"vulns": [ADVISORY]} if asked == ("holey", "1.0") else {}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def advisories() -> Iterator[Advisories]:
    server = Advisories()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def audit(url: str, folder: Path, ignored: str = "", lock: str = LOCK) -> subprocess.CompletedProcess[str]:
    (folder / "some.lock").write_text(lock)
    (folder / "ignored.toml").write_text(ignored)
    script, ignored_file = CHECKOUT / "scripts/audit.py", folder / "ignored.toml"
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    command = [sys.executable, str(script), "--url", url, "--ignored", str(ignored_file), str(folder / "some.lock")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_known_vulnerability_fails_and_is_named(advisories: Advisories, tmp_path: Path) -> None:
    done = audit(advisories.url, tmp_path)
    assert done.returncode == 1
    assert "Found 1 known vulnerability in 1 package" in done.stderr
    assert "holey 1.0" in " ".join(done.stdout.split())
    assert "CVE-2026-12345" in done.stdout
    assert advisories.asked[1:] == [("holey", "1.0"), ("whole", "2.0")]


@pytest.mark.parametrize("name", ["GHSA-aaaa-bbbb-cccc", "CVE-2026-12345"])
def test_what_the_ignore_list_names_passes(name: str, advisories: Advisories, tmp_path: Path) -> None:
    done = audit(advisories.url, tmp_path, f'[[ignore]]\nid = "{name}"\nreason = "not called"\ndate = 2026-11-28\n')
    assert (done.returncode, done.stderr) == (0, "No known vulnerabilities found, 1 ignored\n")


@pytest.mark.parametrize("lacking", ["id", "reason", "date"])
def test_an_ignored_vulnerability_has_a_reason_and_a_date(lacking: str, tmp_path: Path) -> None:
    entry = {"id": '"CVE-2026-12345"', "reason": '"not called"', "date": "2026-11-28"}
    lines = [f"{key} = {value}" for key, value in entry.items() if key != lacking]
    done = audit("http://127.0.0.1:9", tmp_path, "\n".join(["[[ignore]]", *lines]))
    assert done.returncode == 1
    assert "each entry has an id, a reason and a date" in done.stderr


def test_a_source_that_cannot_be_reached_is_said_and_fails_nothing(advisories: Advisories, tmp_path: Path) -> None:
    advisories.status = 503
    done = audit(advisories.url, tmp_path)
    said = f"audit: NOT CHECKED for known vulnerabilities: {advisories.url} cannot be reached (it answers 503)\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, "", said)
    gone = Advisories()
    gone.server_close()
    done = audit(gone.url, tmp_path)
    said = (
        f"audit: NOT CHECKED for known vulnerabilities: {gone.url} cannot be reached ([Errno 111] Connection refused)\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", said)


def test_a_lock_without_a_hash_fails(advisories: Advisories, tmp_path: Path) -> None:
    done = audit(advisories.url, tmp_path, lock=f"{LOCK}bare==2.0\n")
    assert done.returncode == 1
    assert "does not contain a hash" in done.stderr
