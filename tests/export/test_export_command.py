"""`python -m export` before any network: options that would not be heeded, and an environment without torch."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from export.__main__ import ENVIRONMENT, main

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("audio_aasist --checkpoint net.pt", "--checkpoint means nothing to python -m export audio_aasist"),
        ("audio_starter face_detector --untrained", "--untrained means nothing to python -m export face_detector"),
        ("audio_starter --checkpoint net.pt --untrained", "--checkpoint means nothing to .* audio_starter --untrained"),
        ("audio_starter --upstream checkout", "--upstream means nothing to python -m export audio_starter"),
        ("audio_aasist --format tensorrt --untrained", "--untrained means nothing to .* --format tensorrt"),
        ("audio_starter --format tensorrt --checkpoint net.pt", "--checkpoint means nothing to .* --format tensorrt"),
        ("lipsync_lipforensics --format tensorrt --upstream checkout", "--upstream means nothing to"),
    ],
)
def test_an_option_that_would_not_be_heeded_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: str, words: str
) -> None:
    assert main([*asked.split(), "--repository", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("export: BadOption: ")
    assert re.search(words, line)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(find_spec("torch") is not None, reason="this environment has torch")
@pytest.mark.parametrize("asked", ["audio_aasist", "audio_starter --untrained", "parity .", "migrate old.pt new.pt"])
def test_without_torch_the_way_to_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(asked.split()) == 1
    assert capsys.readouterr().err == f"export: torch is not installed in this environment: {ENVIRONMENT} makes one\n"


def test_the_way_to_torch_is_the_makefiles() -> None:
    script, folder, *locks = ENVIRONMENT.split()
    assert f"EXPORT_VENV := {folder}\n" in (makefile := (ROOT / "Makefile").read_text())
    assert f"@{script} $(EXPORT_VENV) {' '.join(locks)}\n" in makefile
    assert all((ROOT / path).is_file() for path in (script, *locks))
