"""What the two Alpaca adapters share: the connection, and how its refusals read."""

from dataclasses import dataclass, field

import httpx

from shared.telemetry.http import TracedClient

TRADING_URL = "https://paper-api.alpaca.markets"
"""Alpaca's paper account; the live one is https://api.alpaca.markets and must be asked for by name."""

DATA_URL = "https://data.alpaca.markets"
TIMEOUT = httpx.Timeout(10.0, connect=5.0)


@dataclass(frozen=True, kw_only=True)
class AlpacaKey:
    """A pair of API key and secret; the secret never shows in a log."""

    key_id: str
    secret: str = field(repr=False)


def connect(base_url: str, key: AlpacaKey, *, timeout: httpx.Timeout = TIMEOUT) -> httpx.Client:
    """Return a client that signs its requests; the caller closes it."""
    headers = {"APCA-API-KEY-ID": key.key_id, "APCA-API-SECRET-KEY": key.secret}
    return TracedClient(base_url=base_url, headers=headers, timeout=timeout)


def complaint(response: httpx.Response) -> str:
    """Return Alpaca's own words for a refusal: the `message` of its JSON, else the start of the body."""
    try:
        body = response.json()
    except ValueError:
        body = None
    message = body.get("message") if isinstance(body, dict) else None
    return str(message or response.text[:200] or response.reason_phrase)
