"""The dispatcher's word to the workers while Redis is away: it neither hangs nor is forgotten by the connection."""

from __future__ import annotations

import json
import threading
from base64 import b64decode
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import redis
from kombu.exceptions import OperationalError

from services.executor.app import create_app
from services.executor.live_run import LiveRun
from services.executor.pointers import CelerySender, group_id, message_id
from services.executor.settings import ExecutorSettings
from shared.domain.branch import branch_id
from shared.domain.priority import Priority
from tests.builders import TRACEPARENT
from tests.failing_redis import FailingRedis
from tests.unit.executor.live_runs import WORKER, at_work, waiting
from tests.waiting import until

GRACE = timedelta(seconds=5)


class Post:
    """A sender, and a Redis of its own that comes and goes."""

    def __init__(self, server: FailingRedis) -> None:
        self.server = server
        settings = ExecutorSettings(database_url="postgresql://nobody@localhost/none", redis_url=self.server.url)
        self.redis = redis.Redis.from_url(self.server.url)
        self.sender = CelerySender(create_app(settings), self.redis)

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
def post(failing_redis: FailingRedis) -> Post:
    """A sender with its Redis."""
    return Post(failing_redis)


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
    post.server.start()
    assert post.workers_hear()["method"] == "interrupt_run"


def test_a_pointer_that_redis_does_not_take_is_an_error_at_once(post: Post) -> None:
    """Also over a connection that has yet to be made: the follower starts again, later, from what it committed."""
    run = waiting()
    post.sender.send([run])
    post.server.stop()
    assert isinstance(soon(lambda: post.sender.send([run])), OperationalError)
    assert isinstance(soon(lambda: post.sender.send([run])), OperationalError)
    post.server.start()
    post.sender.send([run])
    assert post.redis.llen("normal") == 2


def members(*symbols: str, task_id: UUID | None = None, **changes: Any) -> list[LiveRun]:
    """Members of one stage, that wait."""
    run = task_id or uuid4()
    fields: dict[str, Any] = {"task_id": run, "resumed": True, "opening": 1, "step": "look"}
    return [
        waiting(id=branch_id(run, 1, "look", symbol), symbols=(symbol,), symbol=symbol, **(fields | changes))
        for symbol in symbols
    ]


def lying_in(post: Post, queue: str) -> list[dict[str, Any]]:
    """The messages of a queue, as they came."""
    return [json.loads(raw) for raw in reversed(post.redis.lrange(queue, 0, -1))]


def body_of(message: dict[str, Any]) -> dict[str, Any]:
    """What a worker calls the task with."""
    _, arguments, _ = json.loads(b64decode(message["body"]))
    found: dict[str, Any] = arguments
    return found


def test_members_of_a_stage_are_a_celery_group(post: Post) -> None:
    """One group for all that are sent together, and for those that come after them; each is a pointer of its own."""
    stage = members("AAPL", "IBM", "MSFT")
    post.sender.send(stage[:2])
    post.sender.send(stage[2:])
    messages = lying_in(post, "normal.resume")
    headers = [message["headers"] for message in messages]
    assert {header["group"] for header in headers} == {group_id(stage[0].task_id, 1)}
    assert [header["id"] for header in headers] == [str(member.id) for member in stage]
    assert {header["task"] for header in headers} == {"executor.branch"}
    assert body_of(messages[0])["branch"] == {"id": str(stage[0].id), "opening": 1, "step": "look", "symbol": "AAPL"}
    assert post.sender.withdraw(stage) == 3
    assert lying_in(post, "normal.resume") == []


