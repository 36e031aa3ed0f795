"""The parts of one gateway, put together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from obstore.exceptions import BaseError
from sqlalchemy.exc import SQLAlchemyError

from veracity_client.errors import BadOption
from veracity_gateway.access.identity import Identity
from veracity_gateway.access.keys import Keys
from veracity_gateway.access.limits import Rates, count_job
from veracity_gateway.access.sessions import Sessions
from veracity_gateway.access.streams import Streams
from veracity_gateway.database import Database
from veracity_gateway.inbound.tus import Uploads
from veracity_gateway.issued import Reports
from veracity_gateway.jobs.downloads import Downloads
from veracity_gateway.jobs.intake import Intake
from veracity_gateway.jobs.queries import JobQueries
from veracity_gateway.jobs.retention import Retention
from veracity_gateway.jobs.runner import Runner
from veracity_gateway.jobs.servers import Servers
from veracity_gateway.jobs.store import Jobs
from veracity_gateway.media import MediaStore
from veracity_gateway.meters import Meters
from veracity_gateway.outbound import Outbound
from veracity_gateway.reviews.reviews import Reviews
from veracity_gateway.settings import Settings
from veracity_gateway.slow_work import SlowWork
from veracity_gateway.webhooks.delivery import Deliveries
from veracity_gateway.webhooks.endpoints import Webhooks
from veracity_gateway.webhooks.outbox import Outbox
from veracity_gateway.webhooks.secrets import Secrets, unlock


@dataclass(frozen=True)
class Gateway:
    """What the routes work with."""

    settings: Settings

    @cached_property
    def database(self) -> Database:
        """The database."""
        try:
            self.settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            return Database(self.settings.database_url())
        except (SQLAlchemyError, OSError) as error:
            said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            raise BadOption(f"the gateway's database cannot be opened: {said}") from None

    @cached_property
    def media(self) -> MediaStore:
        """The media of jobs."""
        try:
            return MediaStore(self.settings.media or self.settings.data / "media")
        except (BaseError, ValueError) as error:
            raise BadOption(f"VERACITY_GATEWAY_MEDIA: give s3://BUCKET/PREFIX; {str(error)[:200]}") from None

    @cached_property
    def servers(self) -> Servers:
        """The Veracity servers."""
        return Servers(self.settings)

    @cached_property
    def jobs(self) -> Jobs:
        """What changes jobs."""
        jobs = Jobs(self.database, max_queued=self.settings.max_queued)
        jobs.on_begin.append(count_job)
        jobs.on_end += [self.webhooks.job_ended, self.meters.job_ended]
        jobs.on_delete.append(self.webhooks.job_deleted)
        return jobs

    @cached_property
    def queries(self) -> JobQueries:
        """What reads jobs."""
        return JobQueries(self.database)

    @cached_property
    def intake(self) -> Intake:
        """What makes jobs of requests."""
        return Intake(self.jobs, self.media, self.servers, self.settings)

    @cached_property
    def outbound(self) -> Outbound:
        """What asks addresses that callers name."""
        return Outbound(private=self.settings.fetch_private)

    @cached_property
    def uploads(self) -> Uploads:
        """Uploads that may be interrupted."""
        return Uploads(self.queries, self.intake, self.settings)

    @cached_property
    def runner(self) -> Runner:
        """What works on jobs."""
        downloads = Downloads(self.jobs, self.intake, self.outbound, self.settings)
        return Runner(self.jobs, self.media, self.servers, self.settings, downloads)

    @cached_property
    def secrets(self) -> Secrets:
        """The keys that webhooks' secrets are encrypted with."""
        return unlock(self.database, self.settings)

    @cached_property
    def webhooks(self) -> Webhooks:
        """The addresses that want to be told."""
        return Webhooks(self.database, self.secrets)

    @cached_property
    def deliveries(self) -> Deliveries:
        """What tells them."""
        return Deliveries(Outbox(self.database, self.secrets), self.outbound)

    @cached_property
    def retention(self) -> Retention:
        """What deletes."""
        return Retention(self.database, self.jobs, self.media, self.settings)

    @cached_property
    def reviews(self) -> Reviews:
        """What analysts say of verdicts."""
        return Reviews(self.database)

    @cached_property
    def reports(self) -> Reports:
        """The signed reports."""
        return Reports(self.database, self.reviews, self.settings)

    @cached_property
    def slow(self) -> SlowWork:
        """What makes PDFs and archives."""
        return SlowWork(self.settings.slow_at_once)

    @cached_property
    def keys(self) -> Keys:
        """The API keys."""
        return Keys(self.database)

    @cached_property
    def sessions(self) -> Sessions:
        """The page's sessions."""
        return Sessions(self.database, self.settings)

    @cached_property
    def identity(self) -> Identity:
        """Who asks."""
        return Identity(self.keys, self.sessions)

    @cached_property
    def rates(self) -> Rates:
        """How often each key asked."""
        return Rates()

    @cached_property
    def streams(self) -> Streams:
        """The streams of events that are open."""
        return Streams(a_caller=self.settings.streams_a_key, most=self.settings.streams)

    @cached_property
    def meters(self) -> Meters:
        """What Prometheus reads."""
        return Meters()

    def check(self) -> None:
        """Open what it works with and close it again, so that a fault is said before anything is served."""
        try:
            unlock(self.database, self.settings)
        finally:
            self.database.close()
        self.media.check()

    async def close(self) -> None:
        """Let go of connections."""
        await self.servers.close()
        self.database.close()
