"""Files from addresses: what may be asked, where the connection really goes, and what is left behind: nothing."""

import hashlib
import io
import ipaddress
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import structlog
from gateway_server import gateway, settings_in
from killed_gateway import killed_at_the_end
from url_servers import MOVIE, TEXTS, Site, site

from veracity_client.errors import TooLarge
from veracity_gateway.errors import BadUrl, UploadTimeout, UrlTimeout, UrlUnavailable
from veracity_gateway.inbound.files import Received
from veracity_gateway.inbound.urls import check_url, fetch, name_of
from veracity_gateway.jobs import runner
from veracity_gateway.outbound import Outbound, is_public

PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "192.0.0.192", "168.63.129.16",
    "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1", "3fff::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
    "2002:7f00:1::", "2002:a00:1::1", "2001::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]


@pytest.fixture
def remote() -> Iterator[Site]:
    with site() as server:
        yield server


def fetched(url: str, folder: Path, outbound: Outbound | None = None, **given: Any) -> Received:
    settings = settings_in(folder, **{"fetch_private": True, **given})

    async def run() -> Received:
        return await fetch(url, folder / "in", settings, outbound=outbound)

    return anyio.run(run)


async def here(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


def left(folder: Path) -> list[Path]:
    return list((folder / "in").glob("*"))


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_not_asked(address: str, tmp_path: Path) -> None:
    assert not is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(BadUrl, match="may not be asked"):
        check_url(f"http://{host}/film.mp4")

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["8.8.8.8", address]  # one that is not public among several is enough

    with pytest.raises(BadUrl, match="may not be asked: its host has no public address"):
        fetched("http://films.example/a.mp4", tmp_path, Outbound(private=False, resolve=resolve))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_asked(address: str) -> None:
    check_url(f"https://[{address}]/film.mp4" if ":" in address else f"https://{address}/film.mp4")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://films.example/a", "file:///etc/passwd", "//films.example/a", "films.example/a", "", "http://",
        "http://user:word@films.example/", "http://films.example\\@127.0.0.1/", "http://films.example:22/",
        "http://2130706433/", "http://0177.0.0.1/", "http://0x7f.1/", "http://0x7f000001/", "http://127.1/",
        "http://127.0.0.1./", "http://[::1]:80/", "http://[::ffff:7f00:1]/", "http://[fe80::1%25eth0]/",
        "http://127。0。0。1/", "http://films.example/\n", "https://films.example/" + "a" * 9000,
    ],
)  # fmt: skip
def test_what_is_no_address_of_the_public_network_is_refused_by_its_text(url: str) -> None:
    with pytest.raises(BadUrl):
        check_url(url)


def test_a_name_of_this_machine_is_looked_up_and_refused(tmp_path: Path) -> None:
    with pytest.raises(BadUrl, match="may not be asked"):
        fetched("http://localhost/a.mp4", tmp_path, fetch_private=False)
    with pytest.raises(BadUrl, match="may not be asked"):  # in the same words: what is known inside is nobody's
        fetched("http://no-such-host.invalid/a.mp4", tmp_path, fetch_private=False)


def test_a_file_comes_whole_with_its_name_and_digest(remote: Site, tmp_path: Path) -> None:
    file = fetched(remote.at("/films/a%20b.mp4?X-Signature=s%2B1"), tmp_path)
    assert file.path.read_bytes() == MOVIE
    assert (file.name, file.size, file.sha256) == ("a b.mp4", len(MOVIE), hashlib.sha256(MOVIE).hexdigest())
    path, headers = remote.asked[0]
    assert path == "/films/a%20b.mp4?X-Signature=s%2B1"  # a signature holds for these very bytes
    assert headers["Accept-Encoding"] == "identity"
    assert "Cookie" not in headers
    assert fetched(remote.at("/named"), tmp_path).name == "film.mp4"
    assert name_of("https://films.example/") == "films.example"


