"""Signatures by the Standard Webhooks specification (https://www.standardwebhooks.com), symmetric, version 1."""

from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


def signed_headers(message_id: str, body: str, *, at: datetime, secrets: Sequence[str]) -> dict[str, str]:
    """Return the headers of a delivery, with a signature by each of the secrets (`whsec_` and base64)."""
    signatures = [Webhook(secret).sign(msg_id=message_id, timestamp=at, data=body) for secret in secrets]
    return {
        "content-type": CONTENT_TYPE,
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
