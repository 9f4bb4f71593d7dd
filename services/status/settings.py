"""Settings of the projector, the relay, the notifier and the query API."""

from datetime import timedelta

from pydantic import Field

from shared.targets import TargetSettings


class StatusSettings(TargetSettings):
    """What the status service needs beyond the log and Redis."""

    status_host: str = Field("127.0.0.1", description="address that the query API listens on")
    status_port: int = Field(8010, ge=0, le=65535, description="port of the query API")
    stream_retention_seconds: float = Field(
        7 * 86_400.0, ge=1, description="how long published events stay in their Redis Streams"
    )
    stream_max_length: int = Field(
        200_000, ge=1_000, description="about how many events a Redis Stream holds, if fewer than the retention leaves"
    )

    telemetry_retention_seconds: float = Field(
        7 * 86_400.0, ge=1, description="how long spans and log lines of tasks are kept"
    )
    telemetry_max_bytes: int = Field(
        1 << 30, ge=1 << 20, description="about how much is kept of spans, and of log lines; the oldest go first"
    )

    delivery_lease_seconds: float = Field(
        60.0, ge=1, description="after which a delivery is tried again whose notifier died in the middle of it"
    )

    @property
    def delivery_lease(self) -> timedelta:
        """Return how long a try holds its delivery."""
        return timedelta(seconds=self.delivery_lease_seconds)

    @property
    def stream_retention(self) -> timedelta:
        """Return how long published events stay in their streams."""
        return timedelta(seconds=self.stream_retention_seconds)
