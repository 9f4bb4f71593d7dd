"""The live stream against the log: nothing is left out, nothing is told twice, whatever comes between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from websockets.asyncio.client import ClientConnection, connect

from services.gateway.changes import Pushed, change
from services.gateway.live import Interest
from shared.domain.catalogue_events import CATALOGUE_ID
from shared.domain.execution import WorkflowExecution
from shared.log.runs import Recorded
from tests.builders import at_join, complete_all, complete_member, running, stamp, submitted
from tests.integration.gateway.stage import settings
from tests.live_server import PATIENCE, Served, served
from tests.schedule_builders import schedule
from tests.writers import start_writer

WRITERS = 4
APPENDS = 150


@pytest.fixture
async def gateway(catalogue_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    """A gateway in open mode, over real HTTP."""
    async with served(settings(catalogue_url, home=tmp_path)) as running_gateway:
        yield running_gateway


def told(recorded: Iterable[Recorded]) -> list[dict[str, Any]]:
    """What the stream is to say of these events."""
    return [json.loads(change(each).body) for each in recorded]


async def everything(gateway: Served, after: int = 0) -> list[dict[str, Any]]:
    """What the stream is to say of the whole log."""
    return told(await gateway.log.read(after, limit=100_000))


async def save(gateway: Served, *executions: WorkflowExecution) -> None:
    """Append what was decided."""
    for execution in executions:
        await gateway.log.append(execution.collect_events())


async def write(database_url: str, writers: int = WRITERS, appends: int = APPENDS) -> None:
    """Have processes append at once, and wait until they have."""
    started = [await asyncio.to_thread(start_writer, database_url, appends) for _ in range(writers)]
    for writer in started:
        assert writer.stdout
        await asyncio.to_thread(writer.stdout.readline)
    ended = [asyncio.create_task(asyncio.to_thread(writer.communicate, b"\n")) for writer in started]
    await asyncio.gather(*ended)
    assert {writer.returncode for writer in started} == {0}


async def test_a_client_hears_every_event_of_four_writers_once_and_in_order(
    gateway: Served, catalogue_url: str
) -> None:
    """From before the first append to after the last, also one that joins in the middle."""
    total = WRITERS * APPENDS * 2
    async with gateway.stream() as first:
        writing = asyncio.create_task(write(catalogue_url))
        heard = await first.events(total // 3)
        async with gateway.stream(after=heard[total // 6]["position"]) as second:
            joined = heard[: total // 6 + 1] + await second.events(total - total // 6 - 1)
        heard += await first.events(total - len(heard))
        await writing
    expected = await everything(gateway, after=1)
    assert heard == expected
    assert joined == expected


async def test_resuming_at_any_position_leaves_nothing_out_and_repeats_nothing(gateway: Served) -> None:
    """By `after` and by Last-Event-ID, which wins."""
    await save(gateway, *(running() for _ in range(6)))
    expected = await everything(gateway)
    for number in range(len(expected)):
        position = expected[number - 1]["position"] if number else 0
        async with gateway.stream(after=position) as by_query:
            assert await by_query.events(len(expected) - number) == expected[number:]
        async with gateway.stream({"Last-Event-ID": str(position)}, after=0) as by_header:
            assert await by_header.events(len(expected) - number) == expected[number:]


async def test_without_a_position_it_begins_with_what_comes_next(gateway: Served) -> None:
    """The past is not told again."""
    await save(gateway, running())
    async with gateway.stream() as stream:
        later = submitted()
        await save(gateway, later)
        event = await stream.event()
    assert (event["type"], event["task_id"]) == ("execution.submitted", str(later.id))


async def test_a_client_that_does_not_read_loses_nothing(gateway: Served, catalogue_url: str) -> None:
    """It falls out of what the gateway keeps in memory, and is served from the log."""
    gateway_live = gateway.server.config.app.state.components.live  # type: ignore[union-attr]
    async with gateway.stream() as slow, gateway.stream() as quick:
        writing = asyncio.create_task(write(catalogue_url, appends=1_000))
        await quick.events(WRITERS * 1_000 * 2)
        await writing
        assert gateway_live._recent.floor > 1
        heard = await slow.events(WRITERS * 1_000 * 2)
    assert heard == await everything(gateway, after=1)


async def test_fifty_clients_hear_the_same(gateway: Served, catalogue_url: str) -> None:
    """All of it, each of them, while four writers append."""
    total = WRITERS * 25 * 2

    async def hear(ready: asyncio.Barrier) -> list[dict[str, Any]]:
        async with gateway.stream() as stream:
            await ready.wait()
            return await stream.events(total)

    ready = asyncio.Barrier(51)
    clients = [asyncio.create_task(hear(ready)) for _ in range(50)]
    await ready.wait()
    await write(catalogue_url, appends=25)
    expected = await everything(gateway, after=1)
    assert all(heard == expected for heard in await asyncio.gather(*clients))


async def test_a_task_is_followed_with_its_branches(gateway: Served) -> None:
    """Events of branches bear the id of their run; it is the same from the log and as it happens."""
    followed, other = at_join(), running()
    await save(gateway, followed, other)
    async with gateway.stream(task_id=str(followed.id), after=0) as stream:
        past = await stream.events(len(await gateway.log.history(followed.id)))
        complete_member(followed, followed.submitted.symbols[0], stamp(5))
        await save(gateway, other := running(), followed)
        news = await stream.events(2)
    assert past + news == told(await gateway.log.history(followed.id))
    assert {event["task_id"] for event in past + news} == {str(followed.id)}
    assert [event["type"] for event in news] == ["branch.attempt_started", "branch.completed"]


async def test_types_are_listed_repeated_or_named_by_how_they_begin(gateway: Served) -> None:
    """Each way says the same."""
    done = running()
    complete_all(done)
    await save(gateway, done)
    position = await gateway.log.head()
    types = {each["type"] for each in await everything(gateway, after=1)}
    wanted = ["execution.submitted", "execution.succeeded"]
    for query in (wanted, [",".join(wanted)]):
        async with gateway.stream(types=query, after=0) as stream:
            assert [event["type"] for event in await stream.events(2)] == wanted
    async with gateway.stream(types="execution.*", after=0) as stream:
        assert {event["type"] for event in await stream.events(position - 1)} == types


async def test_a_user_follows_what_is_theirs(gateway: Served) -> None:
    """Tasks and schedules of others, and the catalogue, are left out; a schedule is no task, and is the subject."""
    mine, theirs = schedule(user_id="ann"), schedule(user_id="bob")
    first, second = submitted(user_id="ann"), submitted(user_id="bob")
    for each in (theirs, second, mine, first):
        await gateway.log.append(each.collect_events())
    async with gateway.stream(user_id="ann", after=0) as stream:
        heard = await stream.events(2)
    assert [(event["task_id"], event["subject"]) for event in heard] == [
        (None, str(mine.id)),
        (str(first.id), str(first.id)),
    ]


async def test_the_stream_goes_on_when_postgresql_has_cut_every_connection(gateway: Served, catalogue_url: str) -> None:
    """From its position, without a word to the client, as often as it happens."""
    async with gateway.stream() as stream, connect(gateway.socket_url) as socket:
        for _ in range(3):
            await cut_all(catalogue_url)
            task = submitted()
            await save(gateway, task)
            assert (await stream.event())["task_id"] == str(task.id)
            assert (await spoken(socket))["task_id"] == str(task.id)


async def cut_all(database_url: str) -> None:
    """End every connection to the database but ours."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def spoken(socket: ClientConnection) -> dict[str, Any]:
    """The next message."""
    async with asyncio.timeout(PATIENCE):
        document: dict[str, Any] = json.loads(await socket.recv())
        return document


