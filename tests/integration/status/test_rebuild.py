"""Rebuilding the tables while the system runs: the result is the fold, and nobody notices."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa

from services.status import rebuild
from services.status.database import create_engine
from services.status.projector import PROJECTOR, TOPICS, Projector
from services.status.rebuild import SCHEMA, Rebuild, RebuildError, Rebuilt, tables
from services.status.settings import StatusSettings
from services.status.tables import metadata, positions
from shared.domain.phases import Phase
from shared.domain.priority import Priority
from shared.domain.queue import Queue
from shared.log.event_log import EventLog
from shared.log.follower import Follower
from shared.log.positions import read_position
from tests.builders import complete_all, complete_next, in_phase, running, stamp, submitted
from tests.integration.status.test_processes import process
from tests.integration.status.test_schema import test_the_migrations_make_the_tables_that_the_code_knows as check_schema
from tests.projection_check import differences
from tests.schedule_builders import schedule
from tests.schedule_histories import SCHEDULE_ACTIONS, schedules_at_work
from tests.waiting import until
from tests.webhook_builders import webhook

Project = Callable[[], None]
RUNS = 500
HEALED = ("status.workflow_executions", "status.execution_steps", "status.schedules", "status.schedule_history")


@pytest.fixture
def engine(settings: StatusSettings) -> Iterator[sa.Engine]:
    """An engine with connections for a rebuild, the projector and the test at once."""
    engine = create_engine(settings.sqlalchemy_url, pool_size=5)
    yield engine
    engine.dispose()


@contextmanager
def following(log: EventLog, settings: StatusSettings, projector: Projector) -> Iterator[None]:
    """The projector at work, in a thread."""
    stop = threading.Event()
    thread = threading.Thread(target=Follower(log, settings.database_url, projector).run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def feeding(settings: StatusSettings, runs: int) -> Iterator[None]:
    """Runs that go from submission to success, each event with its own append: so many, and until the context ends."""
    enough = threading.Event()

    def feed() -> None:
        with EventLog(settings.database_url) as log:
            fed = 0
            while fed < runs or not enough.is_set():
                fed += _feed_some(log)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def _feed_some(log: EventLog) -> int:
    batch = [submitted() for _ in range(10)]
    for execution in batch:
        log.save_execution(execution)
    for execution in batch:
        execution.claim(stamp(1), attempt=1, worker="executor@test")
        log.save_execution(execution)
        complete_next(execution, stamp(2))
        log.save_execution(execution)
    for execution in batch:
        complete_all(execution)
        log.save_execution(execution)
    return len(batch)


def rows(engine: sa.Engine) -> dict[str, Sequence[Any]]:
    """Every row of every table, in an order that does not depend on where it lies."""
    with engine.connect() as connection:
        return {
            table.name: connection.execute(sa.select(table).order_by(*table.primary_key)).all() for table in tables()
        }


def schemas(engine: sa.Engine) -> list[str]:
    """The schemas of the status service that there are."""
    return sorted(name for name in sa.inspect(engine).get_schema_names() if name.startswith("status"))


def position(engine: sa.Engine) -> int:
    """Where the projector stands."""
    with engine.connect() as connection:
        return read_position(connection, positions, PROJECTOR)


def spoil(engine: sa.Engine) -> None:
    """Change a row, delete one, and add one that the log does not know."""
    with engine.begin() as connection:
        for statement in (
            "UPDATE status.workflow_executions SET worker = 'executor@nowhere', state = 'SUCCESS' WHERE task_id = "
            "(SELECT task_id FROM status.workflow_executions ORDER BY position LIMIT 1)",
            "DELETE FROM status.execution_steps WHERE index = 1",
            "INSERT INTO status.execution_steps (task_id, index, step, state, attempts) "
            "VALUES (gen_random_uuid(), 0, 'load', 'pending', 0)",
        ):
            assert connection.execute(sa.text(statement)).rowcount >= 1


def rebuild_process(settings: StatusSettings) -> subprocess.Popen[bytes]:
    """The rebuild as the command line starts it."""
    names = {"DATABASE_URL": settings.database_url, "BLOTTER_HOME": str(settings.home)}
    return subprocess.Popen(
        [sys.executable, "-m", "services.status.rebuild"], env=os.environ | names, stdout=subprocess.PIPE
    )


def test_the_result_is_identical_row_by_row(log: EventLog, engine: sa.Engine, project: Project) -> None:
    """Runs in every phase, schedules with all that may happen to them, queues, projected piece by piece: the same rows,
    the same position, the same schema, and nothing left over."""
    for phase in Phase:
        log.save_execution(in_phase(phase))
    for events in schedules_at_work([(number, action) for number in range(3) for action in SCHEDULE_ACTIONS]):
        log.append(events)
        project()
    high, low = Queue(Priority.HIGH), Queue(Priority.LOW)
    for queue, decide in ((high, Queue.pause), (low, Queue.pause), (high, Queue.resume)):
        decide(queue, stamp(), reason="as it is")
        log.append(queue.collect_events())
        project()
    hook = webhook()
    log.append(hook.collect_events())
    project()
    hook.rotate(stamp(1), "sealed")
    hook.disable(stamp(2))
    log.append(hook.collect_events())
    project()
    before, stood = rows(engine), position(engine)
    assert before["schedules"]
    assert before["queues"]
    assert before["webhooks"]
    rebuilt = Rebuild(log, engine).run()
    assert (rows(engine), position(engine)) == (before, stood)
    assert rebuilt.position == stood
    assert rebuilt.rows == {name: len(found) for name, found in before.items()}
    assert schemas(engine) == ["status"]
    check_schema(engine, metadata)


def test_rows_that_were_changed_by_hand_are_healed(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, project: Project
) -> None:
    """A wrong row, a missing one and one too many are found before, and not after."""
    for _ in range(3):
        log.save_execution(running())
    log.append(schedule().collect_events())
    project()
    spoil(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE status.schedules SET state = '{}'"))
        connection.execute(sa.text("DELETE FROM status.schedule_history"))
    found = differences(settings.database_url)
    assert all(any(each.startswith(name) for each in found) for name in HEALED), found
    Rebuild(log, engine).run()
    assert differences(settings.database_url) == []


def test_while_runs_go_through_two_rebuilds_change_nothing(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, projector: Projector
) -> None:
    """500 runs are appended and projected meanwhile, rows are spoilt in between: in the end all is the fold."""
    with following(log, settings, projector):
        with feeding(settings, RUNS):
            until(lambda: position(engine) > 100)
            first = Rebuild(log, engine).run()
            spoil(engine)
            second = Rebuild(log, engine).run()
        until(lambda: position(engine) == log.head(), seconds=30)
    assert 0 < first.position <= second.position < log.head()
    assert differences(settings.database_url) == []


async def test_queries_are_answered_all_the_while(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, project: Project, api: httpx.AsyncClient
) -> None:
    """Lists and tasks that are asked for while tables change places answer what they answered before."""
    for _ in range(20):
        log.save_execution(running())
    project()
    expected = (await api.get("/tasks")).json()["items"]
    ended = threading.Event()

    def rebuild_often() -> None:
        for _ in range(5):
            Rebuild(log, engine).run()
        ended.set()

    thread = threading.Thread(target=rebuild_often)
    thread.start()
    asked = 0
    while not ended.is_set():
        answer = await api.get("/tasks")
        assert (answer.status_code, answer.json()["items"]) == (200, expected)
        one = await api.get(f"/tasks/{expected[0]['task_id']}/steps")
        assert (one.status_code, len(one.json()["items"])) == (200, 4)
        asked += 1
    thread.join()
    assert asked > 5


def test_a_projector_that_is_behind_is_not_passed(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, projector: Projector
) -> None:
    """Rows go as far as the position that is told of them, and the projector goes on from there."""
    run = running()
    log.save_execution(run)
    projector.process(log.read(projector.start(), topics=TOPICS))
    stood = position(engine)
    complete_all(run)
    log.save_execution(run)
    before = rows(engine)
    Rebuild(log, engine).run()
    assert (rows(engine), position(engine)) == (before, stood)
    projector.process(log.read(stood, topics=TOPICS))
    assert differences(settings.database_url) == []


def test_before_the_first_event_there_is_nothing_to_do(log: EventLog, engine: sa.Engine) -> None:
    """A fresh database is rebuilt too; its projector begins at the beginning."""
    rebuilt = Rebuild(log, engine).run()
    assert (rebuilt.position, set(rebuilt.rows.values())) == (0, {0})
    assert position(engine) == 0


def test_a_killed_rebuild_loses_nothing_and_runs_again(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, project: Project
) -> None:
    """SIGKILL while new tables grow: the old ones serve, and the next rebuild clears up and does it."""
    log.append([event for _ in range(1_500) for event in running().collect_events()])
    project()
    before = rows(engine)
    with rebuild_process(settings) as doomed:
        until(lambda: _has_rows(engine), every=0.002)
        doomed.send_signal(signal.SIGKILL)
        assert doomed.wait(timeout=5) == -signal.SIGKILL
    assert schemas(engine) == ["status", SCHEMA]
    assert rows(engine) == before
    spoil(engine)
    with rebuild_process(settings) as again:
        said, _ = again.communicate(timeout=60)
    assert again.returncode == 0
    assert msgspec.json.decode(said, type=Rebuilt).position == log.head()
    assert (rows(engine), schemas(engine)) == (before, ["status"])


def _has_rows(engine: sa.Engine) -> bool:
    if SCHEMA not in schemas(engine):
        return False
    with engine.connect() as connection:
        try:
            return bool(connection.scalar(sa.text(f"SELECT count(*) FROM {SCHEMA}.workflow_executions")))
        except sa.exc.ProgrammingError:  # the schema is there, its tables are not yet
            return False


def test_a_second_rebuild_at_the_same_time_is_refused(log: EventLog, engine: sa.Engine, project: Project) -> None:
    """It says what to wait for, and leaves the first one's tables alone."""
    log.save_execution(running())
    project()
    first = Rebuild(log, engine)
    with first._alone(), pytest.raises(RebuildError, match="Another rebuild runs"):
        Rebuild(log, engine).run()
    assert first.run().position == log.head()


