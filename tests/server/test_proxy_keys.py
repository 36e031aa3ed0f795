"""API keys and TLS at the server's ports."""

import json
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import canned
import pytest
import tritonclient.grpc
from server_models import WAIT_SECONDS, eventually

from veracity.server import Server
from veracity.server.proxy.access import Access, Tls
from veracity.server.proxy.keys import KeyRing
from veracity.settings import Settings
from veracity_client import Detector, TlsConfig
from veracity_client.errors import BadOption, ServerUnavailable, Unauthorized

ALICE, BOB = "alice-0123456789abcdef", "bob-0123456789abcdef"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("models")
    canned.install(repository)
    return repository


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("keys") / "keys", f"# who calls\nalice:{ALICE}\nbob:{BOB}\n")


def write(file: Path, text: str) -> Path:
    """Write a file that only its owner reads, at once."""
    new = file.with_suffix(".new")
    new.touch(0o600)
    new.write_text(text)
    return new.replace(file)


@pytest.fixture(scope="module")
def server(models: Path, key_file: Path) -> Iterator[Server]:
    access = Access(keys=KeyRing(file=key_file))
    with Server(models, models=["deepfake_detector"], access=access) as running:
        yield running


def answers(server: Server, key: str | None, protocol: str = "grpc") -> bool:
    """Say whether a caller with a key gets an answer, or is not let in."""
    url = server.grpc_url if protocol == "grpc" else f"http://{server.http_url}"
    try:
        with Detector(url, api_key=key, timeout=WAIT_SECONDS) as detector:
            return detector.analyze(b"real").label == "real"
    except Unauthorized:
        return False


@pytest.mark.triton
@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize(
    ("key", "allowed"),
    [(ALICE, True), (BOB, True), (None, False), ("nobody-0123456789abcdef", False), (ALICE[:-1], False), ("x", False)],
    ids=["one", "another", "none", "unknown", "shorter", "letter"],
)
def test_only_a_key_opens(server: Server, key: str | None, allowed: bool, protocol: str) -> None:
    assert answers(server, key, protocol) == allowed


@pytest.mark.triton
def test_a_bearer_token_is_a_key_too(server: Server) -> None:
    for token, status in ((ALICE, 200), ("nobody-0123456789abcdef", 401)):
        request = urllib.request.Request(server.metrics_url, headers={"Authorization": f"Bearer {token}"})
        assert status_of(request) == status


def status_of(request: urllib.request.Request | str, tls: ssl.SSLContext | None = None) -> int:
    try:
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS, context=tls) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.triton
def test_health_needs_no_key_and_all_else_does(server: Server) -> None:
    for path, status in (("health/live", 200), ("health/ready", 200), ("models/deepfake_detector/ready", 401)):
        assert status_of(f"http://{server.http_url}/v2/{path}") == status
    assert status_of(f"http://{server.http_url}/v2/repository/index") == 401
    assert status_of(server.metrics_url) == 401
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        with pytest.raises(Exception, match="Unauthorized"):
            client.get_server_metadata()


@pytest.mark.triton
def test_tritonserver_and_models_never_see_a_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERACITY_API_KEYS", f"alice:{ALICE}")
    settings = Settings.from_env()
    assert ALICE not in str(settings)
    assert ALICE not in json.dumps(settings.to_env())
    for pid in (server.pid, server.proxy_pid):
        assert ALICE.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
        assert ALICE.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert all(ALICE not in file.read_text(errors="replace") for file in server.run_dir.rglob("*") if file.is_file())