def test_what_is_sent_of_a_member_again_bears_its_group_and_the_id_of_its_attempt(post: Post) -> None:
    """Workers remember revoked ids: an attempt of its own id is not held against the next one."""
    (first,) = members("AAPL", attempt=2)
    again = waiting(**(msgspec.structs.asdict(first) | {"attempt": 3}))
    for run in (first, first, again):
        post.sender.send([run])
    headers = [message["headers"] for message in lying_in(post, "normal.resume")]
    assert [header["id"] for header in headers] == [message_id(first.id, attempt) for attempt in (2, 2, 3)]
    assert {header["group"] for header in headers} == {group_id(first.task_id, 1)}
    assert len({header["id"] for header in headers} | {str(first.id)}) == 3
    assert [body_of(message)["attempt"] for message in lying_in(post, "normal.resume")] == [2, 2, 3]


def test_a_stage_of_another_run_or_another_opening_is_another_group(post: Post) -> None:
    """A main line is in none."""
    task_id = uuid4()
    for stage in (members("AAPL", task_id=task_id), members("AAPL", task_id=task_id, opening=2), members("AAPL")):
        post.sender.send(stage)
    assert len({message["headers"]["group"] for message in lying_in(post, "normal.resume")}) == 3
    post.sender.send([waiting()])
    (plain,) = lying_in(post, "normal")
    assert (plain["headers"]["group"], plain["headers"]["task"]) == (None, "executor.run")


def test_members_go_to_the_queue_of_what_goes_on_at_the_level_of_their_turn(post: Post) -> None:
    """That of their own level, or of the one in whose place they were released; withdrawn ones are found there."""
    lows = members("AAPL", "IBM", level=Priority.LOW, sent_level=Priority.LOW)
    aged = members("AAPL", "IBM", level=Priority.LOW, sent_level=Priority.HIGH)
    post.sender.send(lows)
    post.sender.send(aged)
    assert [len(lying_in(post, queue)) for queue in ("low.resume", "high.resume")] == [2, 2]
    assert post.sender.withdraw([lows[0], aged[1]]) == 2
    left = [message["headers"]["id"] for queue in ("low.resume", "high.resume") for message in lying_in(post, queue)]
    assert left == [str(lows[1].id), str(aged[0].id)]


def test_a_member_of_a_run_level_step_has_no_symbol_and_keeps_trace_and_time_limit(post: Post) -> None:
    """One step of a group, say; its message bears all symbols of its run, for people."""
    (member,) = members("AAPL", trace=TRACEPARENT, timeout_seconds=60.0, spent_seconds=20.0)
    member.symbol, member.symbols, member.step = None, ("AAPL", "IBM"), "daily"
    post.sender.send([member])
    (message,) = lying_in(post, "normal.resume")
    assert (message["headers"]["traceparent"], message["headers"]["timelimit"]) == (TRACEPARENT, [50.0, None])
    assert body_of(message)["branch"] == {"id": str(member.id), "opening": 1, "step": "daily", "symbol": None}
    assert body_of(message)["symbols"] == ["AAPL", "IBM"]


def test_members_that_redis_does_not_take_are_an_error_at_once(post: Post) -> None:
    """As any other pointer; when it is back they are sent again, as the same group."""
    stage = members("AAPL", "IBM")
    post.sender.send(stage)
    post.server.stop()
    assert isinstance(soon(lambda: post.sender.send(stage)), OperationalError)
    post.server.start()
    post.sender.send(stage)
    headers = [message["headers"] for message in lying_in(post, "normal.resume")]
    assert Counter(header["id"] for header in headers) == {str(member.id): 2 for member in stage}
    assert len({header["group"] for header in headers}) == 1


@pytest.mark.parametrize(("spent", "limit"), [(0, 70.0), (50, 20.0), (100, 10.0)])
def test_a_child_is_killed_some_time_after_its_run_should_have_ended(post: Post, spent: float, limit: float) -> None:
    """What earlier attempts have used up counts; a run without any time left is still claimed, to fail by itself."""
    post.sender.send([waiting(timeout_seconds=60.0, spent_seconds=spent)])
    (message,) = post.redis.lrange("normal", 0, -1)
    assert json.loads(message)["headers"]["timelimit"] == [limit, None]
