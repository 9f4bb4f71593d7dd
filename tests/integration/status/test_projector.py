"""The projector: whatever is repeated, cut or broken, the tables are the fold over the log."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from services.status.folds import Folds
from services.status.projector import TOPICS, Projector
from services.status.settings import StatusSettings
from shared.domain.phases import Phase
from shared.log.event_log import EventLog
from shared.log.positions import AlreadyProcessed
from tests.builders import (
    complete_all,
    complete_next,
    failure,
    in_phase,
    running,
    stamp,
)
from tests.histories import ACTIONS, write_history
from tests.projection_check import differences

MOVES = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(ACTIONS)), min_size=5, max_size=60)
CUTS = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 6), st.booleans()), min_size=1, max_size=30)
"""How many new events a batch brings, how many old ones it repeats, and whether the projector is started again."""


def project(projector: Projector, log: EventLog, *, batch: int = 500) -> None:
    """Bring the tables up to date, as a follower would."""
    position = projector.start()
    while recorded := log.read(position, limit=batch, topics=TOPICS):
        projector.process(recorded)
        position = recorded[-1].position


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
    history = write_history(log, moves, topics=TOPICS)
    projector = Projector(log, engine, capacity=20)
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


@pytest.mark.parametrize("phase", Phase)
def test_a_run_in_every_phase_is_projected(
    settings: StatusSettings, log: EventLog, projector: Projector, phase: Phase
) -> None:
    """No phase has a view that the tables cannot hold."""
    run = in_phase(phase)
    log.save_execution(run)
    project(projector, log)
    assert differences(settings.database_url) == []


def test_a_batch_that_cannot_be_written_leaves_nothing_and_is_taken_again(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, projector: Projector
) -> None:
    """The second statement of a transaction fails: no row, no position; after a restart all is there."""
    run = running()
    complete_all(run)
    log.save_execution(run)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE status.execution_steps ADD CONSTRAINT broken CHECK (index <> 3)"))
    position = projector.start()
    with pytest.raises(sa.exc.IntegrityError):
        projector.process(log.read(position, topics=TOPICS))
    with engine.begin() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM status.workflow_executions")) == 0
        connection.execute(sa.text("ALTER TABLE status.execution_steps DROP CONSTRAINT broken"))
    assert projector.start() == position
    projector.process(log.read(position, topics=TOPICS))
    assert differences(settings.database_url) == []


def test_a_replica_that_was_overtaken_gives_up_and_starts_over(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, projector: Projector
) -> None:
    """Two projectors take the same batch: the later one changes nothing, and later trusts nothing it remembers."""
    overtaken = Projector(log, engine)
    run = running()
    log.save_execution(run)
    project(overtaken, log)
    position = log.head()
    complete_next(run, stamp(2))
    log.save_execution(run)
    project(projector, log)
    with pytest.raises(AlreadyProcessed):
        overtaken.process(log.read(position, topics=TOPICS))
    complete_next(run, stamp(3))
    log.save_execution(run)
    project(projector, log)
    complete_next(run, stamp(4))
    log.save_execution(run)
    project(overtaken, log)
    assert differences(settings.database_url) == []


def test_only_steps_that_changed_are_written(log: EventLog, engine: sa.Engine, projector: Projector) -> None:
    """The row of a step that a batch did not change keeps the transaction that wrote it."""
    run = running()
    complete_next(run, stamp(2))
    log.save_execution(run)
    project(projector, log)
    writers = sa.text("SELECT index, xmin::text FROM status.execution_steps ORDER BY index")
    with engine.connect() as connection:
        before = {index: writer for index, writer in connection.execute(writers)}
    position = log.head()
    complete_next(run, stamp(3))
    log.save_execution(run)
    projector.process(log.read(position, topics=TOPICS))
    with engine.connect() as connection:
        after = {index: writer for index, writer in connection.execute(writers)}
    assert {index for index in after if after[index] != before[index]} == {1, 2}


def test_text_that_jsonb_refuses_does_not_stop_projections(
    log: EventLog, engine: sa.Engine, projector: Projector
) -> None:
    """NUL characters in parameters, outputs and errors come back as they were; in labels they are replaced."""
    run = running(parameters={"note": "a\0b"}, labels={"de\0sk": "e\0u"})
    complete_next(run, stamp(2), "out\0put")
    run.fail(stamp(3), attempt=1, failure=failure(message="bad\0byte"))
    log.save_execution(run)
    project(projector, log)
    with engine.connect() as connection:
        row = connection.execute(sa.text("SELECT parameters, error, labels FROM status.workflow_executions")).one()
        output = connection.scalar(sa.text("SELECT output FROM status.execution_steps WHERE index = 0"))
    assert row.parameters == {"note": "a\0b"}
    assert row.error["message"] == "bad\0byte"
    assert output["inline"] == "out\0put"
    assert row.labels == {"de\ufffdsk": "e\ufffdu"}


def test_memory_is_bounded_and_ended_runs_leave_it(log: EventLog) -> None:
    """A run of three steps on two symbols weighs seven: of three runs, the last two touched fit into fourteen."""
    folds = Folds(lambda task_id, until: log.execution(task_id, until=until), capacity=14)
    runs = [running() for _ in range(3)]
    batches = []
    for run in runs:
        position = log.head()
        log.save_execution(run)
        batches.append(log.read(position, topics=TOPICS))
        folds.keep(folds.take_in(batches[-1]))
    assert len(folds) == 2
    position = log.head()
    for run in runs:
        complete_all(run)
        log.save_execution(run)
    touched = folds.take_in(log.read(position, topics=TOPICS))
    folds.keep(touched)
    assert [run.execution.phase for run in touched.values()] == [Phase.SUCCEEDED] * 3
    assert len(folds) == 0
