"""A file that a caller names is below the folder it was allowed, whatever is moved meanwhile."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from veracity.media import FileBelow, Limits, Source
from veracity_client.errors import PathNotAllowed

INSIDE, SECRET = b"allowed" * 100, b"secret" * 100


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside" / "folder").mkdir(parents=True)
    (tmp_path / "root" / "folder").mkdir(parents=True)
    for place in ("outside", "outside/folder"):
        (tmp_path / place / "file").write_bytes(SECRET)
    for place in ("root", "root/folder"):
        (tmp_path / place / "file").write_bytes(INSIDE)
    return tmp_path / "root"


def content(root: Path, name: str) -> bytes:
    file = Source(FileBelow(root, name)).open(Limits())
    try:
        return os.pread(file.descriptor, 1 << 20, 0)
    finally:
        file.close()


@pytest.mark.parametrize("name", ["file", "folder/file", "folder/../file", "./folder//file", "relative", "absolute"])
def test_a_file_below_is_read_through_links_that_stay_below(root: Path, name: str) -> None:
    (root / "relative").symlink_to("folder/file")
    (root / "absolute").symlink_to(root / "folder" / "file")
    assert content(root, name) == INSIDE


@pytest.mark.parametrize(
    "name", ["../outside/file", "link", "linked/file", "/etc/hostname", "pipe", "folder", "", "a" * 256]
)
def test_anything_else_is_refused_without_a_path(root: Path, name: str) -> None:
    (root / "link").symlink_to("../outside/file")
    (root / "linked").symlink_to(root.parent / "outside")
    os.mkfifo(root / "pipe")
    with pytest.raises(PathNotAllowed) as caught:
        content(root, name)
    assert "/" not in caught.value.message


def swap_file(root: Path) -> Iterator[None]:
    """Exchange a file for a link to the secret, and back, by renaming: the name always exists."""
    while True:
        (root / "new").symlink_to("../outside/file")
        (root / "new").rename(root / "file")
        yield
        (root / "new").write_bytes(INSIDE)
        (root / "new").rename(root / "file")
        yield


def swap_folder(root: Path) -> Iterator[None]:
    """Exchange a folder for a link to the secret's folder, and back."""
    while True:
        (root / "folder").rename(root / "old")
        (root / "folder").symlink_to("../outside/folder")
        yield
        (root / "folder").unlink()
        (root / "old").rename(root / "folder")
        yield


@pytest.mark.parametrize(("swap", "name"), [(swap_file, "file"), (swap_folder, "folder/file")])
def test_a_link_put_in_place_meanwhile_is_not_followed(
    root: Path, swap: Callable[[Path], Iterator[None]], name: str
) -> None:
    attacker = multiprocessing.get_context("fork").Process(target=lambda: [None for _ in swap(root)], daemon=True)
    attacker.start()
    read, refused, begun = 0, 0, time.monotonic()
    try:
        while time.monotonic() < begun + 1 or not read or not refused:
            try:
                assert content(root, name) == INSIDE
                read += 1
            except PathNotAllowed:
                refused += 1
    finally:
        attacker.kill()
        attacker.join()
