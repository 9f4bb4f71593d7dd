"""The dispatcher takes batches at least twice, on PostgreSQL: the rows that are left are those of a clean pass."""

import random
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from services.executor.dispatching import DISPATCHER, Dispatcher
from services.executor.store import LiveRunStore
from shared.log.event_log import EventLog
from shared.settings import sqlalchemy_url
from tests import redeliveries
from tests.histories import write_history
from tests.redeliveries import FaultyStore, Way, check_same_end, deliver_again_and_again, deliver_once, lively_moves
from tests.unit.executor.desk import Desk


@pytest.fixture
def log(migrated_database_url: str) -> Iterator[EventLog]:
    """An empty event log."""
    with EventLog(migrated_database_url) as log:
        yield log


@pytest.fixture
def engine(migrated_database_url: str) -> Iterator[sa.Engine]:
    """An engine on the dispatcher's tables."""
    engine = sa.create_engine(sqlalchemy_url(migrated_database_url))
    yield engine
    engine.dispose()


@pytest.mark.parametrize("way", redeliveries.WAYS)
def test_batches_that_come_twice_leave_the_rows_of_a_clean_pass(log: EventLog, engine: sa.Engine, way: Way) -> None:
    """Cut at three places at random; the clean pass is one in memory over the same log."""
    chance = random.Random(7)
    history = write_history(log, lively_moves(chance), topics=Dispatcher.topics)
    clean = Desk(log)
    deliver_once(clean, history)
    first, second, third = sorted(chance.sample(range(1, len(history)), 3))
    desk = Desk(log, FaultyStore(LiveRunStore(engine, DISPATCHER)))

    batches = [history[:first], history[first:second], history[second:third], history[third:]]
    deliver_again_and_again(desk, batches, way)
    check_same_end(desk, clean)
