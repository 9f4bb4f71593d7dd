"""What the gateway reads from the environment."""

from ipaddress import ip_address
from typing import Self
from uuid import UUID, uuid5

from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from services.gateway.credentials import ApiKey, parse_api_keys
from shared.result_backend import LONGEST_TTL
from shared.settings import RESULT_TTL_SECONDS
from shared.targets import TargetSettings

IDEMPOTENT_IDS = UUID("0d6a5a0e-6f7b-5a43-9d5e-1a6e6f3b7c11")
"""The namespace in which each installation's own namespace of idempotent task ids is named."""


class GatewaySettings(TargetSettings):
    """Where the gateway listens, whom it lets in, and what it lets through."""

    model_config = SettingsConfigDict(hide_input_in_errors=True)

    host: str = Field("127.0.0.1", description="address to listen on; any but loopback needs BLOTTER_API_KEYS")
    port: int = Field(8000, ge=0, le=65535, description="0 takes a free one")
    api_keys: SecretStr = Field(SecretStr(""), description="comma-separated user:role:key")
    id_secret: SecretStr | None = Field(None, description="names the namespace of idempotent task ids")
    result_ttl_seconds: float = Field(
        RESULT_TTL_SECONDS,
        gt=0,
        le=LONGEST_TTL.total_seconds(),
        description="how long results are kept, unless a task says",
    )
    max_body_bytes: int = Field(1 << 20, ge=1024, description="larger request bodies are refused")

    @property
    def keys(self) -> tuple[ApiKey, ...]:
        """Return the configured keys; none means open mode."""
        return parse_api_keys(self.api_keys.get_secret_value())

    @property
    def id_namespace(self) -> UUID:
        """Return the namespace of idempotent task ids: the same after a restart and in every replica.

        Without BLOTTER_ID_SECRET it is named after the database. Changing either makes old idempotency keys unknown.
        """
        if self.id_secret is not None:
            return uuid5(IDEMPOTENT_IDS, f"secret:{self.id_secret.get_secret_value()}")
        return uuid5(IDEMPOTENT_IDS, f"database:{conninfo_to_dict(self.database_url).get('dbname', '')}")

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        if not self.keys and not is_loopback(self.host):
            raise ValueError(
                f"The gateway will not listen on {self.host} without keys: set BLOTTER_API_KEYS to "
                "user:role:key entries, or BLOTTER_HOST to 127.0.0.1."
            )
        return self


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach `host`; a name other than localhost counts as reachable."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
