"""What a command line may name: files, folders, patterns; and many files at a time."""

import os
import threading
from pathlib import Path

import pytest

from veracity_client.inputs import expand
from veracity_client.ordered import ordered_map


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "clips/b.MP4",
        "clips/a.wav",
        "clips/notes.txt",
        "clips/README",
        "clips/.hidden.mp4",
        "clips/x/c.heic",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "clips" / "[1].mp4").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["clips"], ["clips/[1].mp4", "clips/a.wav", "clips/b.MP4", "clips/x/c.heic"]),
        (["clips/x/", "-"], ["clips/x/c.heic", "-"]),
        (["clips/*.wav"], ["clips/a.wav"]),
        (["**/*.heic"], ["clips/x/c.heic"]),
        (
            ["clips/*"],
            ["clips/README", "clips/[1].mp4", "clips/a.wav", "clips/b.MP4", "clips/notes.txt", "clips/x/c.heic"],
        ),
        (["clips/[1].mp4"], ["clips/[1].mp4"]),
        (["clips/notes.txt", "absent.mp4", "no/*.mp4"], ["clips/notes.txt", "absent.mp4", "no/*.mp4"]),
        (["x" * 5000, "a\0b", "[" * 300], ["x" * 5000, "a\0b", "[" * 300]),
        (["empty"], ["empty"]),
        ([os.fsdecode(b"\xff*.mp4")], [os.fsdecode(b"\xff*.mp4")]),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_names_become_files_in_order(names: list[str], files: list[str]) -> None:
    assert expand(names)[0] == files


def test_what_was_skipped_in_a_folder_is_said(folder: Path) -> None:
    assert expand(["clips"])[1] == ["clips: skipped 2 of 6 files, not media by name (1 .txt, 1 no extension)"]
    (folder / "empty" / "a.pdf").touch()
    assert expand(["empty", "clips/a.wav"]) == (
        ["empty", "clips/a.wav"],
        ["empty: skipped 1 of 1 files, not media by name (1 .pdf)"],
    )


def test_results_come_in_order_while_calls_overlap() -> None:
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(60), "the second call waits for the first"
        if item == 1:
            second_is_done.set()
        return item * item

    assert list(ordered_map(work, range(20), 2)) == [number * number for number in range(20)]


def test_no_more_calls_than_jobs_run_and_none_begin_after_leaving() -> None:
    running, most, begun, lock, gate = 0, 0, [], threading.Lock(), threading.Event()

    def work(item: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            begun.append(item)
        if item > 3:
            gate.wait(60)
        with lock:
            running -= 1
        return item

    results = ordered_map(work, range(100), 3)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    results.close()
    gate.set()
    assert most <= 3
    assert len(begun) <= 10


def test_an_exception_of_a_call_comes_at_its_place() -> None:
    results = ordered_map(lambda item: 10 // item, [5, 0, 1], 2)
    assert next(results) == 2
    with pytest.raises(ZeroDivisionError):
        next(results)
