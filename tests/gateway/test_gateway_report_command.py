"""``veracity analyze --html`` and ``veracity verify``, as a person calls them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import QUIET
from report_samples import evidence

from veracity.server import Server
from veracity_gateway.report.document import make_report
from veracity_gateway.report.html import to_html
from veracity_gateway.report.signing import SigningKey

triton = pytest.mark.triton
WITHOUT = "import sys; sys.modules['veracity_gateway'] = None; from veracity.cli import main; sys.exit(main())"


def veracity(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *QUIET, "-m", "veracity.cli", *map(str, arguments)]
    variables = {**os.environ, "COLUMNS": "200", **environment}
    return subprocess.run(command, capture_output=True, text=True, env=variables, check=False)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    made = make_report(evidence(), SigningKey.in_folder(tmp_path / "keys"))
    (tmp_path / "report.json").write_bytes(made.to_json())
    (tmp_path / "report.html").write_text(to_html(made), "utf-8")
    return tmp_path / "report.json"


def test_verify_says_a_line_a_check(report: Path) -> None:
    done = veracity("verify", report)
    assert done.returncode == 0
    assert done.stderr == ""
    lines = [line.split(": ")[:2] for line in done.stdout.splitlines()]
    assert ["signature", "ok"] in lines
    assert ["key", "not checked"] in lines
    assert {result for _, result in lines} == {"ok", "not checked"}


def test_verify_exits_with_1_for_what_was_changed_or_is_about_another_file(report: Path) -> None:
    assert veracity("verify", report, report).returncode == 1
    page = report.with_suffix(".html")
    page.write_bytes(page.read_bytes().replace(b"Called fake", b"").replace(b"<h2>", b"<h2>Forged ", 1))
    done = veracity("verify", page)
    assert done.returncode == 1
    assert "page: failed" in done.stdout
    document = json.loads(report.read_bytes())
    document["evidence"]["name"] = "a\nsignature: ok: \x1b[2J"
    document["signature"]["algorithm"] = "a\nkey: ok: \x1b[2J"
    report.write_text(json.dumps(document))
    done = veracity("verify", report)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith("key: ok")] == []


def test_verify_exits_with_3_for_what_cannot_be_read(report: Path, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"\0")
    for arguments in (["absent"], [tmp_path / "junk"], [report, "absent"], [report, "--key", "absent"], []):
        done = veracity("verify", *arguments)
        assert done.returncode == 3, arguments
        assert "Traceback" not in done.stderr


def test_without_the_package_both_say_what_to_install(report: Path) -> None:
    for arguments in (["verify", report], ["analyze", report, "--html", "out.html"]):
        command = [sys.executable, *QUIET, "-c", WITHOUT, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 3
        assert "veracity_gateway" in done.stderr
        assert "[gateway]" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.mp4", "b.mp4", "--html", "out.html"], "a report is of one file"),
        (["a.mp4", "--html", "out.html", "--out", "results"], "leave out --out"),
        (["a.mp4", "--report", "absent/report.json"], "there is no folder"),
        (["a.mp4", "--audit-log", "log"], "are for --html"),
        (["a.mp4", "--html", "out.html", "--signing-key", "absent.pem"], "cannot be read"),
    ],
)
def test_what_cannot_become_a_report_is_refused_before_anything_is_analysed(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    done = veracity("analyze", *arguments, "--url", "localhost:9", XDG_DATA_HOME=str(tmp_path))
    assert done.returncode == 3
    assert said in done.stderr


@triton
@pytest.mark.slow
def test_analyze_writes_what_verify_finds_ok(doubles: Server, labelled_clips: Path, tmp_path: Path) -> None:
    made = {name: tmp_path / f"report.{name}" for name in ("html", "pdf", "json")}
    options: list[str | Path] = [
        "--html",
        made["html"],
        "--pdf",
        made["pdf"],
        "--report",
        made["json"],
        "--audit-log",
        tmp_path / "log",
    ]
    done = veracity(
        "analyze", labelled_clips / "fake", "--url", doubles.grpc_url, *options, XDG_DATA_HOME=str(tmp_path)
    )
    assert done.returncode == 1, done.stderr
    assert "FAKE" in done.stdout
    key = tmp_path / "veracity" / "keys" / "report-key.pub.pem"
    for path in made.values():
        found = veracity("verify", path, "--key", key, "--audit", tmp_path / "log")
        assert found.returncode == 0, found.stdout + found.stderr
        assert "key: ok" in found.stdout
        assert "audit log: ok" in found.stdout
    document = json.loads(made["json"].read_bytes())
    assert document["evidence"]["name"] == str(labelled_clips / "fake")
    assert document["evidence"]["verdict"]["label"] == "fake"
    assert document["evidence"]["provenance"]["state"] in {"none", "unreadable"}


@triton
def test_a_report_that_cannot_be_written_is_said_after_the_verdict(
    doubles: Server, labelled_clips: Path, tmp_path: Path
) -> None:
    arguments: list[str | Path] = [
        "analyze",
        labelled_clips / "real",
        "--json",
        "--url",
        doubles.grpc_url,
        "--html",
        tmp_path,
    ]
    done = veracity(*arguments, XDG_DATA_HOME=str(tmp_path))
    assert done.returncode == 3
    assert len(done.stdout.splitlines()) == 1
    assert json.loads(done.stdout)["label"] == "real"
    assert "the report was not written" in done.stderr


@triton
def test_an_error_has_no_report(doubles: Server, labelled_clips: Path, tmp_path: Path) -> None:
    arguments: list[str | Path] = [
        "analyze",
        labelled_clips / "error",
        "--url",
        doubles.grpc_url,
        "--html",
        tmp_path / "out.html",
    ]
    done = veracity(*arguments, XDG_DATA_HOME=str(tmp_path))
    assert done.returncode == 3
    assert not (tmp_path / "out.html").exists()
