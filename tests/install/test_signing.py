"""Signed models: what counts, what is refused and how it is said; and the statement of what they were made of."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import signing_keys
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from veracity.catalog import MODELS, provenance
from veracity.cli import main
from veracity.install import locations, lock, statement
from veracity.install.files import WeightsError, sha256
from veracity.install.signing import SIGNATURE, Key, Signer, sign
from veracity.settings import CHECKOUT
from veracity_client.errors import BadOption, ServerUnavailable

REPOSITORY = CHECKOUT / "model_repository"
NAME = "visual_starter"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(REPOSITORY / NAME, tmp_path / "model_repository" / NAME))


@pytest.fixture
def signer(folder: Path, tmp_path: Path) -> Signer:
    """Of the key that has signed ``folder``."""
    private, public = signing_keys.key_pair(tmp_path, "key")
    sign(folder, Key(private))
    return Signer(public)


def _changed(folder: Path, file: str) -> None:
    (folder / file).write_bytes((folder / file).read_bytes() + b" ")


def _added(folder: Path, file: str) -> None:
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text("import os")


def _folder_for_signature(folder: Path) -> None:
    (folder / SIGNATURE).unlink()
    (folder / SIGNATURE).mkdir()


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "the graph": (lambda folder: _changed(folder, "1/model.onnx"), "1/model.onnx is not the file that was signed"),
    "the configuration": (
        lambda folder: _changed(folder, "config.pbtxt"),
        "config.pbtxt is not the file that was signed",
    ),
    "a file less": (lambda folder: (folder / "configs/tensorrt.pbtxt").unlink(), "configs/tensorrt.pbtxt is missing"),
    "a module that shadows another": (
        lambda folder: _added(folder, "1/numpy.py"),
        "1/numpy.py was not signed: take it out",
    ),
    "another version": (lambda folder: _added(folder, "2/model.onnx"), "2/model.onnx was not signed: take it out"),
    "a file of git's": (lambda folder: _added(folder, ".git/hook.py"), ".git/hook.py was not signed: take it out"),
    "a link": (lambda folder: (folder / "1/link").symlink_to("/etc/passwd"), "1/link' because it is a symlink"),
    "a package that shadows another": (
        lambda folder: (folder / "1/numpy").symlink_to("/usr", target_is_directory=True),
        "1/numpy' because it is a symlink",
    ),
    "no signature": (
        lambda folder: (folder / SIGNATURE).unlink(),
        "model.sig is missing: visual_starter was not signed",
    ),
    "an empty signature": (lambda folder: (folder / SIGNATURE).write_text("{}"), "model.sig: it is damaged"),
    "a signature of noise": (lambda folder: (folder / SIGNATURE).write_bytes(b"\xff\0"), "model.sig: it is damaged"),
    "a folder for a signature": (_folder_for_signature, "model.sig is missing: visual_starter was not signed"),
}


def test_what_was_signed_is_taken(folder: Path, signer: Signer) -> None:
    assert signer.error(folder) == ""


def test_compiled_code_is_not_run_in_place_of_what_was_signed(
    folder: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = folder / "1/__pycache__"
    _added(folder, "1/__pycache__/model.cpython-311.pyc")
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", _read_only)
        assert signer.error(folder) == "model.sig: 1/__pycache__/model.cpython-311.pyc was not signed: take it out"
    assert signer.error(folder) == ""
    assert not cache.exists()


def _read_only(path: Path) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_was_not_is_refused_by_the_name_of_the_file(folder: Path, signer: Signer, damage: str) -> None:
    do, words = DAMAGE[damage]
    do(folder)
    assert words in signer.error(folder)


def test_a_statement_that_was_changed_in_the_signature_is_refused(folder: Path, signer: Signer) -> None:
    signature = folder / SIGNATURE
    bundle = json.loads(signature.read_text())
    payload = bundle["dsseEnvelope"]["payload"]
    bundle["dsseEnvelope"]["payload"] = payload[:100] + ("A" if payload[100] != "A" else "B") + payload[101:]
    signature.write_text(json.dumps(bundle))
    assert signer.error(folder) == "model.sig: it was changed, or made by another key"


def test_the_signature_of_another_key_is_refused(folder: Path, signer: Signer, tmp_path: Path) -> None:
    _, other = signing_keys.key_pair(tmp_path, "other")
    assert "Key mismatch" in Signer(other).error(folder)


def test_a_model_is_not_taken_for_another(folder: Path, signer: Signer) -> None:
    moved = folder.rename(folder.parent / "visual_sbi_b4")
    assert signer.error(moved) == "model.sig is that of visual_starter, not of visual_sbi_b4"


def test_a_certificate_counts_where_its_authority_does(folder: Path, tmp_path: Path) -> None:
    private, certificate, authority = signing_keys.certified_key(tmp_path, "release")
    sign(folder, Key(private, certificate=certificate))
    assert Signer(authority).error(folder) == ""
    _, _, stranger = signing_keys.certified_key(tmp_path, "stranger")
    assert "certificate" in Signer(stranger).error(folder)


@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")  # of model-signing
def test_a_certificate_for_another_use_does_not_count(folder: Path, tmp_path: Path) -> None:
    private, certificate, authority = signing_keys.certified_key(tmp_path, "release", for_signing=False)
    sign(folder, Key(private, certificate=certificate))
    assert Signer(authority).error(folder) == "model.sig: Signing certificate cannot be used for signing"


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_setting_that_names_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(BadOption, match=f"VERACITY_MODEL_SIGNER: {file} has neither a public key"):
        Signer(file)
    with pytest.raises(BadOption, match="cannot be read: No such file"):
        Signer(tmp_path / "none")


class TestCommand:
    def test_it_signs_what_can_be_served_and_says_so(
        self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.copytree(REPOSITORY / "audio_aasist", folder.parent / "audio_aasist")  # has no graph
        private, public = signing_keys.key_pair(tmp_path, "key", "secret")
        (tmp_path / "password").write_text("secret\n")
        (folder / "1/__pycache__").mkdir()
        repository = ["--repository", str(folder.parent)]
        assert (
            main(["weights", "sign", *repository, "--key", str(private), "--password-file", str(tmp_path / "password")])
            == 0
        )
        assert capsys.readouterr().out == "visual_starter: model.sig\n"
        assert Signer(public).error(folder) == ""
        assert (folder / statement.FILE).is_file()
        assert {path.name for path in folder.parent.iterdir()} == {NAME, "audio_aasist"}

    def test_what_cannot_sign_is_said_and_leaves_the_signature(
        self, folder: Path, signer: Signer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        locked, _ = signing_keys.key_pair(tmp_path, "locked", "secret")
        before = (folder / SIGNATURE).read_bytes()
        for key, *more, words in [
            (locked, "Password was not given"),
            (tmp_path / "none.pem", "No such file"),
            (tmp_path / "key.pub", "cannot sign"),
            (tmp_path / "key.pem", "--chain", tmp_path / "x", "--chain belongs to --certificate"),
            (tmp_path / "key.pem", "audio_aasist", "has nothing to serve of audio_aasist; it has visual_starter"),
        ]:
            given = ["weights", "sign", "--repository", folder.parent, "--key", key, *more]
            assert main([str(word) for word in given]) == 3
            assert str(words) in capsys.readouterr().err
        assert (folder / SIGNATURE).read_bytes() == before

    def test_the_librarys_own_command_takes_our_signature(self, folder: Path, signer: Signer, tmp_path: Path) -> None:
        verify = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
        command = [*verify, "--signature", str(folder / SIGNATURE), "--public_key", str(tmp_path / "key.pub")]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr


def test_a_missing_package_is_said(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = signing_keys.key_pair(tmp_path, "key")
    for name in [name for name in sys.modules if name.partition(".")[0] == "model_signing"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "model_signing", None)
    with pytest.raises(WeightsError, match=r"signatures need the package model_signing: pip install .*\[signing\]"):
        sign(folder, Key(private))
    with pytest.raises(ServerUnavailable, match="VERACITY_MODEL_SIGNER: signatures need the package model_signing"):
        Signer(public)


def test_nothing_of_it_is_loaded_where_it_is_not_used() -> None:
    script = "import sys, veracity.server, veracity.install.doctor; print('model_signing' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"


@pytest.mark.parametrize("model", ["audio_starter", "visual_starter", "face_detector", "deepfake_detector"])
def test_a_statement_is_in_totos_and_slsas(model: str, tmp_path: Path) -> None:
    made = statement.statement(REPOSITORY / model, tmp_path)
    parsed = json_format.ParseDict(made, statement_pb2.Statement())
    Statement.copy_from_pb(parsed).validate()
    predicate = json_format.ParseDict(made["predicate"], provenance_pb2.Provenance())
    assert predicate.build_definition.build_type == parsed_type(model)
    assert made["predicateType"] == "https://slsa.dev/provenance/v1"
    served = {one["name"]: one["digest"]["sha256"] for one in made["subject"]}
    assert served["config.pbtxt"] == sha256(REPOSITORY / model / "config.pbtxt")
    page = provenance.read(REPOSITORY / model)
    assert served.get("1/model.onnx") == page.get("graph_sha256")


def parsed_type(model: str) -> str:
    build = {"audio_starter": "install", "face_detector": "install", "visual_starter": "export"}.get(model, "package")
    return f"pkg:pypi/veracity#{build}"


def made_of(made: dict[str, object]) -> dict[str, dict[str, object]]:
    predicate = made["predicate"]
    assert isinstance(predicate, dict)
    return {one["name"]: one for one in predicate["buildDefinition"]["resolvedDependencies"]}


def test_a_statement_names_sources_command_and_commit(folder: Path, tmp_path: Path) -> None:
    """Of a published model, as `python -m export` leaves it, with the lock file of what was fetched."""
    name, file = "lipsync_lipforensics", MODELS["lipsync_lipforensics"].files[0]
    target = folder.rename(folder.parent / name)
    facts = {
        "checkpoints": {file: "ab" * 32},
        "precision": "fp16",
        "commit": "c0" * 20,
        "versions": {"veracity": "9.9.9"},
    }
    (target / provenance.FILE).write_text(json.dumps(facts))
    lock.record(
        tmp_path, file, lock.Entry("https://drive.example/1", "", "ab" * 32, 1, "2026-11-01T00:00:00Z", "MIT", True)
    )
    made = statement.statement(target, tmp_path)
    of = made_of(made)
    assert of["veracity"] == {"name": "veracity", "uri": "pkg:pypi/veracity@9.9.9", "digest": {"gitCommit": "c0" * 20}}
    assert of[file]["digest"] == {"sha256": "ab" * 32}
    annotations = of[file]["annotations"]
    assert isinstance(annotations, dict)
    assert (annotations["source"], annotations["licence"]) == ("https://drive.example/1", "MIT")
    build = made["predicate"]["buildDefinition"]
    assert build["externalParameters"]["command"] == f"python -m export {name} --precision fp16"


def test_a_graph_that_came_with_a_commit_names_it_and_a_changed_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = tmp_path / "model_repository" / NAME / "1/model.onnx"
    shutil.copytree(REPOSITORY / NAME, graph.parent.parent)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "x"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    monkeypatch.setattr(locations, "checkout", lambda: tmp_path)
    assert made_of(statement.statement(graph.parent.parent, tmp_path))["veracity"]["digest"] == {"gitCommit": head}
    assert statement.commit() == head
    _changed(graph.parent, graph.name)
    assert "digest" not in made_of(statement.statement(graph.parent.parent, tmp_path))["veracity"]
    assert statement.commit() is None
