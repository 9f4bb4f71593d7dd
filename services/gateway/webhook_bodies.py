"""The bodies that clients send about webhooks and about how they want to be told of things."""

import base64
import binascii
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from services.gateway.bodies import Body
from services.gateway.event_types import FAMILIES, TOPICS
from shared.domain.event_types import EVERYTHING, canonical, is_known
from shared.domain.webhook_events import Scope
from shared.targets import LONGEST_URL

MOST_TYPES = 50
MOST_CHANNELS = 10
SECRET_PREFIX = "whsec_"
SHORTEST_SECRET, LONGEST_SECRET = 24, 64
"""Bytes of a secret, by the Standard Webhooks specification."""
_LONGEST_ECHO = 60


def _known(name: str) -> str:
    found = canonical(name)
    if not is_known(found, TOPICS):
        raise ValueError(
            f"{name[:_LONGEST_ECHO]!r} is no type of events: use one such as task.failed, all of one kind such as "
            f"{', '.join(FAMILIES)}, or {EVERYTHING}"
        )
    return found


def _secret(text: str) -> str:
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (ValueError, binascii.Error):
        secret = b""
    if not text.startswith(SECRET_PREFIX) or not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        raise ValueError(f"must be {SECRET_PREFIX} and {SHORTEST_SECRET} to {LONGEST_SECRET} bytes in base64")
    return text


_Type = Annotated[
    str,
    StringConstraints(max_length=100),
    AfterValidator(_known),
    WithJsonSchema({"type": "string", "pattern": r"^(\*|[a-z_]+\.(\*|[a-z_]+))$", "examples": ["task.failed"]}),
]
Types = Annotated[list[_Type], Field(min_length=1, max_length=MOST_TYPES)]
Secret = Annotated[
    str, AfterValidator(_secret), WithJsonSchema({"type": "string", "pattern": r"^whsec_[A-Za-z0-9+/=]+$"})
]
_Url = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_URL)]


class WebhookRequest(Body):
    """A webhook. Without a secret one is made; admins are told of everybody's events unless `scope` is `own`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://example.com/hooks/blotter", "types": ["task.failed"]}]}
    )

    url: _Url = Field(description="http or https; where each event is posted to")
    types: Types = Field(description="`task.failed`, all of one kind such as `task.*` and `alert.*`, or `*`")
    secret: Secret | None = Field(None, description="whsec_ and 24 to 64 bytes in base64; signs each delivery")
    scope: Scope | None = Field(None, strict=False, description="own: what belongs to you; all, for admins: everything")


class WebhookChange(Body):
    """What is to be different; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"types": ["task.*"]}, {"enabled": False}]})

    url: _Url | None = None
    types: Types | None = None
    enabled: bool | None = None


class ChannelBody(Body):
    """A way to you: an Apprise URL, or the id of one that was given before."""

    channel_id: UUID | None = Field(None, strict=False, description="of a channel that stays")
    url: Annotated[str, StringConstraints(min_length=4, max_length=LONGEST_URL)] | None = Field(
        None, description="an Apprise URL, such as mailto://..., slack://... or ntfys://..."
    )


class PreferencesRequest(Body):
    """How you want to be told of things, all of it: what is left out is the default."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"channels": [{"url": "ntfys://ntfy.sh/desk"}]}]})

    channels: Annotated[list[ChannelBody], Field(max_length=MOST_CHANNELS)]
    types: Types | None = Field(None, description="null: your own failed tasks, and alerts for admins")
    scope: Scope | None = Field(None, strict=False, description="own, or for admins all")
