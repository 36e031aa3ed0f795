"""Every setting of the gateway, its default and its variable: ``VERACITY_GATEWAY_`` + its name in capitals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from platformdirs import user_data_path
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "VERACITY_GATEWAY_"
MIB = 1 << 20
Count = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """How this gateway is run. Sizes are bytes, times are seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="address to listen at; another than loopback wants an API key")
    port: int = Field(8080, ge=0, lt=65536, description="port to listen at; 0 takes a free one")
    urls: tuple[str, ...] = Field(("localhost:8001",), description="Veracity servers, as JSON list; equal ones")
    server_api_key: SecretStr | None = Field(None, description="the key that those servers want")
    data: Path = Field(user_data_path("veracity") / "gateway", description="folder of the database, media and keys")
    database: str = Field("", description="postgresql://… in place of a SQLite file in the data folder")
    media: str = Field("", description="s3://BUCKET/PREFIX in place of a folder in the data folder")
    max_bytes: Count = Field(200 * MIB, description="largest file, as the servers take it")
    upload_seconds: Seconds = Field(600.0, description="longest time that an upload or a download may take")
    fetch_private: bool = Field(False, description="whether video_url and webhooks may name private addresses")
    jobs_at_once: int | None = Field(None, gt=0, description="jobs under way; else as many as the servers analyse")
    job_seconds: Seconds = Field(900.0, description="longest time of one analysis, queueing in the servers included")
    lease_seconds: Seconds = Field(30.0, description="after which the jobs of a gateway that died are taken over")
    max_crashes: Count = Field(3, description="times that a job may be under way when its gateway dies")
    retry_seconds: Seconds = Field(3600.0, description="how long a job waits for servers that are away")
    max_queued: Count = Field(10_000, description="jobs that wait; more are refused")
    streams_a_key: Count = Field(20, description="streams of events that a key may have open at a time")
    streams: Count = Field(200, description="streams of events that may be open at a time")
    keep_days: Seconds = Field(30.0, description="after which a job and its result are deleted")
    unfinished_hours: Seconds = Field(24.0, description="after which an upload that did not end is deleted")
    signing_key: Path | None = Field(None, description="Ed25519 key (PEM) of reports; else one of the data folder")
    webhook_keys: Path | None = Field(
        None, description="file of keys that encrypt webhooks' secrets; else one of the data folder"
    )
    slow_at_once: Count = Field(2, description="PDFs and archives that are made at a time; eight more wait")
    timestamp_url: str = Field("", description="an RFC 3161 service that stamps reports")
    idempotency_hours: Seconds = Field(24.0, description="how long an Idempotency-Key is known")

    session_idle_seconds: float = Field(3600.0, ge=120, description="after which a session of the page ends unused")
    session_seconds: Seconds = Field(43_200.0, description="after which a session of the page ends")

    def database_url(self) -> str:
        """Return SQLAlchemy's URL; psycopg is the driver of PostgreSQL."""
        if not self.database:
            return f"sqlite:///{self.data / 'gateway.db'}"
        return self.database.replace("postgresql://", "postgresql+psycopg://", 1)
