"""Patches of other people's code: each can be applied, and says why it is there and when it can go."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from export import upstream
from export.upstream import PATCHES, Patch, Upstream, package
from veracity.install.graphs.publish import ExportError

ALL = sorted(PATCHES.glob("*/*.patch"))
NAMES = sorted(path.parent.name for path in PATCHES.glob("*/upstream.toml"))

HEAD = """Says less.

Reason: it says too much,
  and too loudly.
Upstream: https://example.org/said.py
Remove when: it says less by itself.

"""
BODY = """diff --git a/said.py b/said.py
--- a/said.py
+++ b/said.py
@@ -1,3 +1,3 @@
 FIRST = 1
-print("hello, hello")
+print("hello")
 LAST = 2
"""
SAID = 'FIRST = 1\nprint("hello, hello")\nLAST = 2\n'
LESS = 'FIRST = 1\nprint("hello")\nLAST = 2\n'


def test_there_are_patches() -> None:
    assert "lipforensics" in NAMES
    assert len(ALL) >= 3


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_a_patch_is_whole_and_says_why(path: Path) -> None:
    patch = Patch.read(path)
    origin = Upstream.read(path.parent.name)
    assert patch.files
    assert set(patch.files) <= set(origin.files)
    assert patch.fields["Upstream"].startswith(f"{origin.repository}/blob/{origin.commit}/")
    assert all(len(words) > 20 for words in patch.fields.values())
    assert path.name in (PATCHES / "README.md").read_text(encoding="utf-8")


def test_every_folder_is_explained() -> None:
    readme = (PATCHES / "README.md").read_text(encoding="utf-8")
    folders = [path.name for path in PATCHES.iterdir() if path.is_dir() and not path.name.startswith("_")]
    assert [name for name in folders if f"`{name}/`" not in readme] == []


@pytest.mark.parametrize("name", NAMES)
def test_patches_apply_to_the_commit(name: str) -> None:
    given = os.environ.get(f"VERACITY_{name.upper()}")
    if given is None:
        pytest.skip(f"VERACITY_{name.upper()} names no checkout")
    origin = Upstream.read(name)
    changed = {file for path in origin.patches for file in Patch.read(path).files}
    before = {file: Path(given, file).read_bytes() for file in origin.files}
    with origin.patched(Path(given)) as folder:
        assert {file for file in before if (folder / file).read_bytes() != before[file]} == changed
    assert {file: Path(given, file).read_bytes() for file in origin.files} == before


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Upstream:
    """An upstream of one file and one patch."""
    checkout, folder = tmp_path / "checkout", tmp_path / "patches" / "said"
    checkout.mkdir()
    (checkout / "said.py").write_text(SAID)
    folder.mkdir(parents=True)
    (folder / "0001-less.patch").write_text(HEAD + BODY)
    digest = upstream._sha256(checkout / "said.py")
    lines = ('repository = "https://example.org"', 'commit = "0123456789"', "[files]", f'"said.py" = "{digest}"')
    (folder / "upstream.toml").write_text("\n".join(lines))
    monkeypatch.setattr(upstream, "PATCHES", tmp_path / "patches")
    return Upstream.read("said")


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_copy_is_patched_whatever_its_line_ends(origin: Upstream, tmp_path: Path, ends: str) -> None:
    (tmp_path / "checkout" / "said.py").write_bytes(SAID.replace("\n", ends).encode())
    with origin.patched(tmp_path / "checkout") as folder:
        assert (folder / "said.py").read_text().splitlines() == LESS.splitlines()
        kept = folder
    assert not kept.exists()
    assert (tmp_path / "checkout" / "said.py").read_bytes() == SAID.replace("\n", ends).encode()


def test_a_repository_around_the_copy_does_not_matter(
    origin: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with origin.patched(tmp_path / "checkout") as folder:
        assert (folder / "said.py").read_text() == LESS


def test_another_commit_is_refused(origin: Upstream, tmp_path: Path) -> None:
    (tmp_path / "checkout" / "said.py").write_text(LESS)
    with pytest.raises(ExportError, match=r"said\.py in .* is not the file of commit 0123456: clone https"):
        origin.check(tmp_path / "checkout")
    (tmp_path / "checkout" / "said.py").unlink()
    with pytest.raises(ExportError, match=r"has no said\.py: clone https://example\.org and git checkout 0123456789"):
        origin.check(tmp_path / "checkout")


def test_a_patch_that_does_not_apply_is_named(origin: Upstream, tmp_path: Path) -> None:
    origin.patches[0].write_text(HEAD + BODY.replace("hello, hello", "goodbye"))
    with (
        pytest.raises(ExportError, match=r"0001-less\.patch does not apply: .*said\.py"),
        origin.patched(tmp_path / "checkout"),
    ):
        pass


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + BODY.replace(" LAST = 2\n", ""), "does not apply: error: corrupt patch"),
        (HEAD, "does not apply: error"),
        (HEAD.replace("Remove when", "Some day") + BODY, "does not say Remove when"),
        (HEAD.replace("https://example.org/said.py", "") + BODY, "does not say Upstream"),
        (BODY, "does not say Reason, Upstream, Remove when"),
    ],
)
def test_a_broken_patch_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "0001.patch").write_text(text)
    with pytest.raises(ExportError, match=words):
        Patch.read(tmp_path / "0001.patch")


def test_what_a_patch_says_may_take_two_lines(origin: Upstream) -> None:
    patch = Patch.read(origin.patches[0])
    assert patch.fields["Reason"] == "it says too much, and too loudly."
    assert patch.files == ("said.py",)


def test_without_git_it_is_said(origin: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ExportError, match="apt-get install -y git"), origin.patched(tmp_path / "checkout"):
        pass


def test_a_folder_is_a_package_as_long_as_it_is_needed(tmp_path: Path) -> None:
    from importlib import import_module

    (tmp_path / "one.py").write_text("from .two import NUMBER\n")
    (tmp_path / "two.py").write_text("NUMBER = 2\n")
    with package(tmp_path, "numbers_of_others"):
        assert import_module("numbers_of_others.one").NUMBER == 2
    with pytest.raises(ModuleNotFoundError):
        import_module("numbers_of_others.one")
