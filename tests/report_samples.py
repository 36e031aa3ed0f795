"""Two real verdicts, and reports of them."""

import io
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from PIL import Image

from veracity_client.options import Options
from veracity_client.verdict import Verdict
from veracity_gateway.provenance.records import Credentials, Declared, Metadata, Provenance, Signer
from veracity_gateway.report.evidence import Circumstances, Evidence, Picture, Review, Times, make_evidence

DATA = Path(__file__).parent / "data"
FILM = Verdict.from_json((DATA / "verdict_film.json").read_bytes())  # inconclusive, two faces
VOICE = Verdict.from_json((DATA / "verdict_voice.json").read_bytes())  # fake, no picture
NOON = datetime(2026, 5, 4, 12, 0, tzinfo=timezone.utc)
TIMES = Times(NOON, NOON + timedelta(seconds=1), NOON + timedelta(seconds=7.5))
SIGNER = Signer("<b>Camera maker</b>", None, "Es256")
PROVENANCE = Provenance(
    "valid",
    "the signature holds, and the signer is on no list",
    credentials=Credentials(SIGNER, None, None, "a camera", (), 0, 1, ()),
    metadata=Metadata("MP4", None, None, ("<b>Editor</b>",), (), (), False, (), ()),
    declared=(Declared("ai", "it was made by a generative model", "XMP", "trainedAlgorithmicMedia"),),
).to_dict()


def png(colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 16), colour).save(file, "PNG")
    return file.getvalue()


def circumstances(name: str = "clip.mp4") -> Circumstances:
    return Circumstances(name, Options(policy="exhaustive"), TIMES, "f" * 64, {"veracity": "0.2.0"})


def evidence(verdict: Verdict = FILM, name: str = "clip.mp4", **more: Any) -> Evidence:
    return make_evidence(verdict, circumstances(name), **more)


def full_evidence() -> Evidence:
    """Evidence in which every field is filled."""
    verdict = replace(FILM, degraded=True, degraded_reasons=(FILM.inconclusive_reason,))  # type: ignore[arg-type]
    return evidence(
        verdict,
        provenance=PROVENANCE,
        pictures=(Picture("The worst moment", "Face 1 at 1.12 s", png()),),
        reviews=(Review("An analyst", NOON, "cannot_tell", "Too short.\nAsk for the original."),),
    )
