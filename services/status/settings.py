"""Settings of the projector and of the query API."""

from pydantic import Field

from shared.settings import Settings


class StatusSettings(Settings):
    """What the status service needs beyond the log and Redis."""

    status_host: str = Field("127.0.0.1", description="address that the query API listens on")
    status_port: int = Field(8010, ge=0, le=65535, description="port of the query API")
