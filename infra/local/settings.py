"""What the local stack reads from the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.local.failures import SettingsError

CHECKOUT = Path(__file__).resolve().parents[2]


class LocalSettings(BaseSettings):
    """Where the stack lives and what it listens on. Servers that are given by URL are used, not started."""

    model_config = SettingsConfigDict(env_prefix="BLOTTER_", extra="ignore", populate_by_name=True)

    home: Path = Field(Path(".blotter"), description="folder for the stack's data, logs and objects")
    port: int = Field(8000, ge=1, le=65535, description="port of the gateway")
    strategies: str = Field(
        str(CHECKOUT / "strategies"), description="folders and module names of strategies, comma-separated"
    )
    database_url: str | None = Field(None, validation_alias="DATABASE_URL")
    redis_url: str | None = Field(None, validation_alias="REDIS_URL")

    @classmethod
    def from_environment(cls) -> LocalSettings:
        """Read the environment; `SettingsError` names the variable that is wrong."""
        try:
            return cls()
        except ValidationError as error:
            problems = "; ".join(f"{_variable(str(problem['loc'][0]))}: {problem['msg']}" for problem in error.errors())
            raise SettingsError(f"The environment is not usable ({problems}): correct it, then try again.") from None


def _variable(field: str) -> str:
    return field if field.isupper() else f"BLOTTER_{field.upper()}"