@pytest.mark.triton
def test_keys_change_while_the_server_runs(server: Server, key_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    carol = "carol-0123456789abcdef"
    before = key_file.read_text()
    try:
        write(key_file, f"alice:{ALICE}\ncarol:{carol}\n")
        assert [answers(server, key) for key in (ALICE, BOB, carol)] == [True, False, True]
        write(key_file, "carol\n")  # a mistake lets nobody in
        assert [answers(server, key) for key in (ALICE, BOB, carol)] == [False, False, False]
    finally:
        write(key_file, before)
    assert answers(server, BOB)
    assert ALICE not in capsys.readouterr().out


@pytest.mark.triton
def test_ready_asks_inside_where_it_may_and_with_a_key_elsewhere(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from veracity.server import readiness, rundir

    settings = Settings(model_repository=server.run_dir)
    assert readiness.own_run(server.grpc_url) is not None
    assert readiness.own_run("127.0.0.1:1") is None
    monkeypatch.setattr(rundir, "live", list)  # as another user sees it
    faults = list(readiness.faults(settings, server.grpc_url, WAIT_SECONDS))
    assert "Unauthorized" in faults[0]
    faults = list(readiness.faults(settings, server.grpc_url, WAIT_SECONDS, ALICE))
    assert [fault.partition(":")[0] for fault in faults] == ["deepfake_detector_stream"]  # which was not loaded


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "has no key"), ("alice", "entry 1 of .* is not NAME:KEY"), ("alice:short", "with a key of 16 characters"),
        (f"alice:{ALICE}\n\nbob {BOB}", "entry 2 of"), (f"alice:{ALICE}\nalice:{BOB}", "two keys named alice"),
    ],
)  # fmt: skip
def test_keys_that_are_none_are_refused(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(BadOption, match=error) as caught:
        KeyRing(file=write(tmp_path / "keys", text))
    assert "short" not in caught.value.message
    assert BOB not in caught.value.message


def test_a_key_file_that_others_read_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "keys", f"alice:{ALICE}")
    file.chmod(0o644)
    with pytest.raises(BadOption, match="chmod 600"):
        KeyRing(file=file)
    file.chmod(0o440)  # a secret of Kubernetes
    assert KeyRing(file=file).name_of(ALICE) == "alice"
    with pytest.raises(BadOption, match="cannot be read"):
        KeyRing(file=tmp_path / "absent")


def test_beyond_loopback_wants_keys_or_a_word(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="callers need API keys"):
        Server(tmp_path, host="0.0.0.0")
    Server(tmp_path, host="0.0.0.0", access=Access(insecure=True))
    Server(tmp_path, host="0.0.0.0", access=Access(keys=KeyRing(f"alice:{ALICE}")))
    Server(tmp_path, host="::1")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and a server's and a client's certificate of it."""
    folder = tmp_path_factory.mktemp("tls")
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    subject = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority"]
    subprocess.run([*new, *subject], cwd=folder, check=True, capture_output=True)
    for name in ("server", "client"):
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
        extra = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        subprocess.run([*new, *signed, *extra], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.triton
@pytest.mark.parametrize("mutual", [False, True], ids=["TLS", "mTLS"])
def test_tls(models: Path, certificates: Path, mutual: bool) -> None:
    ca = certificates / "ca.pem"
    tls = Tls(certificates / "server.pem", certificates / "server.key", ca if mutual else None)
    own = TlsConfig(ca=ca, cert=certificates / "client.pem", key=certificates / "client.key")
    with Server(models, models=["deepfake_detector"], access=Access(tls=tls)) as server:
        for url in (f"grpcs://{server.grpc_url}", f"https://{server.http_url}"):
            with Detector(url, tls=own) as detector:
                assert detector.analyze(b"real").label == "real"
            expected = pytest.raises(ServerUnavailable) if mutual else nullcontext()
            with Detector(url, tls=TlsConfig(ca=ca), timeout=WAIT_SECONDS) as detector, expected:
                assert detector.analyze(b"real").label == "real"
        with Detector(server.grpc_url, timeout=WAIT_SECONDS) as detector, pytest.raises(ServerUnavailable):
            detector.analyze(b"real")
        assert server.metrics_url.startswith("https://")
        without = ssl.create_default_context(cafile=str(ca))  # as whoever starts and stops containers asks
        assert status_of(f"{server.health_url}/ready", without) == 200
        assert status_of(server.health_url, without) == (401 if mutual else 200)
        caller = ssl.create_default_context(cafile=str(ca))
        caller.load_cert_chain(certificates / "client.pem", certificates / "client.key")
        assert status_of(server.health_url, caller) == 200


@pytest.mark.triton
def test_a_certificate_is_replaced_while_the_server_runs(models: Path, certificates: Path, tmp_path: Path) -> None:
    for name in ("server.pem", "server.key"):
        shutil.copy(certificates / name, tmp_path)
    access = Access(tls=Tls(tmp_path / "server.pem", tmp_path / "server.key"))
    with Server(models, models=["deepfake_detector"], access=access) as server:
        host, _, port = server.http_url.partition(":")
        before = ssl.get_server_certificate((host, int(port)))
        for name in ("pem", "key"):
            shutil.copy(certificates / f"client.{name}", tmp_path / "new")
            (tmp_path / "new").replace(tmp_path / f"server.{name}")
        eventually(lambda: ssl.get_server_certificate((host, int(port))) != before)
        assert ssl.get_server_certificate((host, int(port))) == (certificates / "client.pem").read_text()