async def test_websocket_and_server_sent_events_say_the_same(gateway: Served) -> None:
    """With the same query."""
    async with (
        gateway.stream(types="execution.*", after=0) as stream,
        connect(f"{gateway.socket_url}?types=execution.*&after=0") as socket,
    ):
        await save(gateway, running(), running())
        heard = await stream.events(4)
        assert [await spoken(socket) for _ in range(4)] == heard


async def test_what_is_no_task_has_its_own_subject(gateway: Served) -> None:
    """The catalogue is one of these."""
    async with gateway.stream(after=0) as stream:
        event = await stream.event()
    assert (event["type"], event["task_id"]) == ("catalogue.published", None)
    assert UUID(event["subject"]) == CATALOGUE_ID


async def test_nobody_is_listened_for_when_all_have_gone(gateway: Served) -> None:
    """A client that goes is let go of at once, and the next one finds all that came meanwhile."""
    live = gateway.server.config.app.state.components.live  # type: ignore[union-attr]
    async with gateway.stream(), connect(gateway.socket_url):
        assert live._listeners == 2
    async with asyncio.timeout(PATIENCE):
        while live._listeners:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await save(gateway, submitted(task_id=uuid4()))
    async with gateway.stream(after=0) as stream:
        assert await stream.events(2) == await everything(gateway)


async def test_a_stream_that_has_nothing_to_tell_shows_that_it_lives(gateway: Served) -> None:
    """After each time of silence, also while others' events pass by; what is told afterwards is the next event."""
    live = gateway.server.config.app.state.components.live  # type: ignore[union-attr]
    theirs, mine = submitted(user_id="bob"), submitted(user_id="ann")
    start = await live.start(None)
    async with (
        asyncio.timeout(PATIENCE),
        aclosing(live.batches(Interest(user_id="ann"), start, heartbeat=timedelta(milliseconds=20))) as batches,
    ):
        assert not await anext(batches)
        await save(gateway, theirs)
        assert not await anext(batches)
        await save(gateway, mine)
        told = [change async for batch in _until_told(batches) for change in batch]
    assert [each.task_id for each in told] == [mine.id]


async def _until_told(batches: AsyncIterator[Sequence[Pushed]]) -> AsyncIterator[Sequence[Pushed]]:
    async for batch in batches:
        yield batch
        if batch:
            return
