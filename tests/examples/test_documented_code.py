"""The Python and curl code of README and quickstart runs as it stands there, against one real server."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from veracity.server import Server
from veracity.settings import CHECKOUT

pytestmark = pytest.mark.triton
PAGES = ("README.md", "docs/quickstart.md")
LABELS = {"real", "fake", "inconclusive"}


def blocks(page: str, language: str) -> list[str]:
    """The blocks of code of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (CHECKOUT / page).read_text(), re.S | re.M)


@pytest.mark.parametrize(("page", "code"), [(page, code) for page in PAGES for code in blocks(page, "python")])
def test_python(page: str, code: str, server: Server, talking: Path, tmp_path: Path) -> None:
    shutil.copy(talking, tmp_path / "clip.mp4")
    here = code.replace("localhost:8001", server.grpc_url)
    assert here != code
    done = subprocess.run([sys.executable, "-c", here], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] in LABELS


def test_curl(server: Server, talking: Path, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    shutil.copy(talking, tmp_path / "clip.mp4")
    (code,) = blocks("docs/quickstart.md", "bash")
    here = code.replace("localhost:8000", server.http_url)
    done = subprocess.run(["bash", "-c", here], cwd=tmp_path, capture_output=True, text=True)
    assert json.loads(json.loads(done.stdout)["outputs"][0]["data"][0])["label"] in LABELS
