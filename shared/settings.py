"""Settings that every service reads from the environment."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.telemetry.process import TelemetryOptions

RESULT_TTL_SECONDS = 86_400.0
"""How long a result is kept, unless BLOTTER_RESULT_TTL_SECONDS or its task says otherwise."""


class Settings(BaseSettings):
    """Where the log and Redis are. Variables are named BLOTTER_..., but for the two URLs everyone knows."""

    model_config = SettingsConfigDict(env_prefix="BLOTTER_", extra="ignore", populate_by_name=True)

    database_url: str = Field(
        validation_alias="DATABASE_URL", description="postgresql://user:password@host:port/database"
    )
    redis_url: str = Field("redis://127.0.0.1:6379/0", validation_alias="REDIS_URL")
    status_url: str = Field("http://127.0.0.1:8010", pattern="^https?://", description="the status service's query API")
    home: Path = Field(Path(".blotter"), description="folder for objects, logs and the local stack's data")
    objects_url: str | None = Field(
        None, description="s3://bucket/prefix or file:///folder of the object store; BLOTTER_HOME/objects if unset"
    )
    object_grace_seconds: float = Field(
        7 * 86_400.0, ge=3600, description="age at which an object that the log does not refer to may be removed"
    )
    execution_retention_days: float = Field(
        90.0, ge=1, description="age at which ended tasks leave the lists; their history stays readable"
    )
    log_retention_days: float = Field(
        365.0, ge=30, description="age at which the events of ended tasks move from the log's table into archives"
    )
    log_format: str = Field("auto", pattern="^(auto|json|console)$", description="auto: console on a terminal")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    trace_sample_ratio: float = Field(1.0, ge=0, le=1, description="part of the traces that begin here that is kept")
    telemetry: bool = Field(True, description="keep spans and log lines of tasks in the database, for the API")

    @property
    def objects_folder(self) -> Path:
        """Return the folder of the object store, unless BLOTTER_OBJECTS_URL names another place."""
        return self.home / "objects"

    @property
    def object_grace(self) -> timedelta:
        """Return how old an object may be that the log does not refer to."""
        return timedelta(seconds=self.object_grace_seconds)

    @property
    def execution_retention(self) -> timedelta:
        """Return how long after its last event an ended task stays in the lists."""
        return timedelta(days=self.execution_retention_days)

    @property
    def telemetry_options(self) -> TelemetryOptions:
        """Return what is kept of traces and log lines, and where."""
        return TelemetryOptions(
            database_url=self.database_url, sample_ratio=self.trace_sample_ratio, is_kept=self.telemetry
        )

    @property
    def log_retention(self) -> timedelta:
        """Return how long after its last event a run's stream stays in the log's table."""
        return timedelta(days=self.log_retention_days)

    @property
    def sqlalchemy_url(self) -> str:
        """Return the database's URL as SQLAlchemy wants it."""
        return sqlalchemy_url(self.database_url)


def sqlalchemy_url(database_url: str) -> str:
    """Return a libpq URL with psycopg named as SQLAlchemy's driver."""
    scheme, rest = database_url.split("://", 1)
    return f"postgresql+psycopg://{rest}" if scheme in ("postgresql", "postgres") else database_url
