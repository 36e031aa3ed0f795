"""Reviews of verdicts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Annotated

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from veracity_gateway.gateway import Gateway
from veracity_gateway.jobs.queries import rfc3339
from veracity_gateway.media import CHUNK_BYTES
from veracity_gateway.reviews.export import manifest, write_archive
from veracity_gateway.reviews.reviews import Opinion, Review, Truth
from veracity_gateway.routes.jobs import JobId
from veracity_gateway.routes.parts import Reader, Reviewer, TheGateway

router = APIRouter(tags=["reviews"])

NOTE_CHARACTERS = 4000


class NewReview(BaseModel):
    """What an analyst says of a verdict."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"opinion": "disagree", "note": "the original is ours"}]}
    )

    opinion: Opinion
    truth: Truth | None = Field(None, description="what the file is; wanted by who disagrees with inconclusive")
    note: Annotated[str, Field(max_length=NOTE_CHARACTERS, pattern=r"^[^\x00]*$")] = ""


class ReviewShown(BaseModel):
    """A review. ``truth`` is what the file is in the reviewer's opinion, null where they cannot tell."""

    id: int
    reviewer: str
    opinion: str
    truth: str | None
    note: str
    created: str | None


class ReviewList(BaseModel):
    """The reviews of a job, the oldest first."""

    reviews: list[ReviewShown]


@router.post("/jobs/{job_id}/reviews", status_code=201)
def add_review(job_id: JobId, new: NewReview, gateway: TheGateway, caller: Reviewer) -> ReviewShown:
    """Agree or disagree with a verdict. What was said before stays."""
    job = gateway.queries.job(job_id, caller.sees)
    return _shown(gateway.reviews.add(job, caller.id, new.opinion, new.truth, new.note))


@router.get("/jobs/{job_id}/reviews")
def reviews(job_id: JobId, gateway: TheGateway, caller: Reader) -> ReviewList:
    """Return what was said of a verdict."""
    job = gateway.queries.job(job_id, caller.sees)
    return ReviewList(reviews=[_shown(review) for review in gateway.reviews.of(job.id)])


@router.get(
    "/reviews/manifest.csv",
    response_class=Response,
    responses={200: {"description": "A table", "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def reviews_manifest(gateway: TheGateway, caller: Reviewer) -> Response:
    """Return the files on whose truth all reviewers agree, as a table of labelled clips."""
    return Response(manifest(gateway.reviews.labelled(caller.sees)), media_type="text/csv")


@router.get(
    "/reviews/export.zip",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "An archive",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def reviews_archive(gateway: TheGateway, caller: Reviewer) -> StreamingResponse:
    """Return that table with the files that are kept: what `veracity calibrate` and `benchmarks accuracy` read."""
    file = await gateway.slow.run(_archive, gateway, caller.sees)
    return StreamingResponse(_content(file), media_type="application/zip")


def _archive(gateway: Gateway, owner: str | None) -> IO[bytes]:
    gateway.intake.folder.mkdir(parents=True, exist_ok=True)
    file = tempfile.TemporaryFile(dir=gateway.intake.folder)  # noqa: SIM115 - closed when it was sent
    try:
        write_archive(gateway.reviews.labelled(owner), gateway.media, file)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _content(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _shown(review: Review) -> ReviewShown:
    return ReviewShown(
        id=review.id,
        reviewer=review.reviewer,
        opinion=review.opinion,
        truth=review.truth,
        note=review.note,
        created=rfc3339(review.created),
    )
