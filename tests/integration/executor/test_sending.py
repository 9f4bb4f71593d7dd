"""The dispatcher's word to the workers while Redis is away: it neither hangs nor is forgotten by the connection."""

from __future__ import annotations

import json
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from kombu.exceptions import OperationalError

from infra.local.ports import free_port
from infra.local.valkey import start_valkey
from services.executor.app import create_app
from services.executor.pointers import CelerySender, group_id
from services.executor.settings import ExecutorSettings
from shared.domain.branch import branch_id
from tests.servers import open_folder
from tests.unit.executor.live_runs import WORKER, at_work, waiting
from tests.waiting import until

GRACE = timedelta(seconds=5)


class Post:
    """A sender, and a Redis of its own that comes and goes."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self.come_back()
        settings = ExecutorSettings(database_url="postgresql://nobody@localhost/none", redis_url=self.server.url)
        self.redis = redis.Redis.from_url(self.server.url)
        self.sender = CelerySender(create_app(settings), self.redis)

    def come_back(self) -> None:
        """Start Redis."""
        self.server = start_valkey(self._folder, port=self._port, log=self._folder / "valkey.log")

    def interrupt(self) -> None:
        """Interrupt a run."""
        self.sender.interrupt(at_work(), grace=GRACE)

    def workers_hear(self) -> dict[str, object]:
        """Interrupt a run until the workers hear of it, and return what they hear."""
        with self.redis.pubsub() as workers:  # type: ignore[no-untyped-call]
            workers.psubscribe("*celery.pidbox*")

            def heard() -> str | None:
                self.interrupt()
                message = workers.get_message(ignore_subscribe_messages=True, timeout=0.1)
                return message["data"] if message else None

            envelope = json.loads(until(heard, hint="no worker hears of it"))
        body: dict[str, object] = json.loads(b64decode(envelope["body"]))
        return body


@pytest.fixture
def post() -> Iterator[Post]:
    """A sender with its Redis."""
    with open_folder() as folder:
        post = Post(folder)
        yield post
        post.server.stop()


def soon(call: Callable[[], None]) -> BaseException | None:
    """Call, and return what it raised; fails when it has not come back within five seconds."""
    raised: list[BaseException | None] = []

    def go() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)
        else:
            raised.append(None)

    threading.Thread(target=go, daemon=True).start()
    until(lambda: raised, seconds=5, hint="it waits for Redis")
    return raised[0]


def test_an_interrupt_is_lost_while_redis_is_away_and_holds_nobody_up(post: Post) -> None:
    """It is repeated anyway; the dispatcher that waited for it would keep its lock, and would not even stop."""
    assert post.workers_hear()["destination"] == [WORKER]
    post.server.stop()
    assert [soon(post.interrupt), soon(post.interrupt)] == [None, None]
    post.come_back()
    assert post.workers_hear()["method"] == "interrupt_run"


def test_a_pointer_that_redis_does_not_take_is_an_error_at_once(post: Post) -> None:
    """Also over a connection that has yet to be made: the follower starts again, later, from what it committed."""
    run = waiting()
    post.sender.send([run])
    post.server.stop()
    assert isinstance(soon(lambda: post.sender.send([run])), OperationalError)
    assert isinstance(soon(lambda: post.sender.send([run])), OperationalError)
    post.come_back()
    post.sender.send([run])
    assert post.redis.llen("normal") == 2


def test_members_of_a_stage_are_a_celery_group(post: Post) -> None:
    """One group for all that are sent together, and for those that come after them; each is a pointer of its own."""
    task_id = uuid4()
    members = [
        waiting(
            id=branch_id(task_id, 1, "look", symbol),
            task_id=task_id,
            symbols=(symbol,),
            resumed=True,
            opening=1,
            step="look",
            symbol=symbol,
        )
        for symbol in ("AAPL", "IBM", "MSFT")
    ]
    post.sender.send(members[:2])
    post.sender.send(members[2:])
    messages = [json.loads(raw) for raw in reversed(post.redis.lrange("normal.resume", 0, -1))]
    headers = [message["headers"] for message in messages]
    assert {header["group"] for header in headers} == {group_id(task_id, 1)}
    assert [header["id"] for header in headers] == [str(member.id) for member in members]
    assert {header["task"] for header in headers} == {"executor.branch"}
    _, arguments, _ = json.loads(b64decode(messages[0]["body"]))
    assert arguments["branch"] == {"id": str(members[0].id), "opening": 1, "step": "look", "symbol": "AAPL"}
    assert post.sender.withdraw(members) == 3


@pytest.mark.parametrize(("spent", "limit"), [(0, 70.0), (50, 20.0), (100, 10.0)])
def test_a_child_is_killed_some_time_after_its_run_should_have_ended(post: Post, spent: float, limit: float) -> None:
    """What earlier attempts have used up counts; a run without any time left is still claimed, to fail by itself."""
    post.sender.send([waiting(timeout_seconds=60.0, spent_seconds=spent)])
    (message,) = post.redis.lrange("normal", 0, -1)
    assert json.loads(message)["headers"]["timelimit"] == [limit, None]
