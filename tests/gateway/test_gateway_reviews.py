"""What analysts say is measured against: the archive of reviews as ``python -m benchmarks accuracy`` reads it."""

import io
import json
import zipfile
from pathlib import Path

import httpx
import media_samples
import pytest
from gateway_jobs import complete_job
from gateway_server import gateway, settings_in
from measuring import measured

from veracity.settings import Settings
from veracity_gateway.gateway import Gateway
from veracity_gateway.reviews.reviews import Opinion, Truth


def test_reviewed_files_are_measured(
    settings: Settings, full_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.weights.is_dir()
    served = settings_in(tmp_path / "gateway")
    found = Gateway(served)
    still = tmp_path / "Ein Bild, scharf.PNG"
    still.write_bytes(media_samples.png(320, 180))
    voice = media_samples.speech(tmp_path)
    said: list[tuple[Path, tuple[Truth | None, ...]]] = [
        (voice, ("real",)), (still, ("fake", "fake")), (voice, ("real", "fake")), (still, (None,)),
    ]  # fmt: skip
    jobs = [complete_job(found, media=media) for media, _ in said]
    for job, (_, truths) in zip(jobs, said, strict=True):
        for number, truth in enumerate(truths):
            opinion: Opinion = "disagree" if truth else "cannot_tell"  # the verdicts are inconclusive
            found.reviews.add(found.queries.job(job, None), f"analyst {number}", opinion, truth, "")
    found.database.close()
    with gateway(served) as url:
        export = httpx.get(f"{url}/reviews/export.zip").raise_for_status().content
    zipfile.ZipFile(io.BytesIO(export)).extractall(tmp_path / "reviewed")
    monkeypatch.setenv("VERACITY_MODEL_REPOSITORY", str(full_repository))
    manifest, out = tmp_path / "reviewed" / "manifest.csv", tmp_path / "out"
    assert measured("accuracy", "--manifest", manifest, "--split", "validation", "--out", out) == 0
    document = json.loads((out / "accuracy.json").read_text())
    assert document["clips"] == {"real": 1, "fake": 1}
    lines = map(json.loads, (out / "scores.jsonl").read_text().splitlines())
    clips = {line["id"]: (line["label"], line["kind"]) for line in lines}
    assert clips == {jobs[0]: (0, "audio"), jobs[1]: (1, "images")}
