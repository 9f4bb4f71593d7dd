"""The resolver as the dispatcher's process runs it: on a real log and its own table, with a venue over HTTP."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from services.executor.resolver import RESOLVER, Resolver
from services.executor.stamps import utc_now
from services.executor.store import open_order_store
from services.executor.tables import open_orders
from shared.alpaca import connect
from shared.domain.execution import WorkflowExecution
from shared.domain.orders import OrderState
from shared.domain.phases import Phase
from shared.log.event_log import EventLog
from shared.log.follower import Follower
from shared.settings import sqlalchemy_url
from shared.trading.alpaca import AlpacaBroker
from shared.trading.broker import OrderRequest, Side
from tests.builders import failure, running, stamp, with_order
from tests.venue import KEY, Fault, Venue, serving
from tests.waiting import until

ORDER = OrderRequest(client_order_id="order-1", symbol="MSFT", side=Side.BUY, quantity=Decimal(10))


@pytest.fixture
def venue() -> Iterator[Venue]:
    """A venue that has taken the order."""
    with serving() as venue, connect(venue.url, KEY) as client:
        AlpacaBroker(client).submit(ORDER)
        yield venue


@pytest.fixture
def log(migrated_database_url: str) -> Iterator[EventLog]:
    """A real log."""
    log = EventLog(migrated_database_url)
    yield log
    log.close()


def ended() -> WorkflowExecution:
    """A run that has failed with its order on its way."""
    run = with_order(running(), ORDER.client_order_id, stamp(2))
    run.fail(stamp(3), attempt=1, failure=failure(retryable=False))
    return run


def test_an_order_of_a_run_that_has_ended_is_settled(log: EventLog, venue: Venue, migrated_database_url: str) -> None:
    """The venue is first too busy to tell; the ledger then has its word, the table is empty, and nothing was sent."""
    venue.fail(Fault(kind="answer", method="GET", status=429, retry_after="1"))
    engine = sa.create_engine(sqlalchemy_url(migrated_database_url))
    run = ended()
    log.save_execution(run)
    with connect(venue.url, KEY) as client:
        broker = AlpacaBroker(client)
        store = open_order_store(engine, RESOLVER)
        resolver = Resolver(log, store, lambda: broker, patience=timedelta(days=9999), pace=timedelta(), now=utc_now)
        stop = threading.Event()
        thread = threading.Thread(target=Follower(log, migrated_database_url, resolver).run, args=(stop,))
        thread.start()
        try:
            until(lambda: log.execution(run.id).orders["order-1"].state is OrderState.FILLED)
            until(lambda: store.load()[0] == log.head())
        finally:
            stop.set()
            thread.join()
    with engine.connect() as connection:
        left = connection.execute(sa.select(open_orders)).all()
    engine.dispose()
    assert left == []
    assert log.execution(run.id).phase is Phase.FAILED
    assert len(venue.received()) == 1
