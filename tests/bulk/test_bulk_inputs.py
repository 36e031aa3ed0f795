"""What a run is about: folders and manifests, also odd ones."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from veracity_bulk.files import read, version
from veracity_bulk.inputs import entries
from veracity_client.errors import BadOption, VeracityError


def manifest(folder: Path, names: list[str | None], kind: str = "csv", column: str = "uri") -> str:
    table = pa.table({"label": ["x"] * len(names), column: pa.array(names, pa.string())})
    path = folder / f"files.{kind}"
    (pa.csv.write_csv if kind == "csv" else pa.parquet.write_table)(table, str(path))
    return str(path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_manifest_names_files_beside_it_absolute_ones_and_addresses(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    names = ["a.mp4", str(tmp_path / "a.mp4"), "/gone.mp4", "s3://b/c d.mp4", None, "", "007"]
    found, notes = entries(manifest(tmp_path, names, kind), "uri")
    assert [each.uri for each in found] == [
        str(tmp_path / "a.mp4"), "/gone.mp4", "s3://b/c d.mp4", str(tmp_path / "007"),
    ]  # fmt: skip
    assert [bool(each.version) for each in found] == [True, False, False, False]
    assert [note.partition(": ")[2] for note in notes] == [
        "2 rows have nothing in the column 'uri', and are no files",
        "1 names are given more than once; a file gets one row",
    ]


def test_a_folder_gives_its_media_by_absolute_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.mp4", "sub/a.wav", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    found, notes = entries(".", "uri")
    assert [each.uri for each in found] == [str(tmp_path / "b.mp4"), str(tmp_path / "sub/a.wav")]
    assert found[0].version == version(str(tmp_path / "b.mp4"))
    assert len(notes) == 1
    assert "skipped 1 of 3 files" in notes[0]


def test_what_is_no_input_is_said(tmp_path: Path) -> None:
    path = manifest(tmp_path, ["a"], column="path")
    (tmp_path / "odd.csv").write_bytes(b"uri,b\n1,2,3\n")
    (tmp_path / "odd.parquet").write_bytes(b"no parquet")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "none.csv").write_bytes(b"uri\n")
    (tmp_path / "folder").mkdir()
    for given, said in {
        path: "it has no column 'uri' but label, path: --column NAME",
        str(tmp_path / "odd.csv"): "it cannot be read as a manifest",
        str(tmp_path / "odd.parquet"): "it cannot be read as a manifest",
        str(tmp_path / "empty.csv"): "it cannot be read as a manifest",
        str(tmp_path / "none.csv"): "names no file",
        str(tmp_path / "folder"): "names no file",
        str(tmp_path / "gone"): "there is no such file or folder",
        str(tmp_path / "gone.csv"): "there is no such file",
        "ftp://host/a.mp4": "ftp:// is not read",
    }.items():
        with pytest.raises(BadOption, match=r"^" + given.replace(".", r"\.")) as raised:
            entries(given, "uri")
        assert said in raised.value.message
        assert "Debug" not in raised.value.message


def test_what_cannot_be_read_has_its_word(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(11))
    os.truncate(tmp_path / "large", 1 << 40)  # a terabyte that takes no room
    os.mkfifo(tmp_path / "pipe")
    for uri, said in {
        str(tmp_path / "gone"): "Missing: there is no such file",
        str(tmp_path): "Unreadable: ",
        str(tmp_path / "pipe"): "Unreadable: it is no file",
        str(tmp_path / "large"): "TooLarge: 1,099,511,627,776 bytes; this run reads at most 10",
        "a\0b": "Unreadable: ",
        "x" * 300: "StoreUnavailable: ",
        "sftp://host/a": "Unreadable: sftp:// is not read",
        "https://127.0.0.1:1/a.mp4": "StoreUnavailable: ",
    }.items():
        with pytest.raises(VeracityError) as raised:
            read(uri, 10)
        assert raised.value.to_wire().startswith(said), raised.value.to_wire()
