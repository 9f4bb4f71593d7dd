"""How people want to be told of things: one stream a user, of which the newest event holds."""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID, uuid5

import msgspec

from shared.domain.event_types import covers
from shared.domain.events import EVENTS, Event
from shared.domain.webhook_events import Scope

_USERS = UUID("6c1f1b0e-3a53-5d0c-8d53-0f5f3c1a9b27")

OWN_TYPES = ("execution.failed",)
"""What everybody is told of, unless they say otherwise: their own tasks that failed for good."""
ADMIN_TYPES = ("alert.raised", "alert.resolved")
"""What admins are told of beside that."""


def preferences_id(user_id: str) -> UUID:
    """Return the stream of a user's preferences."""
    return uuid5(_USERS, user_id)


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A way to a person: an Apprise URL, sealed, and its scheme, for people."""

    channel_id: UUID
    url: str
    scheme: str


@EVENTS.add
class PreferencesChanged(Event, frozen=True, kw_only=True):
    """A user says what to be told of, and by which channels; `types` None is the default of their role.

    `scope` tells whose events they are told of; `admin` whether they were an admin when they said so: only admins are
    told of what belongs to nobody, such as alerts.
    """

    TOPIC: ClassVar[str] = "notification.preferences_changed"

    user_id: str
    admin: bool
    channels: tuple[Channel, ...]
    types: tuple[str, ...] | None = None
    scope: Scope = Scope.OWN

    @property
    def wanted_types(self) -> tuple[str, ...]:
        """Return the types that the user is told of."""
        return self.types if self.types is not None else default_types(admin=self.admin)

    def wants(self, topic: str, owner: str | None) -> bool:
        """Tell whether the user is told of an event of this topic, which belongs to `owner` or to nobody."""
        if not covers(self.wanted_types, topic):
            return False
        if owner is None:
            return self.admin
        return owner == self.user_id or (self.admin and self.scope is Scope.ALL)


def default_types(*, admin: bool) -> tuple[str, ...]:
    """Return what somebody is told of who has not said anything about it."""
    return (*OWN_TYPES, *ADMIN_TYPES) if admin else OWN_TYPES


NOTIFICATION_TOPICS: Sequence[str] = (PreferencesChanged.TOPIC,)
