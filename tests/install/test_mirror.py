"""Where a file comes from when its first address does not give it: a mirror by digest, then the fall-backs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from weights_server import CONTENT, SHA256, Server, serving

from veracity import cli
from veracity.catalog import ASSETS, Source
from veracity.install import lock
from veracity.install.files import WeightsError
from veracity.install.installer import install
from veracity.install.store import fetch, verify
from veracity.settings import Settings
from veracity_client.errors import BadOption


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as running:
        yield running


@pytest.fixture
def source() -> Source:
    """A file whose one address nobody answers at."""
    with serving() as gone:
        return Source("net.pt", f"{gone.url}/net.pt", SHA256, len(CONTENT), "MIT", "https://example.org")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mirror = tmp_path / "mirror"
    (mirror / "sha256").mkdir(parents=True)
    (mirror / "sha256" / SHA256).write_bytes(CONTENT)
    return mirror


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_a_web_mirror_serves_what_the_first_address_does_not(source: Source, server: Server, tmp_path: Path) -> None:
    told: list[str] = []
    fetch([source], tmp_path, mirror=f"{server.url}/models/", progress=lambda _, what: told.append(what))
    assert server.asked == [(f"/models/sha256/{SHA256}", None)]
    assert verify(source, tmp_path) == "ok"
    assert lock.read(tmp_path)["net.pt"].source == f"{server.url}/models/sha256/{SHA256}"
    assert files(tmp_path) == ["net.pt", lock.LOCK_FILE]
    assert (told[0], told[2:]) == ("fetching", ["done"])
    assert re.fullmatch(rf"{source.url} cannot be had \(.+\); trying {server.url}/models/sha256/{SHA256}", told[1])


def test_a_folder_is_a_mirror_too(source: Source, folder: Path, tmp_path: Path) -> None:
    (path,) = fetch([source], tmp_path / "w", mirror=str(folder))
    assert path.read_bytes() == CONTENT
    assert lock.read(path.parent)["net.pt"].source == f"file:{folder}/sha256/{SHA256}"
    assert (folder / "sha256" / SHA256).read_bytes() == CONTENT, "it is copied, not moved"


def test_the_first_address_goes_before_the_mirror(source: Source, server: Server, folder: Path, tmp_path: Path) -> None:
    fetch([replace(source, url=f"{server.url}/net.pt")], tmp_path / "w", mirror=str(folder))
    assert lock.read(tmp_path / "w")["net.pt"].source == f"{server.url}/net.pt"


@pytest.mark.parametrize("wrong", [CONTENT[:-1] + b"!", CONTENT[:-1], b""])
def test_wrong_bytes_in_the_mirror_are_refused_and_the_next_address_is_tried(
    wrong: bytes, source: Source, server: Server, folder: Path, tmp_path: Path
) -> None:
    (folder / "sha256" / SHA256).write_bytes(wrong)
    several, told = replace(source, fallbacks=(f"{server.url}/upstream.pt",)), list[str]()
    fetch([several], tmp_path / "w", mirror=str(folder), progress=lambda _, what: told.append(what))
    assert verify(several, tmp_path / "w") == "ok"
    assert lock.read(tmp_path / "w")["net.pt"].source == f"{server.url}/upstream.pt"
    mirrored = f"file:{folder}/sha256/{SHA256}"
    assert told[2] == (
        f"{mirrored} is not the file this version was made for: "
        f"sha256 {hashlib.sha256(wrong).hexdigest()}, wanted {SHA256}; trying {server.url}/upstream.pt"
    )


def test_where_no_address_gives_the_file_each_is_named_and_nothing_is_left(
    source: Source, server: Server, folder: Path, tmp_path: Path
) -> None:
    (folder / "sha256" / SHA256).write_bytes(b"other bytes")
    several = replace(source, fallbacks=(f"{server.url}/missing.pt", f"{server.url}/page"))
    with pytest.raises(WeightsError) as error:
        fetch([several], tmp_path / "w", mirror=str(folder))
    said = error.value.message
    for part in (
        f"net.pt was not fetched: {source.url} cannot be had",
        f"file:{folder}/sha256/{SHA256} is not the file",
        f"{server.url}/missing.pt: the server answered 404",
        f"{server.url}/page answers with a web page",
        "By hand: open",
    ):
        assert part in said
    assert files(tmp_path / "w") == []


def test_a_broken_download_stays_to_go_on_from_though_the_others_failed(
    source: Source, server: Server, tmp_path: Path
) -> None:
    server.break_after = len(CONTENT) // 8
    with pytest.raises(WeightsError, match="655,360 bytes are kept to go on from"):
        fetch([source], tmp_path, mirror=server.url)
    server.break_after = None
    fetch([source], tmp_path, mirror=server.url)
    assert server.asked[-1][1] == f"bytes={5 * len(CONTENT) // 8}-"
    assert files(tmp_path) == ["net.pt", lock.LOCK_FILE]


def test_a_file_without_a_known_digest_is_not_looked_for_in_a_mirror(
    source: Source, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError) as error:
        fetch([replace(source, sha256=None, size=None)], tmp_path / "w", mirror=str(folder))
    assert str(folder) not in error.value.message


def test_an_installation_is_mirrored_and_installed_from_the_mirror(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror, steps = tmp_path / "mirror", list[str]()
    monkeypatch.setenv("VERACITY_WEIGHTS", str(settings.weights))
    assert cli.main(["weights", "mirror", str(mirror), "silero_vad.onnx"]) == 0
    vad = next(asset for asset in ASSETS if asset.name == "silero_vad.onnx")
    assert capsys.readouterr().out == f"silero_vad.onnx: {mirror}/sha256/{vad.sha256}\n"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    elsewhere = settings.replace(weights=tmp_path / "w", mirror=str(mirror))
    assert install([], elsewhere, say=steps.append) == {}
    assert verify(vad, tmp_path / "w") == "ok"
    assert steps[0] == "fetching silero_vad.onnx (2.3 MB)"
    assert steps[1].startswith("pip could not download silero-vad==")
    assert steps[1].endswith(f"; trying file:{mirror}/sha256/{vad.sha256}")


def test_a_damaged_file_is_not_mirrored(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VERACITY_WEIGHTS", str(tmp_path))
    (tmp_path / "silero_vad.onnx").write_bytes(b"damaged")
    assert cli.main(["weights", "mirror", str(tmp_path / "mirror")]) == 3
    assert "silero_vad.onnx is wrong sha256" in capsys.readouterr().err
    assert files(tmp_path / "mirror") == []


@pytest.mark.parametrize("mirror", ["ftp://example.org", "models", "https://", "https://me:secret@example.org"])
def test_a_mirror_that_is_none_is_refused(mirror: str) -> None:
    with pytest.raises(BadOption, match="VERACITY_MIRROR must"):
        Settings(mirror=mirror)
    for good in ("", "/srv/models", "https://example.org/models"):
        assert Settings(mirror=good).mirror == good
