"""One request: where it goes, and where it does not."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address

import pytest

from services.status.notifier.posting import MOST_OF_ANSWER, Poster
from shared.targets import Address, Networks
from tests.webhook_target import target

LOOPBACK = Networks.parse("127.0.0.0/8")


def resolver(*answers: list[str]) -> tuple[list[str], object]:
    """A name server that answers differently each time it is asked, and what it was asked for."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [ip_address(each) for each in answers[min(len(asked), len(answers)) - 1]]

    return asked, resolve


async def test_the_address_that_was_looked_at_is_the_one_that_is_called() -> None:
    """A name server that says 127.0.0.1 first and a forbidden address then is asked once only."""
    with target() as told:
        port = told.url.rpartition(":")[2]
        asked, resolve = resolver(["127.0.0.1"], ["10.0.0.1"])
        poster = Poster(LOOPBACK, resolve=resolve)  # type: ignore[arg-type]
        outcome = await poster.post(f"http://hooks.example:{port}", "{}", {"webhook-id": "1"})
        await poster.close()
    assert outcome.delivered, outcome
    assert asked == ["hooks.example"]
    assert told.requests[0][0]["host"].startswith("hooks.example:")


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], []])
async def test_a_name_that_leads_anywhere_forbidden_is_not_called(addresses: list[str]) -> None:
    """Also if only one of its addresses is, or if it has none."""
    _, resolve = resolver(addresses)
    poster = Poster(LOOPBACK, resolve=resolve)  # type: ignore[arg-type]
    outcome = await poster.post("http://hooks.example:9/", "{}", {})
    await poster.close()
    assert not outcome.delivered
    assert outcome.error is not None
    assert "hooks.example" in outcome.error


async def test_a_long_answer_is_kept_to_a_limit() -> None:
    """What else a target sends is nobody's business."""
    with target(lambda _: "x" * 100_000) as told:
        poster = Poster(LOOPBACK, timeout=timedelta(seconds=5))
        outcome = await poster.post(told.url, "{}", {"webhook-id": "1"})
        await poster.close()
    assert outcome.delivered
    assert outcome.answer == "x" * MOST_OF_ANSWER


async def test_a_target_that_asks_for_time_is_heard() -> None:
    """By the header of the answers that may bear one, and of no other."""
    with target(lambda number: ((429, 503, 500)[number], {"Retry-After": "120"})) as told:
        poster = Poster(LOOPBACK, timeout=timedelta(seconds=5))
        wishes = [(await poster.post(told.url, "{}", {"webhook-id": "1"})).wish for _ in range(3)]
        await poster.close()
    assert wishes == [timedelta(seconds=120), timedelta(seconds=120), None]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://no-such-host.invalid/", "https://127.0.0.1:1/"])
async def test_a_target_that_cannot_be_reached_is_an_outcome(url: str) -> None:
    """Never an exception."""
    poster = Poster(LOOPBACK, timeout=timedelta(seconds=5))
    outcome = await poster.post(url, "{}", {})
    await poster.close()
    assert not outcome.delivered
    assert outcome.error
