"""The list of allowed skips, tried on a pytest run of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import skips

from veracity.settings import CHECKOUT


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
@pytest.mark.parametrize("skip", ["def test_it():\n    pytest.skip({})", "pytest.skip({}, allow_module_level=True)"])
@pytest.mark.parametrize(
    ("reason", "ci", "passes"),
    [
        ("make test-export installs torch", "true", True),
        ("I was in a hurry", "true", False),
        ("I was in a hurry", "", True),
        ("make test-export installs torch, and I was in a hurry", "true", False),
    ],
)
def test_a_skip_that_is_not_on_the_list_fails_ci(
    tmp_path: Path, reason: str, ci: str, passes: bool, skip: str, workers: str
) -> None:
    (tmp_path / "conftest.py").write_text(
        "import skips\ndef pytest_configure(config):\n    config.pluginmanager.register(skips.Skips())\n"
    )
    (tmp_path / "test_it.py").write_text(f"import pytest\n{skip.format(repr(reason))}\n")
    (tmp_path / "test_other.py").write_text("def test_other():\n    pass\n")
    env = {**os.environ, "CI": ci, "PYTHONPATH": str(CHECKOUT / "tests")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", workers, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is passes, done.stdout
    assert ("allowed_skips.txt does not allow: I was in a hurry" in done.stdout) is (reason[0] == "I" and not passes)


def test_every_expression_of_the_list_is_one() -> None:
    assert len(skips.patterns(skips.ALLOWED.read_text())) > 10
