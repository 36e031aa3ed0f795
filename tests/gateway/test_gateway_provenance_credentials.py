"""Content credentials: files signed on the spot, whole and damaged, and a network that is never asked."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import c2pa
import pytest
from credential_samples import Identity, action, authority, sign, signer
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from PIL import Image

from veracity_gateway.provenance import Provenance, credentials, read
from veracity_gateway.provenance.reader import TrustLists
from veracity_gateway.provenance.records import Credentials

GENERATED = [
    action("c2pa.created", "trainedAlgorithmicMedia", softwareAgent={"name": "Some Model", "version": "3"}),
    action("c2pa.color_adjustments", when="2026-01-02T03:04:05Z"),
]


@pytest.fixture(scope="module")
def me() -> Identity:
    return signer("Example News")


@pytest.fixture(scope="module")
def stamping() -> Identity:
    return authority(ExtendedKeyUsageOID.TIME_STAMPING, "Example Time")


@pytest.fixture
def trust(tmp_path: Path, me: Identity, stamping: Identity) -> TrustLists:
    signers, authorities = tmp_path / "signers.pem", tmp_path / "authorities.pem"
    signers.write_bytes(me.issuer)
    authorities.write_bytes(stamping.issuer)
    return TrustLists(signers, authorities)


@pytest.fixture(scope="module", params=["jpg", "mp4"])
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / f"clip.{request.param}"
    return picture(path) if request.param == "jpg" else film(path)


def picture(path: Path) -> Path:
    Image.effect_noise((160, 120), 50).convert("RGB").save(path)
    return path


def film(path: Path) -> Path:
    command = "ffmpeg -v error -f lavfi -i testsrc=duration=1:size=160x120:rate=10 -pix_fmt yuv420p"
    subprocess.run([*command.split(), str(path)], check=True)
    return path


def flip(source: Path, target: Path, position: int) -> Path:
    content = bytearray(source.read_bytes())
    content[position] ^= 1
    target.write_bytes(content)
    return target


def said(found: Provenance) -> Credentials:
    assert found.credentials
    return found.credentials


def codes(found: Provenance) -> list[str]:
    return [problem.code for problem in said(found).problems]


def test_trusted_where_the_signer_is_on_the_list(plain: Path, tmp_path: Path, me: Identity, trust: TrustLists) -> None:
    found = read(sign(plain, tmp_path / plain.name, me, GENERATED), trust=trust)
    assert (found.state, codes(found)) == ("trusted", [])
    assert said(found).signer.organisation == "Example News"
    assert said(found).signer.name == "Example Signer"
    assert said(found).generator == "Example Editor 1.2"
    assert said(found).signed_at is said(found).time_stamp is None
    made, changed = said(found).actions
    assert (made.source_means, made.software) == ("made by a generative model", "Some Model 3")
    assert (changed.means, changed.when) == ("colours were adjusted", "2026-01-02T03:04:05Z")
    assert [mark.says for mark in found.declared if mark.kind == "ai"] == ["trainedAlgorithmicMedia"]


def test_valid_where_nobody_knows_the_signer(plain: Path, tmp_path: Path, me: Identity) -> None:
    found = read(sign(plain, tmp_path / plain.name, me, GENERATED))  # by the lists in the package
    assert found.state == "valid"
    assert codes(found) == ["signingCredential.untrusted"]
    assert "Anyone can sign in any name" in found.means


@pytest.mark.parametrize("on_both", [False, True])
def test_a_time_stamp_authority_is_no_signer(tmp_path: Path, me: Identity, trust: TrustLists, on_both: bool) -> None:
    signed = sign(picture(tmp_path / "a.jpg"), tmp_path / "b.jpg", me, GENERATED)
    trust.authorities.write_bytes(me.issuer)
    if not on_both:
        trust.signers.write_bytes(signer("Another").issuer)
    found = read(signed, trust=trust)
    assert found.state == ("trusted" if on_both else "valid")
    assert codes(found) == ([] if on_both else ["signingCredential.untrusted"])


def test_invalid_where_the_content_was_changed(plain: Path, tmp_path: Path, me: Identity, trust: TrustLists) -> None:
    signed = sign(plain, tmp_path / plain.name, me, GENERATED)
    where = -50 if plain.suffix == ".jpg" else signed.read_bytes().rfind(b"mdat") + 1000
    found = read(flip(signed, tmp_path / f"flipped{plain.suffix}", where), trust=trust)
    assert found.state == "invalid"
    assert codes(found) in (["assertion.dataHash.mismatch"], ["assertion.bmffHash.mismatch"])
    assert "picture or sound was changed after signing" in found.means
    assert found.declared[0].where.startswith("content credentials (invalid)")


def test_invalid_where_a_statement_was_changed(plain: Path, tmp_path: Path, me: Identity, trust: TrustLists) -> None:
    signed = sign(plain, tmp_path / plain.name, me, GENERATED)
    where = signed.read_bytes().find(b"trainedAlgorithmicMedia")
    found = read(flip(signed, tmp_path / f"forged{plain.suffix}", where), trust=trust)
    assert found.state == "invalid"
    assert "assertion.hashedURI.mismatch" in codes(found)


def test_none_where_the_manifest_was_cut_out(plain: Path, tmp_path: Path, me: Identity, trust: TrustLists) -> None:
    signed, cut = sign(plain, tmp_path / plain.name, me, GENERATED), tmp_path / f"cut{plain.suffix}"
    if plain.suffix == ".jpg":
        Image.open(signed).save(cut)
    else:
        subprocess.run(["ffmpeg", "-v", "error", "-i", str(signed), "-c", "copy", str(cut)], check=True)
    found = read(cut, trust=trust)
    assert (found.state, found.credentials) == ("none", None)
    assert "says nothing" in found.means


def test_a_manifest_that_ends_too_early_is_no_none(plain: Path, tmp_path: Path, me: Identity) -> None:
    signed, short = sign(plain, tmp_path / plain.name, me, GENERATED), tmp_path / f"short{plain.suffix}"
    content = signed.read_bytes()
    short.write_bytes(content[: content.find(b"c2pa.claim") + 40])
    found = read(short)
    assert found.state == "unreadable"
    assert found.reason


def test_an_ingredient_speaks_as_an_ingredient(tmp_path: Path, me: Identity, trust: TrustLists) -> None:
    source = picture(tmp_path / "a.jpg")
    part = sign(source, tmp_path / "part.jpg", me, GENERATED)
    whole = sign(source, tmp_path / "whole.jpg", me, [action("c2pa.created", "digitalCapture")], ingredient=part)
    found = read(whole, trust=trust)
    assert found.state == "trusted"
    assert (said(found).ingredients, said(found).manifests) == (1, 2)
    assert [entry.of for entry in said(found).actions] == ["this file", *["an ingredient, a.jpg"] * 2]
    assert [mark.kind for mark in found.declared] == ["camera", "ai"]


@pytest.mark.parametrize("known_as", ["authority", "signer", "nobody"])
def test_time_stamped(tmp_path: Path, me: Identity, stamping: Identity, trust: TrustLists, known_as: str) -> None:
    if known_as != "authority":
        trust.authorities.write_bytes(b"")
    if known_as == "signer":
        trust.signers.write_bytes(me.issuer + stamping.issuer)
    with time_stamps(tmp_path, stamping) as address:
        signed = sign(picture(tmp_path / "a.jpg"), tmp_path / "b.jpg", me, GENERATED, time_stamps=address)
    found = read(signed, trust=trust)
    assert found.state == "trusted"
    assert said(found).signed_at
    assert said(found).time_stamp == ("trusted" if known_as == "authority" else "unknown authority")


def test_a_remote_manifest_is_not_asked_for(tmp_path: Path, me: Identity, trust: TrustLists) -> None:
    with listening() as (address, asked):
        remote = sign(picture(tmp_path / "a.jpg"), tmp_path / "b.jpg", me, GENERATED, remote_url=f"{address}/m.c2pa")
        found = read(remote, trust=trust)
        assert found.state == "unreadable"
        assert found.reason == f"the file's content credentials lie elsewhere, and nothing is fetched: {address}/m.c2pa"
        options = credentials.settings(trust.signers, trust.authorities)
        with remote.open("rb") as source, pytest.raises(credentials.Unreadable):
            credentials.read(source, options)  # here, where sockets are allowed: by the settings alone
        assert asked == []
        with remote.open("rb") as source, pytest.raises(c2pa.C2paError):
            c2pa.Reader(source)  # as it does when nobody says otherwise
        assert asked == ["/m.c2pa"]


def test_no_host_is_allowed_even_where_fetching_is(tmp_path: Path, me: Identity, trust: TrustLists) -> None:
    with listening() as (address, asked):
        remote = sign(picture(tmp_path / "a.jpg"), tmp_path / "b.jpg", me, GENERATED, remote_url=f"{address}/m.c2pa")
        options = credentials.settings(trust.signers, trust.authorities)
        options["verify"]["remote_manifest_fetch"] = True
        with remote.open("rb") as source, pytest.raises(credentials.Unreadable):
            credentials.read(source, options)
        assert asked == []


def test_nobody_is_asked_whether_a_certificate_was_revoked(tmp_path: Path, trust: TrustLists) -> None:
    with listening() as (address, asked):
        other = signer("Another", ocsp=f"{address}/ocsp")
        signed = sign(picture(tmp_path / "a.jpg"), tmp_path / "b.jpg", other, GENERATED)
        trust.signers.write_bytes(other.issuer)
        options = credentials.settings(trust.signers, trust.authorities)
        with signed.open("rb") as source:
            assert credentials.read(source, options)[0] == "trusted"
        assert asked == []
        options["verify"]["ocsp_fetch"], options["core"] = True, {}
        with signed.open("rb") as source:
            credentials.read(source, options)
        assert asked


def test_c2pa_knows_each_setting_by_its_name(trust: TrustLists) -> None:
    options = credentials.settings(trust.signers, trust.authorities)
    for section in ("trust", "verify", "core"):
        for name in options[section]:
            with pytest.raises(c2pa.C2paError):  # an unknown name is ignored, with whatever it is given
                c2pa.Settings.from_dict({"version": 1, section: {name: {"of": "a wrong type"}}})


def test_the_lists_in_the_package_are_whole() -> None:
    lists = TrustLists()
    table = lists.signers.with_name("README.md").read_text()
    for path in (lists.signers, lists.authorities):
        assert len(x509.load_pem_x509_certificates(path.read_bytes())) > 20
        digest = subprocess.run(["sha256sum", str(path)], check=True, capture_output=True, text=True).stdout.split()[0]
        assert re.search(f"`{path.name}` .* `{digest}`", table)
    c2pa.Settings.from_dict(credentials.settings(lists.signers, lists.authorities)).close()


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a server and the list of what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as address:
        yield address, asked


@contextmanager
def time_stamps(folder: Path, identity: Identity) -> Iterator[str]:
    """Yield the address of a time-stamp authority (RFC 3161), which is openssl's."""
    for name, content in (("tsa", identity.certificate), ("key", identity.key), ("chain", identity.issuer)):
        (folder / f"{name}.pem").write_bytes(content)
    (folder / "serial").write_text("01")
    (folder / "tsa.cnf").write_text(
        "[tsa]\ndefault_tsa = t\n[t]\nserial = serial\nsigner_cert = tsa.pem\nsigner_key = key.pem\ncerts = chain.pem\n"
        "signer_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256, sha384, sha512\ness_cert_id_alg = sha256\n"
    )

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            command = "openssl ts -reply -config tsa.cnf -section t -queryfile query -out reply"
            subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write((folder / "reply").read_bytes())

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as address:
        yield address


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        host, port = socket.getnameinfo(server.socket.getsockname(), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
        yield f"http://{host}:{port}"
        server.shutdown()
        thread.join()
