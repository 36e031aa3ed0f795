import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from weights_server import COMMIT, CONTENT, SHA256, Server, serving

from veracity.catalog import Source
from veracity.install import lock, sources
from veracity.install.files import WeightsError
from veracity.install.store import fetch, verify

BREAK = len(CONTENT) // 8  # bytes of an answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as running:
        yield running


def source(server: Server, path: str = "/net.pt") -> Source:
    return Source("net.pt", server.url + path, SHA256, len(CONTENT), "MIT", "https://example.org", ("Net.pth",))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_a_file_comes_whole_and_is_recorded(server: Server, tmp_path: Path) -> None:
    seen: list[int] = []
    (path,) = fetch([source(server)], tmp_path, watch=lambda _source, there, _total: seen.append(there))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == len(CONTENT)
    assert files(tmp_path) == ["net.pt", lock.LOCK_FILE]
    entry = lock.read(tmp_path)["net.pt"]
    assert (entry.sha256, entry.size, entry.licence) == (SHA256, len(CONTENT), "MIT")
    assert (entry.source, entry.first_use) == (f"{server.url}/net.pt", False)


def test_a_download_that_breaks_off_asks_for_the_rest_only(server: Server, tmp_path: Path) -> None:
    server.break_after = BREAK
    with pytest.raises(WeightsError, match=r"655,360 bytes are kept to go on from.*--from DIR"):
        fetch([source(server)], tmp_path)  # five answers
    assert files(tmp_path) == [".net.pt.part"]
    server.break_after = None
    fetch([source(server)], tmp_path)
    assert [asked for _, asked in server.asked] == [None, *(f"bytes={BREAK * n}-" for n in range(1, 6))]
    assert (tmp_path / "net.pt").read_bytes() == CONTENT
    assert files(tmp_path) == ["net.pt", lock.LOCK_FILE]


def test_another_file_at_the_address_is_not_stitched_to_the_beginning_of_the_first(
    server: Server, tmp_path: Path
) -> None:
    server.content, server.break_after = CONTENT[::-1], BREAK
    with pytest.raises(WeightsError):
        fetch([source(server)], tmp_path)
    server.content, server.break_after = CONTENT, None
    fetch([source(server)], tmp_path)
    assert server.asked[-1][1] == f"bytes={5 * BREAK}-"
    assert verify(source(server), tmp_path) == "ok"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/page", "answers with a web page"),
        ("/hidden", "is a web page, not weights"),
        ("/loop", "redirects without end"),
        ("/missing", "answered 404"),
    ],
)
def test_what_is_no_file_is_told_and_leaves_what_was_there(
    path: str, said: str, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "net.pt").write_bytes(b"an older one")
    with pytest.raises(WeightsError, match=said):
        fetch([source(server, path)], tmp_path)
    assert files(tmp_path) == ["net.pt"]
    assert (tmp_path / "net.pt").read_bytes() == b"an older one"


@pytest.mark.parametrize("other", [CONTENT[:-1] + b"!", CONTENT[:-1], CONTENT + b"!"])
def test_a_wrong_file_is_refused_and_nothing_is_left(other: bytes, server: Server, tmp_path: Path) -> None:
    server.content = other
    with pytest.raises(WeightsError, match="is not the file this version was made for"):
        fetch([source(server)], tmp_path)
    assert files(tmp_path) == []


def test_without_a_network_the_message_names_the_page_and_the_place(tmp_path: Path) -> None:
    with serving() as gone:
        nobody = source(gone)
    with pytest.raises(WeightsError) as error:
        fetch([nobody], tmp_path)
    for part in ("cannot be had", nobody.url, "https://example.org", str(tmp_path / "net.pt"), "net.pt or Net.pth"):
        assert part in error.value.message
    assert files(tmp_path) == []


def test_the_member_of_a_zip_is_taken_by_its_pattern(server: Server, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("folder/pre_trained.pth", CONTENT)
        zipped.writestr("readme.txt", "hello")
    server.content = buffer.getvalue()
    (path,) = fetch([source(server, "/all.zip!*.pth")], tmp_path)
    assert path.read_bytes() == CONTENT
    with pytest.raises(WeightsError, match=r"holds no \*\.bin"):
        fetch([replace(source(server, "/all.zip!*.bin"), name="other.pt")], tmp_path)
    server.content = buffer.getvalue()[:-40]
    with pytest.raises(WeightsError, match="not a zip"):
        fetch([replace(source(server, "/all.zip!*.pth"), name="other.pt")], tmp_path)
    assert files(tmp_path) == ["net.pt", lock.LOCK_FILE]


LIMITED = """
import resource, signal, sys
from pathlib import Path
from veracity.catalog import Source
from veracity.install.store import fetch
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit then fails with EFBIG, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    fetch([Source("net.pt", sys.argv[1], sys.argv[2], int(sys.argv[3]), "", "")], Path(sys.argv[4]))
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def test_a_disk_that_takes_no_more_is_told_and_is_not_left_full(server: Server, tmp_path: Path) -> None:
    given = [source(server).url, SHA256, str(len(CONTENT)), str(tmp_path)]
    run = subprocess.run([sys.executable, "-c", LIMITED, *given], capture_output=True, text=True, check=False)
    assert run.stderr.strip() == "WeightsError: net.pt was not installed: File too large"
    assert files(tmp_path) == []


HUB = """
import sys
from pathlib import Path
from veracity.catalog import Source
from veracity.install.files import WeightsError
from veracity.install.store import fetch
try:
    fetch([Source("net.pt", "hf:some/one@main!net.pt", None, None, "MIT", "https://example.org")], Path(sys.argv[1]))
except WeightsError as error:
    sys.exit(str(error))
"""


def hub(server: Server, folder: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    environment = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", HUB, str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_hubs_commit_is_recorded_and_its_sha256_compared(server: Server, tmp_path: Path) -> None:
    run = hub(server, tmp_path / "w", tmp_path)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "w" / "net.pt").read_bytes() == CONTENT
    entry = lock.read(tmp_path / "w")["net.pt"]
    assert (entry.revision, entry.sha256, entry.first_use) == (COMMIT, SHA256, True)
    assert ("/some/one/resolve/main/net.pt", None) in server.asked

    server.stated = "0" * 64
    run = hub(server, tmp_path / "other", tmp_path)
    assert f"sha256 {SHA256}, wanted {'0' * 64}" in run.stderr
    assert files(tmp_path / "other") == []


def test_a_hub_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    with serving() as gone:
        pass
    run = hub(gone, tmp_path / "w", tmp_path)
    assert "some/one on Hugging Face" in run.stderr.splitlines()[-1]
    assert "https://huggingface.co/some/one/blob/main/net.pt" in run.stderr
    assert files(tmp_path / "w") == []


@pytest.mark.parametrize("answer", ["page", "missing"])
def test_a_drive_that_refuses_names_the_page_and_the_place(
    answer: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = replace(source(server), url="drive:abc-123", sha256=None, size=None)
    assert sources.page(wanted) == "https://drive.google.com/file/d/abc-123/view"
    monkeypatch.setattr(sources, "DRIVE", f"{server.url}/{answer}?")
    with pytest.raises(WeightsError, match=r"net\.pt.*/file/d/abc-123/view") as error:
        fetch([wanted], tmp_path)
    assert len(error.value.to_wire().splitlines()) == 1
    assert files(tmp_path) == []
