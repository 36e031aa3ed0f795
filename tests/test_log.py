import contextlib
import io
import json

import numpy as np
import pytest

from veracity import log


def test_a_line_is_json_without_secrets_or_payloads(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info")
    log.get("test").info(
        "said",
        api_key="hunter2",
        headers={"Authorization": "Bearer hunter2"},
        video=b"\x00" * 1000,
        frames=np.zeros((2, 3)),
        name="x" * 2000,
    )
    text = capsys.readouterr().err
    line = json.loads(text)
    assert "hunter2" not in text
    assert line["video"] == "[1000 bytes]"
    assert line["frames"] == "[array float64 (2, 3)]"
    assert len(line["name"]) < 600
    assert line["event"] == "said"
    assert line["level"] == "info"


def test_a_stderr_that_was_replaced_is_followed(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.redirect_stderr(io.StringIO()) as closed:
        log.configure("info")
    closed.close()
    log.get("test").info("still heard")
    assert "still heard" in capsys.readouterr().err


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="chatty"):
        log.configure("chatty")