def test_a_reader_that_holds_the_tables_is_waited_for(
    log: EventLog, engine: sa.Engine, project: Project, settings: StatusSettings
) -> None:
    """A long query ends with what it began with; the tables change places after it."""
    log.save_execution(running())
    project()
    done: list[Rebuilt] = []
    thread = threading.Thread(target=lambda: done.append(Rebuild(log, engine).run()))
    with engine.begin() as reader:
        reader.execute(sa.text("SELECT count(*) FROM status.execution_steps"))
        thread.start()
        until(lambda: SCHEMA in schemas(engine))
        thread.join(timeout=1.0)
        assert not done
        assert reader.scalar(sa.text("SELECT count(*) FROM status.workflow_executions")) == 1
    thread.join()
    assert done[0].position == log.head()
    assert differences(settings.database_url) == []


def test_tables_that_are_held_for_too_long_are_left_as_they_are(
    log: EventLog, engine: sa.Engine, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rebuild ends with a sentence that says where to look; nothing was changed."""
    monkeypatch.setattr(rebuild, "DEADLINE", rebuild.LOCK_TIMEOUT / 10)
    log.save_execution(running())
    project()
    before = rows(engine)
    with engine.begin() as reader:
        reader.execute(sa.text("SELECT count(*) FROM status.execution_steps"))
        with pytest.raises(RebuildError, match="pg_stat_activity"):
            Rebuild(log, engine).run()
    assert rows(engine) == before


def test_the_projector_process_goes_on_over_a_rebuild(settings: StatusSettings, log: EventLog) -> None:
    """Both as processes: what a run did before and after the tables changed places is one record."""
    run = running()
    complete_next(run, stamp(2))
    log.save_execution(run)
    engine = sa.create_engine(settings.sqlalchemy_url)
    with process("services.status.projector", settings):
        until(lambda: position(engine) == log.head())
        with rebuild_process(settings) as rebuilding:
            assert rebuilding.wait(timeout=60) == 0
        complete_all(run)
        last = log.save_execution(run)[-1]
        until(lambda: position(engine) == last)
    engine.dispose()
    assert differences(settings.database_url) == []
