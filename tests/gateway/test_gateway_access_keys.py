"""``veracity gateway keys``, and what it does to ``veracity gateway``: the gateway runs as a process."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from gateway_server import NOWHERE, running_gateway, settings_in

from veracity.cli import parser
from veracity_client.errors import BadOption, VeracityError
from veracity_gateway.access.limits import Rates
from veracity_gateway.command import serve

KEY = re.compile(r"vk_([0-9a-f]{16})_([\w-]{43})\n", re.ASCII)


Keys = Callable[..., tuple[str, str]]


@pytest.fixture
def keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Keys:
    """Run ``veracity gateway keys``; return what it printed and what it said beside."""

    def run(*arguments: str) -> tuple[str, str]:
        args = parser().parse_args(["gateway", "keys", *arguments, "--data", str(tmp_path)])
        assert args.command(args) == 0
        said = capsys.readouterr()
        return said.out, said.err

    return run


def test_a_key_is_shown_once_and_kept_as_a_digest(tmp_path: Path, keys: Keys) -> None:
    added, note = keys("add", "Ann's laptop", "--scopes", "review,read", "--per-minute", "5", "--jobs-a-day", "7")
    assert (said := KEY.fullmatch(added))
    assert "this once" in note
    listed, _ = keys("list")
    assert re.search(rf"^{said[1]}  Ann's laptop  read,review  5 +7 +\S+ \S+  -     -$", listed, re.M), listed
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert said[1].encode() in everything
    assert said[2].encode() not in everything
    assert said[2] not in listed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["add", "x", "--scopes", "all"], "there is no scope 'all'; there are analyze, read, review, admin"),
        (["add", ""], "1 to 200 characters"),
        (["add", "x", "--per-minute", "0"], "1 or more"),
        (["add", "x", "--jobs-a-day", "0"], "1 or more"),
        (["revoke", "0" * 16], "there is no key 0000000000000000"),
        (["revoke", "vk_"], "there is no key"),
    ],
)
def test_what_the_command_refuses(keys: Keys, arguments: list[str], message: str) -> None:
    with pytest.raises(VeracityError, match=message):
        keys(*arguments)
    assert len(keys("list")[0].splitlines()) == 1  # the headings


def test_other_machines_come_in_with_a_key_alone(tmp_path: Path, keys: Keys) -> None:
    outside = settings_in(tmp_path, host="0.0.0.0")
    with pytest.raises(BadOption, match="there is no API key yet: `veracity gateway keys add`"):
        serve(outside)
    key = keys("add", "first")[0].strip()
    with running_gateway("--host", "0.0.0.0", "--data", tmp_path) as (url, _):
        url = url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/jobs").status_code == 401
        assert httpx.get(f"{url}/jobs", headers={"x-api-key": key, "Host": "gateway.example"}).status_code == 200
        revoked, note = keys("revoke", key)
        assert revoked.endswith("is revoked, with its sessions\n")
        assert "no key is left" in note
        assert httpx.get(f"{url}/jobs", headers={"x-api-key": key}).status_code == 401
    with pytest.raises(BadOption, match="there is no API key yet"):
        serve(outside)


def test_no_secret_is_in_the_log(tmp_path: Path, keys: Keys) -> None:
    key = keys("add", "first")[0].strip()
    with running_gateway("--data", tmp_path) as (url, process), httpx.Client(base_url=url) as client:
        client.post("/session", json={"api_key": key}).raise_for_status()
        cookie = client.cookies["veracity"]
        wrong = key[:-1] + "-"
        for headers in ({"x-api-key": wrong}, {"Authorization": f"Bearer {key}"}):
            client.get("/jobs", headers=headers)
        client.post("/session", json={"api_key": "k" * 600, "more": key})
        with sqlite3.connect(tmp_path / "gateway.db") as database:  # so that the next request meets a fault
            database.execute("DROP TABLE page_sessions")
            database.execute("ALTER TABLE api_keys RENAME TO elsewhere")
        database.close()
        assert client.get("/jobs", headers={"x-api-key": key}).status_code == 503
        assert client.get("/session").status_code == 503
        process.terminate()
        assert process.stderr
        log = process.stderr.read()
    assert log.count("a request failed") == 2
    for secret in (key, key.split("_", 2)[2], wrong, cookie):
        assert secret not in log


def test_the_gateway_without_its_package_says_what_to_install() -> None:
    script = "import sys; sys.modules['veracity_gateway'] = None; from veracity.cli import main; sys.exit(main())"
    for arguments in (["gateway", "--url", NOWHERE], ["gateway", "keys", "list"]):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 3
        assert "[gateway]'" in done.stderr


def test_requests_come_back_evenly() -> None:
    now = 0.0
    rates = Rates(window=60, clock=lambda: now)
    assert [rates.take("a", 3).requests for _ in range(3)] == [2, 1, 0]
    refused = rates.take("a", 3)
    assert (refused.requests, refused.full_in, round(refused.wait, 6)) == (0, 60, 20)
    assert rates.take("b", 3).wait == 0
    now = 19.9
    assert round(rates.take("a", 3).wait, 6) == 0.1
    now = 20.0
    taken = rates.take("a", 3)
    assert (taken.requests, taken.wait) == (0, 0)
    now = 1000.0
    assert rates.left("a", 3).requests == 3
    assert (rates.take("a", 3).requests, rates.left("a", 3).requests) == (2, 2)


@pytest.mark.parametrize("quota", [1, 7, 60, 599, 600, 10_000])
def test_a_quota_is_given_whole(quota: int) -> None:
    rates = Rates(window=60, clock=lambda: 12345.678)
    given = [rates.take("a", quota) for _ in range(quota + 1)]
    assert [left.requests for left in given] == [*range(quota - 1, -1, -1), 0]
    assert [left.wait > 0 for left in given] == [False] * quota + [True]


def test_names_that_are_full_again_are_forgotten() -> None:
    now = 0.0
    rates = Rates(window=60, clock=lambda: now)
    for second in range(40_000):
        now = float(second)
        rates.take(str(second), 20)
    assert len(rates._full_at) <= 10_000


MADE_ELSEWHERE = f"vk_{'0a' * 8}_{'A' * 43}"


def test_a_key_that_was_made_elsewhere_comes_in_once(tmp_path: Path, keys: Keys) -> None:
    file = tmp_path / "admin-key"
    file.write_text(f"{MADE_ELSEWHERE}\n")
    for _ in range(2):  # an init container runs at each start
        said = keys("add", "cluster", "--scopes", "admin", "--key-file", str(file))
        assert said == ("", "")
    listed, _ = keys("list")
    assert listed.count("cluster") == 1
    with running_gateway("--data", tmp_path) as (url, _process):
        answer = httpx.get(f"{url}/metrics", headers={"x-api-key": MADE_ELSEWHERE})
        assert "veracity_gateway_queued_video_seconds 0.0" in answer.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("vk_secret", "a key is vk_, 16 hexadecimal digits, _ and 43 characters"),
        (MADE_ELSEWHERE[:-1] + "B", "another key has the id 0a0a0a0a0a0a0a0a"),
        (MADE_ELSEWHERE, "the key 0a0a0a0a0a0a0a0a was revoked"),
        (None, "--key-file: .* cannot be read"),
    ],
)
def test_a_file_that_lets_nobody_in_is_an_error(tmp_path: Path, keys: Keys, content: str | None, message: str) -> None:
    file = tmp_path / "admin-key"
    file.write_text(MADE_ELSEWHERE)
    keys("add", "cluster", "--key-file", str(file))
    if content == MADE_ELSEWHERE:
        keys("revoke", MADE_ELSEWHERE)
    file.write_text(content) if content is not None else file.unlink()
    with pytest.raises(BadOption, match=message):
        keys("add", "cluster", "--key-file", str(file))
