"""A signed address gives a verdict, and its signature stays between the gateway and the one who is asked."""

import hashlib
import io
from pathlib import Path
from urllib.parse import quote

import httpx
import media_samples
import pytest
import structlog
from gateway_server import gateway, settings_in
from url_servers import site

from veracity.server import Server
from veracity_client import Verdict

pytestmark = pytest.mark.triton

QUERY = "X-Amz-Expires=60&X-Amz-Signature=5ec2e7"


def test_a_verdict_at_once_of_a_signed_address(
    server: Server, media_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log, answers = io.StringIO(), []
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
    settings = settings_in(tmp_path, urls=(server.grpc_url,), fetch_private=True)
    with site() as remote, gateway(settings) as url, httpx.Client(base_url=url, timeout=120) as client:
        remote.film = media_samples.talking(media_folder).read_bytes()
        signed = f"/films/a.mp4?{QUERY}"
        for path, status in (
            (signed, 200), (f"/to?url={quote(remote.at(signed))}", 200), (f"/page?{QUERY}", 400),
            (f"/nothing?{QUERY}", 400), (f"/short?{QUERY}", 502),
        ):  # fmt: skip
            answer = client.post("/predict", json={"video_url": remote.at(path), "layers": ["audio"]})
            assert answer.status_code == status, answer.text
            answers.append(answer)
        assert [path for path, _ in remote.asked[:3]] == [signed, f"/to?url={quote(remote.at(signed))}", signed]
        assert client.get("/jobs").json()["jobs"] == []
    for answer in answers[:2]:
        verdict = Verdict.from_json(answer.content)
        assert verdict.layers_executed == (1,)
        assert verdict.input.sha256 == hashlib.sha256(remote.film).hexdigest()
    said = capfd.readouterr()
    for text in (log.getvalue(), said.out, said.err, *(f"{answer.text} {answer.headers}" for answer in answers)):
        assert "Signature" not in text
        assert "5ec2e7" not in text
    assert not any(QUERY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert list((tmp_path / "incoming").iterdir()) == []
