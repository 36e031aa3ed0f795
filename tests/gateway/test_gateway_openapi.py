"""The gateway's OpenAPI document: as it is checked in, held against the gateway, and as a client made from it."""

import importlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import gateway_server
import httpx
import media_samples
import pytest

from veracity.server import Server
from veracity.settings import CHECKOUT
from veracity_gateway.access import identity
from veracity_gateway.access.caller import SCOPES
from veracity_gateway.access.keys import Keys
from veracity_gateway.database import Database
from veracity_gateway.document import document

DOCUMENT = CHECKOUT / "docs" / "api" / "gateway.openapi.json"
HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
CLIENT, GENERATOR = "gateway_client", "openapi-python-client==0.29.0"  # the version that was tried
LINTER = "@redocly/cli@2.14.0"  # likewise
HOOKS = """\
import schemathesis

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
"""


@pytest.fixture(scope="module")
def url(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("gateway")
    with gateway_server.gateway(gateway_server.settings_in(folder, urls=(server.grpc_url,))) as address:
        yield address


@pytest.fixture(scope="module")
def closed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A gateway that wants a key, and a key that may do everything."""
    settings = gateway_server.settings_in(tmp_path_factory.mktemp("closed"), urls=(server.grpc_url,))
    database = Database(settings.database_url())
    key = Keys(database).add("a test", SCOPES, 1_000_000)
    database.close()
    with pytest.MonkeyPatch.context() as patch, gateway_server.gateway(settings) as address:
        patch.setattr(identity, "FAILURES_A_MINUTE", 1_000_000)  # else wrong keys get 429 from the 21st on
        yield address, key


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the FastAPI of Python 3.10 writes it otherwise")
def test_the_document_that_is_checked_in_is_the_present_one() -> None:
    assert DOCUMENT.read_text() == document(), "make schema"


@pytest.mark.wheel  # downloads it
def test_a_linter_finds_nothing_in_the_document(tmp_path: Path) -> None:
    if shutil.which("npx") is None:
        pytest.skip("npx is not installed: apt-get install npm")
    command = ["npx", "--yes", LINTER, "lint", str(DOCUMENT)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.triton
@pytest.mark.slow
@pytest.mark.timeout(900)  # some thousand requests
@pytest.mark.parametrize(
    "phases",
    [
        ("--phases", "examples,coverage", "--exclude-path", "/predict"),
        ("--phases", "fuzzing", "--max-examples", "5"),
        ("--phases", "stateful", "--max-examples", "5"),
    ],
    ids=["every part once", "at random", "one after the other"],
)
def test_the_gateway_does_as_the_document_says(closed: tuple[str, str], tmp_path: Path, phases: Sequence[str]) -> None:
    """The first asks an address so often that /predict would take minutes."""
    url, key = closed
    config = "schemathesis_stateful.toml" if "stateful" in phases else "schemathesis.toml"
    (tmp_path / "schemathesis.toml").write_bytes((HERE / config).read_bytes())
    (tmp_path / "hooks.py").write_text(HOOKS)
    command = [
        str(BIN / "st"), "run", f"{url}/openapi.json", "--checks", "all", "--seed", "1", *phases,
        "--header", f"Authorization: Bearer {key}",
        "--exclude-path-regex", "events$",  # it ends with its job, which may be never
        "--request-timeout", "60",
    ]  # fmt: skip
    environment = os.environ | {"SCHEMATHESIS_HOOKS": str(tmp_path / "hooks.py")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.triton
@pytest.mark.wheel
def test_a_client_made_from_the_document_asks_for_a_verdict(
    url: str, media_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "tool"  # an environment of its own: it wants an older typer than we lock
    subprocess.run([sys.executable, "-m", "venv", str(tool)], check=True)
    subprocess.run([str(tool / "bin" / "pip"), "install", "-qq", GENERATOR], check=True)
    (tmp_path / "openapi.json").write_bytes(httpx.get(f"{url}/openapi.json").content)
    command = ["generate", "--path", "openapi.json", "--output-path", CLIENT, "--meta", "none"]
    subprocess.run(
        [str(tool / "bin" / "openapi-python-client"), *command], cwd=tmp_path, check=True, capture_output=True
    )
    monkeypatch.syspath_prepend(tmp_path)
    client = importlib.import_module(f"{CLIENT}.client").Client(base_url=url)
    send, job = (importlib.import_module(f"{CLIENT}.api.{name}") for name in ("analysis.analyze_video", "jobs.job"))
    models, types = importlib.import_module(f"{CLIENT}.models"), importlib.import_module(f"{CLIENT}.types")
    with media_samples.speech(media_folder).open("rb") as file, client as made:
        body = models.AnalyzeVideoFilesBody(video=types.File(file, "speech.wav", "audio/wav"), layers="audio")
        accepted = send.sync(client=made, body=body)
        assert isinstance(accepted, models.Accepted), accepted
        deadline = time.monotonic() + 60
        while (found := job.sync(accepted.job_id, client=made)).state not in ("COMPLETE", "ERROR"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert found.state == "COMPLETE"
    assert found.label in ("fake", "real", "inconclusive")
