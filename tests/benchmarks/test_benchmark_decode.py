"""``python -m benchmarks decode``: every step really reads the clip, and mouths take more frames."""

from pathlib import Path

import pytest

from benchmarks import decode


def test_every_step_reads_the_clip(talking: Path) -> None:
    figures = decode.measure(talking, rounds=1)
    steps = {step["what"]: step for step in figures["steps"]}
    assert list(steps) == list(decode.STEPS)
    for step in steps.values():
        assert 0 < step["cpu_seconds"]["min"] <= step["cpu_seconds"]["median"] <= step["cpu_seconds"]["max"]
    frames, mouths = (steps[name]["count"] for name in ("frames for faces and pictures", "frames with mouths"))
    assert 0 < frames < mouths <= 6 * 25
    assert steps["sound"]["count"] == pytest.approx(6 * 16_000, rel=0.02)  # AAC ends with a whole block
    assert steps["probe"]["count"] == 2  # a picture and a sound
