"""What is sent: files, bytes and file objects; everything else is refused by name, in a short message."""

import asyncio
import base64
import io
import os
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from veracity_client import AsyncDetector, Detector, Verdict, errors
from veracity_client._source import MAX_REQUEST_BYTES, read, shortened

BASE64 = base64.b64encode(bytes(10**6)).decode()


async def ask(url: str, video: Any, **options: Any) -> Verdict:
    async with AsyncDetector(url, **options) as found:
        return await found.analyze(video)


@pytest.mark.parametrize(
    ("video", "error"),
    [
        ("/nowhere/clip.mp4", errors.BadVideo),
        ("/", errors.BadVideo),
        ("a\0b", errors.BadVideo),
        (io.StringIO("text"), errors.BadOption),
        (None, errors.BadOption),
        (["clip.mp4"], errors.BadOption),
        (np.zeros((4, 4)), errors.BadOption),
        (7, errors.BadOption),
        (BASE64, errors.BadVideo),
        ("x" * 256, errors.BadVideo),
        ("x/" * 3000, errors.BadVideo),
        ("https://example.com/clip.mp4", errors.BadVideo),
        (Path(BASE64), errors.BadVideo),
    ],
)
def test_a_file_that_cannot_be_read_never_leaves(video: Any, error: type[errors.VeracityError]) -> None:
    with Detector("localhost:1") as found, pytest.raises(error) as caught:
        found.analyze(video)
    assert len(caught.value.to_wire()) < 400
    with pytest.raises(error):
        asyncio.run(ask("localhost:1", video))


def test_a_file_larger_than_a_request_is_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.mp4"
    with huge.open("wb") as file:
        file.truncate(MAX_REQUEST_BYTES + 1)
    with Detector("localhost:1") as found, pytest.raises(errors.TooLarge):
        found.analyze(huge)


@pytest.mark.parametrize(("video", "advice"), [(BASE64, "base64"), ("http://host/a.mp4", "download it first")])
def test_a_name_that_is_none_gets_advice(video: str, advice: str) -> None:
    with pytest.raises(errors.BadVideo, match=advice):
        read(video)


def test_a_closed_file_object_is_an_error_of_ours() -> None:
    file = io.BytesIO(b"real")
    file.close()
    with pytest.raises(errors.BadVideo, match="closed"):
        read(file)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=pipe.write_bytes, args=(bytes(3 * 10**6),))
    writer.start()
    assert len(read(pipe)) == 3 * 10**6
    writer.join()


@pytest.mark.parametrize(
    "arguments",
    [
        {"options": {"policy": "decided"}},
        {"options": '{"policy": "decided"}'},
        {"timeout": "5"},
        {"timeout": float("nan")},
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any]) -> None:
    with Detector("localhost:1") as found, pytest.raises(errors.BadOption, match=next(iter(arguments))):
        found.analyze(b"real", **arguments)


@pytest.mark.parametrize("path", [None, b"clip.mp4", 7, Path("clip.mp4")])
def test_a_path_on_the_server_is_text(path: Any) -> None:
    with Detector("localhost:1") as found, pytest.raises(errors.BadOption, match="path"):
        found.analyze_path(path)


@pytest.mark.parametrize("url", [None, 8001, b"localhost:8001"])
def test_a_url_is_text(url: Any) -> None:
    with pytest.raises(errors.BadOption, match="url is text"):
        Detector(url)


def test_a_value_in_a_message_is_short_and_on_one_line() -> None:
    assert shortened("clip.mp4") == "'clip.mp4'"
    assert shortened("two\nlines\udcff") == r"'two\nlines\udcff'"
    assert shortened(BASE64).endswith("(1,333,336 characters)")
    assert len(shortened([BASE64])) < 200
