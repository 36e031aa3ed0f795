"""The parts of one gateway, put together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from veracity_gateway.database import Database
from veracity_gateway.jobs.intake import Intake
from veracity_gateway.jobs.queries import JobQueries
from veracity_gateway.jobs.retention import Retention
from veracity_gateway.jobs.runner import Runner
from veracity_gateway.jobs.servers import Servers
from veracity_gateway.jobs.store import Jobs
from veracity_gateway.media import MediaStore
from veracity_gateway.meters import Meters
from veracity_gateway.reviews.reviews import Reviews
from veracity_gateway.settings import Settings


@dataclass(frozen=True)
class Gateway:
    """What the routes work with."""

    settings: Settings

    @cached_property
    def database(self) -> Database:
        """The database."""
        self.settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Database(self.settings.database_url())

    @cached_property
    def media(self) -> MediaStore:
        """The media of jobs."""
        return MediaStore(self.settings.media or self.settings.data / "media")

    @cached_property
    def servers(self) -> Servers:
        """The Veracity servers."""
        return Servers(self.settings)

    @cached_property
    def jobs(self) -> Jobs:
        """What changes jobs."""
        return Jobs(self.database, max_queued=self.settings.max_queued)

    @cached_property
    def queries(self) -> JobQueries:
        """What reads jobs."""
        return JobQueries(self.database)

    @cached_property
    def intake(self) -> Intake:
        """What makes jobs of requests."""
        return Intake(self.jobs, self.media, self.servers, self.settings)

    @cached_property
    def runner(self) -> Runner:
        """What works on jobs."""
        return Runner(self.jobs, self.media, self.servers, self.settings)

    @cached_property
    def retention(self) -> Retention:
        """What deletes."""
        return Retention(self.database, self.jobs, self.media, self.settings)

    @cached_property
    def reviews(self) -> Reviews:
        """What analysts say of verdicts."""
        return Reviews(self.database)

    @cached_property
    def meters(self) -> Meters:
        """What Prometheus reads."""
        return Meters()

    async def close(self) -> None:
        """Let go of connections."""
        await self.servers.close()
        self.database.close()
