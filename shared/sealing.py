"""Secrets at rest: what the log must keep and nobody may read there, sealed with keys of the installation's own.

Fernet of the library `cryptography` (https://github.com/fernet/spec): AES-128-CBC and HMAC-SHA256.
"""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import Field, SecretStr, field_validator

from shared.domain.errors import Unavailable
from shared.settings import Settings

NO_KEY = (
    "Secrets cannot be kept without a key: set BLOTTER_SECRETS_KEY, the same for gateway and status service, to what "
    "`python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'` prints."
)
OTHER_KEY = (
    "A secret in the log was sealed with another key: set BLOTTER_SECRETS_KEY to that one, or to both, the newest "
    "first, with a comma between."
)


class Sealer:
    """Seals with the first of some keys, and opens what any of them has sealed. Without keys both are refused."""

    def __init__(self, keys: str) -> None:
        """`keys` are Fernet keys, the newest first, with commas between; raises ValueError for anything else."""
        each = [key.strip() for key in keys.split(",") if key.strip()]
        self._fernet = MultiFernet([Fernet(key) for key in each]) if each else None

    def seal(self, text: str) -> str:
        """Return `text` sealed, as ASCII. Raises Unavailable without a key."""
        return self._keys().encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """Return what was sealed. Raises Unavailable without the key."""
        try:
            return self._keys().decrypt(sealed).decode()
        except InvalidToken:
            raise Unavailable(OTHER_KEY) from None

    def _keys(self) -> MultiFernet:
        if self._fernet is None:
            raise Unavailable(NO_KEY)
        return self._fernet


class SealingSettings(Settings):
    """Settings of a process that keeps secrets."""

    secrets_key: SecretStr = Field(
        SecretStr(""), description="Fernet keys that seal secrets in the log, the newest first, with commas between"
    )

    @field_validator("secrets_key")
    @classmethod
    def _check(cls, keys: SecretStr) -> SecretStr:
        try:
            Sealer(keys.get_secret_value())
        except ValueError:
            raise ValueError("must be Fernet keys: 32 bytes in URL-safe base64 each, with commas between") from None
        return keys

    def sealer(self) -> Sealer:
        """Return what seals with these keys."""
        return Sealer(self.secrets_key.get_secret_value())
