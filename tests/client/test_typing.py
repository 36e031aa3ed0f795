"""What a user's type checker sees: the annotations are part of the package."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")
pytestmark = pytest.mark.slow

PROGRAM = """
import asyncio
from typing import Literal

from veracity_client import AsyncDetector, Detector, Options, StageEvent, Verdict

LABELS: dict[Literal["fake", "real", "inconclusive"], int] = {"fake": 1, "real": 0, "inconclusive": 2}


def code(verdict: Verdict) -> int:
    return LABELS[verdict.label]


def analyze(path: str) -> int:
    with Detector("localhost:8001", timeout=60) as detector:
        for event in detector.stages(path):
            if isinstance(event, StageEvent):
                print(event.stage, event.progress)
        return code(detector.analyze(path, Options(policy="exhaustive", layers=("audio", "visual"), video_track=1)))


async def analyze_async(path: str) -> Verdict:
    async with AsyncDetector("https://veracity.example", api_key="key") as detector:
        return await detector.analyze(path)


reveal_type(asyncio.run(analyze_async("clip.mp4")).label)
reveal_type(asyncio.run(analyze_async("clip.mp4")).layer_results["1_audio"].code)
"""
WRONG = """
from veracity_client import Options, Verdict

Options(policy="sometimes")


def is_fake(verdict: Verdict) -> bool:
    return verdict.label == "faked"
"""


def mypy(program: str, folder: Path) -> str:
    (folder / "program.py").write_text(program)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "program.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_a_program_of_a_user_is_checked_strictly(tmp_path: Path) -> None:
    said = mypy(PROGRAM, tmp_path)
    assert "Success" in said, said
    assert "Literal['fake'" in said, said
    assert "no_face" in said


def test_words_that_do_not_exist_are_found(tmp_path: Path) -> None:
    said = mypy(WRONG, tmp_path)
    assert 'Argument "policy" to "Options" has incompatible type' in said
    assert "Non-overlapping equality check" in said
