"""Rows that retention takes away, and that do not come back with a rebuild."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from services.status.database import create_engine
from services.status.metric_projection import ALL_TIME
from services.status.projector import Projector
from services.status.rebuild import Rebuild
from services.status.settings import StatusSettings
from services.status.tables import execution_steps, metric_buckets, metric_minutes, orders, workflow_executions
from shared.domain.execution import WorkflowExecution
from shared.log.event_log import EventLog
from tests.builders import NOW, complete_all, complete_next, outcome, running, stamp, submitted, with_order
from tests.cleanups import cleanup_finished, executions_expired
from tests.integration.log.archive_shelf import shelf
from tests.projection_check import differences

Project = Callable[[], None]


@pytest.fixture
def engine(settings: StatusSettings) -> Iterator[sa.Engine]:
    """An engine with connections enough for a rebuild."""
    engine = create_engine(settings.sqlalchemy_url, pool_size=3)
    yield engine
    engine.dispose()


def traded(log: EventLog) -> WorkflowExecution:
    """A run that has ended, with an order that is not filled."""
    run = running()
    for _ in range(3):
        complete_next(run, stamp(3))
    with_order(run, f"{run.id}/1", stamp(4))
    run.settle_order(stamp(5), attempt=1, client_order_id=f"{run.id}/1", outcome=outcome())
    complete_all(run)
    log.save_execution(run)
    return run


def left(engine: sa.Engine) -> dict[str, set[UUID]]:
    """The tasks that have rows, by table."""
    with engine.connect() as connection:
        return {
            table.name: set(connection.scalars(sa.select(table.c.task_id)))
            for table in (workflow_executions, execution_steps, orders)
        }


def everywhere(*runs: WorkflowExecution) -> dict[str, set[UUID]]:
    """Rows of these runs, which have steps and orders, and no others."""
    ids = {run.id for run in runs}
    return {"workflow_executions": ids, "execution_steps": ids, "orders": ids}


def test_rows_of_old_ended_runs_go_with_their_steps_and_orders(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, project: Project
) -> None:
    """Those that have not ended stay, and those of which something was said later."""
    old, live = traded(log), running()
    log.save_execution(live)
    through = log.head()
    young = traded(log)
    project()
    log.append([executions_expired(through), cleanup_finished(version=2)])
    project()
    assert left(engine) == everywhere(young) | {
        "workflow_executions": {live.id, young.id},
        "execution_steps": {live.id, young.id},
    }
    assert old.id not in left(engine)["orders"]
    assert differences(settings.database_url) == []


def test_minutes_of_metrics_go_when_they_are_as_old_and_what_is_of_all_time_stays(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, project: Project
) -> None:
    """So that counters never go back, and the tables do not grow for ever; as old as the rows that go."""
    traded(log)
    project()
    before = minutes(engine)
    assert {minute for minute in before if minute > ALL_TIME} == {NOW}
    log.append([executions_expired(log.head(), before=NOW)])
    project()
    assert minutes(engine) == before
    log.append([executions_expired(log.head(), before=NOW + timedelta(minutes=1), version=2)])
    project()
    assert minutes(engine) == {ALL_TIME: before[ALL_TIME]}
    assert differences(settings.database_url) == []
    Rebuild(log, engine).run()
    assert minutes(engine) == {ALL_TIME: before[ALL_TIME]}


def minutes(engine: sa.Engine) -> dict[datetime, tuple[int, int]]:
    """By minute how many completed, and how many times are in buckets."""
    m, b = metric_minutes.c, metric_buckets.c
    with engine.connect() as connection:
        completed = dict(connection.execute(sa.select(m.minute, sa.func.sum(m.completed)).group_by(m.minute)).all())
        counted = dict(connection.execute(sa.select(b.minute, sa.func.sum(b.count)).group_by(b.minute)).all())
    return {minute: (int(number), int(counted.get(minute, 0))) for minute, number in completed.items()}


def test_runs_submitted_later_stay(log: EventLog, engine: sa.Engine, project: Project) -> None:
    """Whatever the position says."""
    run = traded(log)
    log.append([executions_expired(log.head(), before=NOW)])
    project()
    assert left(engine) == everywhere(run)


@pytest.mark.parametrize("batch", [1, 3, 1_000])
def test_a_rebuild_comes_to_the_same_rows_however_the_log_is_cut_into_batches(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, batch: int
) -> None:
    """Of what has expired, one run goes on, and two orders are filled: they are there again, one until it expires."""
    _, filled, late = (traded(log) for _ in range(3))
    cancelled = submitted()
    cancelled.request_cancel(stamp(3), reason="enough")
    log.save_execution(cancelled)
    log.append([executions_expired(log.head())])
    cancelled.retry_now(stamp(6))
    log.save_execution(cancelled)
    for run in (filled, late):
        run.follow_order(stamp(7), client_order_id=f"{run.id}/1", outcome=outcome(state="filled"))
        log.save_execution(run)
        if run is filled:
            log.append([executions_expired(log.head(), version=2)])
    log.append([cleanup_finished(version=3)])
    projector = Projector(log, engine)
    position = projector.start()
    while page := log.read(position, limit=batch, topics=projector.topics):
        projector.process(page)
        position = page[-1].position
    shown = left(engine)
    assert shown["workflow_executions"] == {cancelled.id, late.id}
    assert differences(settings.database_url) == []
    Rebuild(log, engine).run()
    assert left(engine) == shown
    assert differences(settings.database_url) == []
    assert shown["orders"] == {late.id}


def test_a_rebuild_reads_archives(settings: StatusSettings, log: EventLog, engine: sa.Engine, project: Project) -> None:
    """Runs whose rows have expired stay away, and those whose rows are still there keep them, to the letter."""
    with shelf(settings.database_url, settings.home) as desk:
        early = [desk.ended() for _ in range(3)]
        through = log.head()
        late = [desk.ended() for _ in range(3)]
        log.append([executions_expired(through)])
        desk.young()
        project()
        with engine.connect() as connection:
            before = connection.execute(sa.select(workflow_executions).order_by("task_id")).all()
        assert desk.kind().run(dry_run=False)["runs"] == 6
        Rebuild(desk.log, engine).run()
        with engine.connect() as connection:
            after = connection.execute(sa.select(workflow_executions).order_by("task_id")).all()
        shown = left(engine)["workflow_executions"]
        assert after == before
        assert ({run.id for run in late} <= shown, {run.id for run in early} & shown) == (True, set())
        assert differences(settings.database_url, lambda: desk.store) == []


def test_rows_are_removed_with_their_position_in_one_transaction(
    log: EventLog, engine: sa.Engine, projector: Projector
) -> None:
    """A batch that comes twice changes nothing the second time."""
    run = traded(log)
    log.append([executions_expired(log.head())])
    page = log.read(projector.start(), limit=1_000, topics=projector.topics)
    projector.process(page)
    projector.process(page)
    assert left(engine) == everywhere()
    assert (log.execution(run.id).phase.ended, projector.start()) == (True, log.head())
