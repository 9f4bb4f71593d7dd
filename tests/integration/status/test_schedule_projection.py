"""The projection of schedules: whatever is repeated, cut or broken, the tables are the fold over the log."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from services.status.projector import TOPICS, Projector
from services.status.settings import StatusSettings
from services.status.tables import schedule_history, schedules
from shared.domain.errors import NotFound
from shared.log.event_log import EventLog
from shared.log.positions import AlreadyProcessed
from shared.log.schedules import decode_snapshot
from tests.builders import complete_next, running, stamp
from tests.integration.status.test_projector import CUTS
from tests.integration.status.test_projector import project as catch_up
from tests.projection_check import differences
from tests.schedule_builders import fire, schedule
from tests.schedule_histories import SCHEDULE_ACTIONS, schedules_at_work

Project = Callable[[], None]
MOVES = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(SCHEDULE_ACTIONS)), min_size=5, max_size=60)


@given(moves=MOVES, cuts=CUTS)
@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_batches_cut_anywhere_and_delivered_twice_end_in_the_fold(
    settings: StatusSettings,
    log: EventLog,
    engine: sa.Engine,
    moves: list[tuple[int, str]],
    cuts: list[tuple[int, int, bool]],
) -> None:
    """Each batch comes twice and repeats some of the one before, with restarts in between; rows equal the fold."""
    start = log.head()
    for events in schedules_at_work(moves):
        log.append(events)
    history = log.read(start, limit=10_000, topics=TOPICS)
    projector = Projector(log, engine)
    projector.start()
    taken, cut = 0, 0
    while taken < len(history):
        new, repeated, restarted = cuts[cut % len(cuts)]
        batch = history[max(0, taken - repeated) : taken + new]
        projector.process(batch)
        if restarted:
            projector.start()
        projector.process(batch)
        taken, cut = taken + new, cut + 1
    assert differences(settings.database_url) == []


def test_a_schedule_that_has_fired_for_ever_costs_no_more_than_a_young_one(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, projector: Projector, project: Project
) -> None:
    """2,000 firings: one row of the same size, a row of history each, and nothing of it is read from the log again."""
    old = schedule()
    last = fire(old, stamp(1))
    log.append(old.collect_events())
    project()
    young = _size(engine)
    for second in range(2, 2_002):
        last = fire(old, stamp(second), ended=(last,))
    log.append(old.collect_events())
    project()
    assert _size(engine) < young + 10
    assert old.state.fired == 2_001
    with engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(schedule_history)) == 2_002
    assert differences(settings.database_url) == []

    position = log.head()
    fire(old, stamp(3_000))
    log.append(old.collect_events())
    (newest,) = log.read(position, topics=TOPICS)
    restarted = Projector(_unread(log), engine)
    restarted.start()
    restarted.process([newest])
    assert differences(settings.database_url) == []


def _size(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(sa.select(sa.func.length(schedules.c.state))) or 0)


def _unread(log: EventLog) -> EventLog:
    """A log that nobody may read."""

    class Unread:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"{name} of the log was asked for")

    return Unread()  # type: ignore[return-value]


def test_schedules_and_runs_of_one_batch_are_written_together(
    settings: StatusSettings, log: EventLog, projector: Projector
) -> None:
    """As beat appends them: what was decided, and the run that it calls for."""
    for events in schedules_at_work([(0, "fire"), (1, "hold"), (0, "skip"), (1, "release"), (2, "fire")]):
        log.append(events)
    projector.start()
    projector.process(log.read(0, topics=TOPICS))
    assert differences(settings.database_url) == []


def test_a_batch_that_cannot_be_written_leaves_nothing_and_is_taken_again(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, projector: Projector
) -> None:
    """The last statement of a transaction fails: no row, no position; after a restart all is there."""
    known, run = schedule(), running()
    fire(known, stamp(1))
    log.append([*run.collect_events(), *known.collect_events()])
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE status.schedule_history ADD CONSTRAINT broken CHECK (type <> 'fired')"))
    position = projector.start()
    with pytest.raises(sa.exc.IntegrityError):
        projector.process(log.read(position, topics=TOPICS))
    with engine.begin() as connection:
        for table in ("workflow_executions", "schedules", "schedule_history"):
            assert connection.scalar(sa.text(f"SELECT count(*) FROM status.{table}")) == 0
        connection.execute(sa.text("ALTER TABLE status.schedule_history DROP CONSTRAINT broken"))
    assert projector.start() == position
    projector.process(log.read(position, topics=TOPICS))
    assert differences(settings.database_url) == []


def test_a_replica_that_was_overtaken_changes_nothing(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, projector: Projector
) -> None:
    """Two projectors take the same firing: it is counted once, and both go on from what is committed."""
    overtaken = Projector(log, engine)
    known = schedule()
    log.append(known.collect_events())
    catch_up(overtaken, log)
    position = log.head()
    fire(known, stamp(1))
    log.append(known.collect_events())
    catch_up(projector, log)
    with pytest.raises(AlreadyProcessed):
        overtaken.process(log.read(position, topics=TOPICS))
    fire(known, stamp(2))
    log.append(known.collect_events())
    catch_up(overtaken, log)
    assert differences(settings.database_url) == []


def test_only_what_a_batch_is_about_is_written(log: EventLog, engine: sa.Engine, projector: Projector) -> None:
    """The rows of another schedule, and of what happened before, keep the transaction that wrote them."""
    one, other, run = schedule(), schedule(), running()
    log.append([*one.collect_events(), *other.collect_events(), *run.collect_events()])
    catch_up(projector, log)
    before = _writers(engine)
    position = log.head()
    fire(one, stamp(1))
    log.append(one.collect_events())
    projector.process(log.read(position, topics=TOPICS))
    after = _writers(engine)
    changed = {key for key in after if after[key] != before.get(key)}
    assert changed == {("schedules", str(one.id)), ("schedule_history", str(log.head()))}

    position = log.head()
    complete_next(run, stamp(2))
    log.append(run.collect_events())
    projector.process(log.read(position, topics=TOPICS))
    later = _writers(engine)
    assert {key for key in later if later[key] != after.get(key)} == {("workflow_executions", str(run.id))}


def _writers(engine: sa.Engine) -> dict[tuple[str, str], str]:
    keys = {"schedules": "schedule_id", "schedule_history": "position", "workflow_executions": "task_id"}
    with engine.connect() as connection:
        return {
            (table, key): writer
            for table, column in keys.items()
            for key, writer in connection.execute(sa.text(f"SELECT {column}::text, xmin::text FROM status.{table}"))
        }


def test_text_that_postgresql_refuses_does_not_stop_projections(
    log: EventLog, engine: sa.Engine, project: Project
) -> None:
    """NUL characters are replaced where queries look, and come back as they were in the fold."""
    known = schedule(user_id="a\0da", name="n\0ame", strategy_id="s\0ma", parameters={"note": "a\0b"})
    known.disable(stamp(1, actor="user:a\0da"), reason="task failed: bad\0byte")
    log.append(known.collect_events())
    project()
    with engine.connect() as connection:
        row = connection.execute(sa.select(schedules)).one()
        happened = connection.execute(sa.select(schedule_history).order_by(schedule_history.c.position.desc())).first()
    assert (row.name, row.user_id, row.strategy_id) == ("n\ufffdame", "a\ufffdda", "s\ufffdma")
    assert decode_snapshot(row.state) == known.state
    assert happened is not None
    assert (happened.reason, happened.actor) == ("task failed: bad\ufffdbyte", "user:a\ufffdda")


def test_a_schedule_that_was_never_created_stops_the_projection(log: EventLog, projector: Projector) -> None:
    """Its rows are lost, or were never made: to go on would leave it out for ever, and silently."""
    known = schedule()
    known.collect_events()
    fire(known, stamp(1))
    log.append(known.collect_events())
    with pytest.raises(NotFound, match=str(known.id)):
        projector.process(log.read(projector.start(), topics=TOPICS))
