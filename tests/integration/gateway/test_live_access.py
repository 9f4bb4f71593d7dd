"""Who may listen, what may be asked for, and how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from shared.log.event_log import EventLog
from tests.builders import submitted
from tests.integration.gateway.stage import ADA, KEYS, ROOT, VERA, as_user, settings
from tests.integration.gateway.test_process import gateway as gateway_process
from tests.live_server import PATIENCE, Served, served

PROMPTLY = 5
"""Seconds; a graceful stop may take ten."""

WRONG = [
    ("after=x", "after"),
    ("after=-1", "after"),
    ("after=", "after"),
    ("after=999999", "after"),
    ("task_id=x", "task_id"),
    ("user_id=a%20b", "user_id"),
    ("types=nothing", "types.0"),
    ("types=execution.submitted,", "types.1"),
    ("types=execution", "types.0"),
    ("since=1", "since"),
    ("after=0&after=1", "after"),
]


@pytest.fixture
async def open_gateway(catalogue_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    """A gateway without keys."""
    async with served(settings(catalogue_url, home=tmp_path)) as running:
        yield running


@pytest.fixture
async def keyed_gateway(catalogue_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    """A gateway with keys; its client brings none by itself."""
    async with served(settings(catalogue_url, home=tmp_path, api_keys=KEYS)) as running:
        yield running


async def refused(
    url: str, headers: dict[str, str] | None = None, *, origin: str | None = None, host: str | None = None
) -> tuple[int, str]:
    """The code and the reason with which a WebSocket is closed before it says anything; it is really at `host`."""
    place: dict[str, Any] = {"host": host} if host else {}
    async with (
        asyncio.timeout(PATIENCE),
        connect(url, additional_headers=headers, origin=Origin(origin) if origin else None, **place) as socket,
    ):
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code
        return socket.close_code, str(socket.close_reason)


@pytest.mark.parametrize("key", [VERA, ADA, ROOT])
async def test_every_role_may_listen(keyed_gateway: Served, key: str) -> None:
    """To all that happens, in both ways."""
    headers = as_user(key)
    async with (
        keyed_gateway.stream(headers, after=0) as stream,
        connect(f"{keyed_gateway.socket_url}?after=0", additional_headers=headers) as socket,
    ):
        assert json.loads(await socket.recv()) == await stream.event()


@pytest.mark.parametrize("key", [None, "wrong-key-0123456789"])
async def test_without_a_known_key_nobody_listens(keyed_gateway: Served, key: str | None) -> None:
    """HTTP is answered 401, a WebSocket closed with 4401 and the reason."""
    headers = as_user(key) if key else {}
    async with keyed_gateway.stream(headers, after=0) as stream:
        assert stream.response.status_code == 401
    code, reason = await refused(f"{keyed_gateway.socket_url}?after=0", headers)
    assert (code, "Authorization: Bearer" in reason) == (4401, True)


async def test_without_keys_a_page_from_elsewhere_cannot_listen(open_gateway: Served) -> None:
    """By a WebSocket, which browsers open to any place; the gateway's own pages can."""
    url = f"{open_gateway.socket_url}?after=0"
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert (await refused(url, origin=origin))[0] == 4403
    async with connect(url, origin=Origin(open_gateway.url)) as socket:
        assert json.loads(await socket.recv())["type"] == "catalogue.published"


async def test_without_keys_only_loopback_names_are_answered(open_gateway: Served) -> None:
    """A name that is made to point here is refused, in both ways."""
    async with open_gateway.stream({"Host": "evil.example"}) as stream:
        assert stream.response.status_code == 403
    named = open_gateway.socket_url.replace("127.0.0.1", "evil.example")
    assert (await refused(named, host="127.0.0.1"))[0] == 4403


@pytest.mark.parametrize(("query", "field"), WRONG)
async def test_a_wrong_question_is_refused_by_the_name_of_its_field(
    open_gateway: Served, query: str, field: str
) -> None:
    """Over HTTP with 422, over a WebSocket with 4422 and the same words."""
    answer = await open_gateway.client.get(f"/api/live?{query}")
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    code, reason = await refused(f"{open_gateway.socket_url}?{query}")
    assert (code, reason.partition(": ")[0]) == (4422, field)


async def test_a_wrong_last_event_id_is_refused(open_gateway: Served) -> None:
    """It is a position like `after`."""
    answer = await open_gateway.client.get("/api/live", headers={"Last-Event-ID": "x"})
    assert [error["field"] for error in answer.json()["errors"]] == ["Last-Event-ID"]


async def test_a_stream_ends_promptly_when_the_gateway_stops(open_gateway: Served) -> None:
    """Both kinds, while they are idle: no client can hold up the end."""
    async with open_gateway.stream() as stream, connect(open_gateway.socket_url) as socket:
        open_gateway.server.should_exit = True
        await asyncio.wait_for(open_gateway.running, PROMPTLY)
        await stream.end()
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1012


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_process_does_not_hang_on_a_stream(catalogue_url: str, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C ends it at once, with exit code 0 and no traceback, also while somebody listens."""
    with (
        gateway_process(catalogue_url, tmp_path) as (process, url),
        httpx.stream("GET", f"{url}/api/live", timeout=PATIENCE) as listening,
    ):
        lines = listening.iter_lines()
        assert next(lines) == "retry: 1000"
        with EventLog(catalogue_url) as log:
            log.save_execution(submitted())
        assert "event: execution.submitted" in lines
        process.send_signal(number)
        _, errors = process.communicate(timeout=PROMPTLY)
        assert (process.returncode, "Traceback" in errors) == (0, False), errors
