"""An append whose answer is lost is stored once, and reported as what it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from typing import Protocol

import psycopg
import pytest

from shared.domain.errors import VersionConflict
from shared.domain.events import Event
from shared.log.async_event_log import AsyncEventLog
from shared.log.event_log import EventLog
from shared.log.recorder import Guard
from tests import servers
from tests.builders import stamp, submitted
from tests.proxy import Loss, Proxy
from tests.waiting import until

MARKER = b"lose-the-answer-to-this"
LOCKED_OUT = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class Append(Protocol):
    """The append of a log, in asyncio's shape."""

    def __call__(self, events: Sequence[Event], *, guard: Guard | None = None) -> Awaitable[list[int]]:
        """Append all or none."""


@pytest.fixture
def proxy(postgres_server: servers.Postgres) -> Iterator[Proxy]:
    """A proxy in front of PostgreSQL."""
    parts = psycopg.conninfo.conninfo_to_dict(postgres_server.url)
    with Proxy(str(parts["host"]), int(str(parts["port"]))) as proxy:
        yield proxy


@pytest.fixture(params=["blocking", "asyncio"])
async def append(request: pytest.FixtureRequest, proxy: Proxy, migrated_database_url: str) -> object:
    """The append of each log in turn, by way of the proxy, its connection open."""
    url = proxy.url_of(migrated_database_url)
    if request.param == "asyncio":
        async with AsyncEventLog(url) as log:
            await log.head()
            yield log.append
        return
    blocking = EventLog(url)
    blocking.head()

    async def in_thread(events: Sequence[Event], *, guard: Guard | None = None) -> list[int]:
        return await asyncio.to_thread(blocking.append, events, guard=guard)

    yield in_thread
    blocking.close()


def marked() -> list[Event]:
    """An event that the proxy recognises."""
    return list(submitted(labels={"mark": MARKER.decode()}).collect_events())


def rows(database_url: str) -> list[int]:
    """The positions of all that is stored."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT notification_id FROM log.blotter_events ORDER BY notification_id").fetchall()
    return [row[0] for row in found]


@pytest.mark.parametrize("loss", [Loss.REQUEST, Loss.WAITING, Loss.ANSWER])
async def test_the_append_succeeds_and_the_event_stands_once(
    append: Append, proxy: Proxy, migrated_database_url: str, loss: Loss
) -> None:
    """Whether the request, the answer or all in between is lost: one row, and its position is the answer."""
    proxy.lose(MARKER, loss)
    positions = await append(marked())
    assert proxy.lost.is_set()
    assert rows(migrated_database_url) == positions


@pytest.mark.parametrize("loss", [Loss.REQUEST, Loss.WAITING, Loss.ANSWER])
async def test_a_guarded_append_succeeds_and_the_event_stands_once(
    append: Append, proxy: Proxy, migrated_database_url: str, loss: Loss
) -> None:
    """The same for one that stands on the version of another stream, which has not moved."""
    run = submitted()
    before = await append(run.collect_events())
    proxy.lose(MARKER, loss)
    positions = await append(marked(), guard=Guard(run.id, run.version))
    assert proxy.lost.is_set()
    assert rows(migrated_database_url) == before + positions


async def test_a_guarded_append_that_has_lost_its_answer_is_refused_for_good(
    append: Append, proxy: Proxy, migrated_database_url: str
) -> None:
    """The stream that it stands on has moved on: the retry finds that too, and nothing is stored."""
    run = submitted()
    run.request_cancel(stamp())
    before = await append(run.collect_events())
    proxy.lose(MARKER, Loss.ANSWER)
    with pytest.raises(VersionConflict):
        await append(marked(), guard=Guard(run.id, 1))
    assert proxy.lost.is_set()
    assert rows(migrated_database_url) == before


async def test_an_append_that_is_still_waiting_in_the_server_is_not_doubled(
    append: Append, proxy: Proxy, migrated_database_url: str
) -> None:
    """The client is cut off while its append waits for the table's lock, and tries again: both wait, one wins."""
    proxy.lose(MARKER, Loss.WAITING)
    with (
        psycopg.connect(migrated_database_url) as holder,
        psycopg.connect(migrated_database_url, autocommit=True) as observer,
    ):
        holder.execute("LOCK TABLE log.blotter_events IN EXCLUSIVE MODE")
        appending = asyncio.ensure_future(append(marked()))
        await asyncio.to_thread(until, lambda: observer.execute(LOCKED_OUT).fetchone() == (2,))
        holder.rollback()
    positions = await appending
    assert rows(migrated_database_url) == positions


async def test_after_a_lost_answer_a_real_conflict_is_still_one(
    append: Append, proxy: Proxy, migrated_database_url: str
) -> None:
    """Somebody else holds the version: the retry does not take the other's event for its own."""
    [theirs] = submitted().collect_events()
    assert await append([theirs])
    ours = submitted(theirs.originator_id, labels={"mark": MARKER.decode()}).collect_events()
    proxy.lose(MARKER, Loss.ANSWER)
    with pytest.raises(VersionConflict):
        await append(ours)
    assert proxy.lost.is_set()
    assert len(rows(migrated_database_url)) == 1


async def test_the_log_goes_on_afterwards(append: Append, proxy: Proxy, migrated_database_url: str) -> None:
    """The next appends find a good connection."""
    proxy.lose(MARKER, Loss.ANSWER)
    positions = await append(marked())
    for _ in range(3):
        positions += await append(submitted().collect_events())
    assert rows(migrated_database_url) == positions
