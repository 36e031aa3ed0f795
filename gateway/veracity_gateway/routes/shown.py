"""Jobs as JSON, for callers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from veracity_gateway.jobs.queries import rfc3339
from veracity_gateway.jobs.tables import Event, Job, State


class Accepted(BaseModel):
    """A job was made."""

    model_config = ConfigDict(json_schema_extra={"examples": [{
        "job_id": "8f14e45fceea167a5a36dedd4bea2543",
        "status_url": "/jobs/8f14e45fceea167a5a36dedd4bea2543",
        "message": "clip.mp4 is queued",
    }]})  # fmt: skip

    job_id: str
    status_url: str
    message: str


class Problem(BaseModel):
    """An error, as RFC 9457 says."""

    type: str = Field(description="urn:veracity:error: and the error's name")
    title: str
    status: int
    detail: str
    request_id: str | None = None


class Refused(BaseModel):
    """A file of a batch that did not become a job."""

    name: str
    error: Problem


class BatchAccepted(BaseModel):
    """Jobs were made of several files."""

    batch_id: str
    status_url: str
    jobs: list[Accepted]
    refused: list[Refused]


class JobSummary(BaseModel):
    """A job as a list shows it. Times are RFC 3339."""

    job_id: str
    state: State
    name: str
    bytes: int | None
    sha256: str | None
    created: str | None
    started: str | None
    finished: str | None
    label: str | None
    fake_probability: float | None
    batch_id: str | None
    media: bool = Field(description="whether the media are kept still")
    answered_from: str | None = Field(description="the job whose answer this is, of the same content and models")
    error: Problem | None
    links: dict[str, str]


class Progress(BaseModel):
    """How far a job is: ``fraction`` 0 to 1, and what each stage said last."""

    fraction: float
    stages: dict[str, dict[str, Any]]


class JobShown(JobSummary):
    """A job with its verdict."""

    options: dict[str, Any]
    attempts: int
    progress: Progress
    verdict: dict[str, Any] | None = Field(description="as docs/api/verdict.schema.json says")
    provenance: dict[str, Any] | None


class JobPage(BaseModel):
    """Jobs, the newest first; ``next`` is the ``after`` of those that follow."""

    jobs: list[JobSummary]
    next: str | None


class BatchShown(BaseModel):
    """How many jobs of a batch are in which state, and the jobs."""

    batch_id: str
    states: dict[str, int]
    jobs: list[JobSummary]


def accepted(job: Job) -> Accepted:
    """Return what says that a job was made."""
    said = {"UPLOADING": "being fetched", "QUEUED": "queued", "COMPLETE": "answered from an earlier job"}
    message = f"{job.name} is {said.get(job.state, job.state.lower())}"
    return Accepted(job_id=job.id, status_url=f"/jobs/{job.id}", message=message)


def summary(job: Job) -> JobSummary:
    """Return a job as a list shows it."""
    return JobSummary(**_summary(job))


def shown(job: Job, events: Sequence[Event]) -> JobShown:
    """Return a job with everything that is known of it."""
    return JobShown(
        **_summary(job),
        options=json.loads(job.options),
        attempts=job.attempts,
        progress=_progress(job, events),
        verdict=json.loads(job.verdict) if job.verdict else None,
        provenance=json.loads(job.provenance) if job.provenance else None,
    )


def _summary(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "state": job.state,
        "name": job.name,
        "bytes": job.bytes,
        "sha256": job.sha256,
        "created": rfc3339(job.created),
        "started": rfc3339(job.started),
        "finished": rfc3339(job.finished),
        "label": job.label,
        "fake_probability": job.fake_probability,
        "batch_id": job.batch,
        "media": job.media,
        "answered_from": job.answered_from,
        "error": json.loads(job.error) if job.error else None,
        "links": _links(job.id),
    }


def _links(id_: str) -> dict[str, str]:
    at = f"/jobs/{id_}"
    reports = {f"report_{kind}": f"{at}/report.{kind}" for kind in ("html", "pdf", "json")}
    return {"self": at, "events": f"{at}/events", "media": f"{at}/media", "reviews": f"{at}/reviews", **reports}


def _progress(job: Job, events: Sequence[Event]) -> Progress:
    """Of stages that began, those that are done; the verdict is the whole."""
    stages: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.kind == "stage":
            said = json.loads(event.data)
            stages[said["stage"]] = {name: said.get(name) for name in ("status", "seconds", "progress")}
        elif json.loads(event.data)["state"] == "QUEUED":  # it begins anew
            stages.clear()
    if job.state == "COMPLETE":
        return Progress(fraction=1.0, stages=stages)
    done = sum(1.0 if stage["status"] == "done" else stage["progress"] or 0.0 for stage in stages.values())
    return Progress(fraction=round(min(0.99, done / ALL_STAGES), 3), stages=stages)


ALL_STAGES = 8  # probe, sound, speech, frames and four layers
