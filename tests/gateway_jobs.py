"""Jobs of a gateway's database, as they are after some work that no server has to do."""

from pathlib import Path

from report_samples import FILM

from veracity_gateway.access.caller import LOCAL
from veracity_gateway.gateway import Gateway
from veracity_gateway.jobs.store import NewJob

RUNNER = "a runner"


def complete_job(gateway: Gateway, owner: str = LOCAL.id, media: Path | None = None) -> str:
    """Make a job with a real verdict; it has no media, unless there is a file to keep."""
    job = gateway.jobs.begin(NewJob(owner, media.name if media else "clip.mp4", "{}", keep_media=media is not None))
    if media:
        gateway.media.put(job.id, media)
    gateway.jobs.queue(job.id, name=job.name, size=5, sha256="a" * 64, content=None, fingerprint=None)
    assert gateway.jobs.claim(RUNNER, 60.0)
    assert gateway.jobs.complete(job.id, RUNNER, FILM, None)
    return job.id