def test_the_environments_proxy_is_not_asked(remote: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert fetched(remote.at("/a.mp4"), tmp_path).size == len(MOVIE)


def test_the_connection_goes_to_the_address_that_was_checked(remote: Site, tmp_path: Path) -> None:
    """A name server that answers otherwise the second time is asked once."""
    answers = iter([["127.0.0.1"], ["127.0.0.9"], ["127.0.0.9"]])
    asked = []

    async def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    file = fetched(remote.at("/a.mp4", "rebound.example"), tmp_path, Outbound(private=True, resolve=resolve))
    assert file.size == len(MOVIE)
    assert asked == ["rebound.example"]
    assert remote.asked[0][1]["Host"] == f"rebound.example:{remote.port}"


def test_a_redirect_is_checked_as_the_first_address_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first host is taken for public, so that the second answer is what the rule meets."""
    monkeypatch.setattr("veracity_gateway.outbound.is_public", lambda address: str(address) == "127.0.0.1")
    monkeypatch.setattr("veracity_gateway.outbound.PUBLIC_PORTS", range(65536))
    with site() as remote:
        for target in ("http://127.0.0.2/", "http://[::1]/", "http://10.0.0.1/latest/meta-data", "ftp://127.0.0.1/"):
            with pytest.raises(BadUrl):
                fetched(remote.at(f"/to?url={target}"), tmp_path, fetch_private=False)
        with pytest.raises(BadUrl, match="over 5 times"):
            fetched(remote.at("/round"), tmp_path, fetch_private=False)
        assert fetched(remote.at("/to?url=/a.mp4"), tmp_path, fetch_private=False).size == len(MOVIE)


def test_https_does_not_lead_to_http(
    certificate: tuple[Path, Path], remote: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with site(certificate) as safe:
        assert fetched(safe.at("/a.mp4"), tmp_path).size == len(MOVIE)
        with pytest.raises(BadUrl, match="https"):
            fetched(safe.at(f"/to?url={remote.at('/a.mp4')}"), tmp_path)
        with pytest.raises(BadUrl, match="certificate is not valid"):  # it is one of 127.0.0.1
            fetched(safe.at("/a.mp4", "other.example"), tmp_path, Outbound(private=True, resolve=here))
    assert not remote.asked


@pytest.mark.parametrize("path", TEXTS)
def test_what_is_no_media_is_refused(path: str, remote: Site, tmp_path: Path) -> None:
    with pytest.raises(BadUrl, match=r"no media file|empty file"):
        fetched(remote.at(path), tmp_path)
    assert not left(tmp_path)


def test_a_compressed_transfer_is_refused(remote: Site, tmp_path: Path) -> None:
    with pytest.raises(BadUrl, match="compressed"):
        fetched(remote.at("/bomb"), tmp_path)


@pytest.mark.parametrize("path", ["/endless", "/large"])
def test_too_many_bytes_are_refused(path: str, remote: Site, tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        fetched(remote.at(path), tmp_path, max_bytes=1 << 20)
    assert not left(tmp_path)


def test_a_length_that_lies(remote: Site, tmp_path: Path) -> None:
    assert fetched(remote.at("/lying"), tmp_path).size == len(MOVIE)
    with pytest.raises(UrlUnavailable, match="broke off"):
        fetched(remote.at("/short"), tmp_path)


def test_slow_and_silent_addresses_end_in_time(remote: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    with pytest.raises(UploadTimeout):
        fetched(remote.at("/drip"), tmp_path, upload_seconds=0.5)
    monkeypatch.setattr("veracity_gateway.outbound.IDLE_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(UrlTimeout):
        fetched(f"http://127.0.0.1:{silent.getsockname()[1]}/a.mp4", tmp_path)
    assert time.monotonic() - begun < 10
    assert not left(tmp_path)


def test_an_address_that_does_not_answer_is_502(remote: Site, tmp_path: Path) -> None:
    with pytest.raises(UrlUnavailable):
        fetched("http://127.0.0.1:1/a.mp4", tmp_path)
    remote.busy = 1
    with pytest.raises(UrlUnavailable, match="status 503"):
        fetched(remote.at("/a.mp4"), tmp_path)
    with pytest.raises(BadUrl, match="status 404"):
        fetched(remote.at("/nothing"), tmp_path)


def ended(url: str, job: str, *states: str) -> dict[str, object]:
    until = time.monotonic() + 30
    while True:
        shown: dict[str, object] = httpx.get(f"{url}/jobs/{job}").json()
        if shown["state"] in states:
            return shown
        assert time.monotonic() < until, shown
        time.sleep(0.05)


def asked(url: str, video_url: str) -> str:
    answer = httpx.post(f"{url}/analyze-video", json={"video_url": video_url})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


def events(url: str, job: str) -> str:
    """Return what happened to a job so far; the stream of one that waits does not end."""
    found = ""
    with httpx.stream("GET", f"{url}/jobs/{job}/events") as stream:
        for line in stream.iter_lines():
            found += line + "\n"
            if "QUEUED" in line or "event: end" in line:
                break
    return found


def test_a_job_of_an_address_is_fetched_and_waits_for_its_analysis(remote: Site, tmp_path: Path) -> None:
    with gateway(settings_in(tmp_path, fetch_private=True)) as url:
        job = asked(url, remote.at("/a.mp4?signature=secret"))
        shown = ended(url, job, "QUEUED", "PROCESSING")
        assert (shown["sha256"], shown["bytes"]) == (hashlib.sha256(MOVIE).hexdigest(), len(MOVIE))
        assert '"stage": "download", "status": "done"' in events(url, job)
        assert httpx.get(f"{url}/jobs/{job}/media").content == MOVIE
        assert not list((tmp_path / "incoming").glob("*"))


def test_a_job_ends_with_the_error_of_its_address(
    remote: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "FIRST_PAUSE", 0.05)
    log = io.StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
    with gateway(settings_in(tmp_path, fetch_private=True)) as url:
        found = ended(url, asked(url, remote.at("/page?signature=secret")), "ERROR")["error"]
        assert isinstance(found, dict)
        assert (found["type"], found["status"]) == ("urn:veracity:error:BadUrl", 400)
        remote.busy = 2
        assert ended(url, asked(url, remote.at("/a.mp4")), "QUEUED", "PROCESSING", "ERROR")["state"] != "ERROR"
        remote.busy = 3
        found = ended(url, asked(url, remote.at("/b.mp4")), "ERROR")["error"]
        assert isinstance(found, dict)
        assert found["status"] == 502
        assert "secret" not in str(found)
    assert "BadUrl" in log.getvalue()
    assert "secret" not in log.getvalue()


def test_deleting_a_job_stops_its_download(remote: Site, tmp_path: Path) -> None:
    with gateway(settings_in(tmp_path, fetch_private=True)) as url:
        job = asked(url, remote.at("/drip"))
        while not list((tmp_path / "incoming").glob("*")):
            time.sleep(0.02)
        assert httpx.delete(f"{url}/jobs/{job}").status_code == 204
        until = time.monotonic() + 5
        while list((tmp_path / "incoming").glob("*")):
            assert time.monotonic() < until
            time.sleep(0.02)


def test_a_download_is_given_back_at_a_stop(remote: Site, tmp_path: Path) -> None:
    settings = settings_in(tmp_path, fetch_private=True)
    with gateway(settings) as url:
        job = asked(url, remote.at("/drip"))
        while not remote.asked:
            time.sleep(0.02)
    remote.quick = True
    with gateway(settings) as url:
        ended(url, job, "QUEUED", "PROCESSING")


@pytest.mark.slow
def test_a_download_is_taken_over_after_a_kill(remote: Site, tmp_path: Path) -> None:
    with killed_at_the_end(tmp_path) as url:
        job = asked(url, remote.at("/drip"))
        while not remote.asked:
            time.sleep(0.02)
    remote.quick = True
    with killed_at_the_end(tmp_path) as url:
        assert ended(url, job, "QUEUED", "PROCESSING")["sha256"] == hashlib.sha256(MOVIE).hexdigest()


def test_private_addresses_are_refused_at_the_request(tmp_path: Path) -> None:
    with gateway(settings_in(tmp_path)) as url:
        for path in ("/analyze-video", "/predict"):
            answer = httpx.post(f"{url}{path}", json={"video_url": "http://169.254.169.254/latest"})
            assert (answer.status_code, answer.json()["type"]) == (400, "urn:veracity:error:BadUrl")
        assert httpx.get(f"{url}/jobs").json()["jobs"] == []
