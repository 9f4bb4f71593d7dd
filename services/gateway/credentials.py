"""Who asks: API keys, the three roles, and what each may do.

::

    BlotterError
    ├── Unauthenticated     keys are configured, and the request brings none that is known
    └── Forbidden
        ├── NotYourSchedule a trader may change its own schedules only
        ├── NotYourTask     a trader may cancel its own tasks only
        └── NotYourWebhook  a trader may see and change its own webhooks only
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.errors import BlotterError, Forbidden

SHORTEST_KEY = 16
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]+")


class Role(StrEnum):
    """What a caller may do; each role may do what the ones before it may."""

    VIEWER = "viewer"
    TRADER = "trader"
    ADMIN = "admin"

    def covers(self, needed: "Role") -> bool:
        """Tell whether this role may do what `needed` may."""
        return _RANKS[self] >= _RANKS[needed]


_RANKS = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The user behind a request; `user_id` is what the log records."""

    user_id: str
    role: Role


LOCAL = Caller(user_id="local", role=Role.ADMIN)
"""The one user of open mode."""


class Unauthenticated(BlotterError):
    """The request bears no key that is known."""

    code = "unauthenticated"


class NotYourSchedule(Forbidden):
    """The schedule belongs to someone else."""

    code = "not_your_schedule"


class NotYourTask(Forbidden):
    """The task belongs to someone else."""

    code = "not_your_task"


class NotYourWebhook(Forbidden):
    """The webhook belongs to someone else."""

    code = "not_your_webhook"


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A caller and the SHA-256 of its key; the key itself is not kept."""

    caller: Caller
    digest: bytes


def parse_api_keys(text: str) -> tuple[ApiKey, ...]:
    """Return the keys in `text`: comma-separated `user:role:key`, blanks around entries ignored.

    Raises ValueError with a sentence that names the entry by its number and never shows any part of it.
    """
    entries = [entry.strip() for entry in text.split(",")]
    keys = [_api_key(number, entry) for number, entry in enumerate(entries, start=1) if entry]
    if len({key.digest for key in keys}) < len(keys):
        raise ValueError("BLOTTER_API_KEYS lists the same key twice: give each entry a key of its own.")
    return tuple(keys)


def _api_key(number: int, entry: str) -> ApiKey:
    user, _, rest = entry.partition(":")
    role, _, key = rest.partition(":")
    where = f"Entry {number} of BLOTTER_API_KEYS"
    if not _USER.fullmatch(user):
        raise ValueError(f"{where} has no usable user: write user:role:key, the user of letters, digits and _.@-")
    if role not in list(Role):
        raise ValueError(f"{where} has no known role: write user:role:key with viewer, trader or admin.")
    if len(key) < SHORTEST_KEY or not _KEY.fullmatch(key):
        raise ValueError(f"{where} has a weak key: use {SHORTEST_KEY} or more visible ASCII characters, no comma.")
    return ApiKey(caller=Caller(user_id=user, role=Role(role)), digest=_digest(key.encode()))


class Credentials:
    """Turns an Authorization header into a caller. Without keys it is open: everyone is `LOCAL`."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = tuple(keys)

    @property
    def open(self) -> bool:
        """Tell whether no key is needed."""
        return not self._keys

    def authenticate(self, authorization: bytes | None) -> Caller:
        """Return whose key `authorization` (`Bearer <key>`, RFC 6750) bears. Raises Unauthenticated.

        Digests are compared, each in constant time and all of them, so that timing tells nothing about a key.
        """
        if self.open:
            return LOCAL
        scheme, _, key = (authorization or b"").partition(b" ")
        digest = _digest(key.strip())
        found = None
        for known in self._keys:
            if hmac.compare_digest(known.digest, digest):
                found = known.caller
        if found is None or scheme.lower() != b"bearer":
            raise Unauthenticated("Send a known API key in the header Authorization: Bearer <key>.")
        return found


def require(caller: Caller, role: Role) -> None:
    """Raise Forbidden unless `caller` has `role` or a higher one."""
    if not caller.role.covers(role):
        raise Forbidden(f"This needs the role {role}; {caller.user_id} is {caller.role}. Ask an admin for a key.")


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
