"""What the resolver needs of a store, held against the fake of its unit tests and against PostgreSQL."""

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from services.executor.open_orders import OpenOrder
from services.executor.resolver import RESOLVER, Store
from services.executor.store import open_order_store
from shared.log.positions import AlreadyProcessed
from shared.settings import sqlalchemy_url
from tests.builders import NOW, submitted
from tests.memory_store import MemoryOrderStore

Reopen = Callable[[], Store]
"""Opens the store anew, as after a restart."""


@pytest.fixture(params=["memory", "postgresql"])
def reopen(request: pytest.FixtureRequest) -> Iterator[Reopen]:
    """Each kind of store."""
    if request.param == "memory":
        store = MemoryOrderStore()
        yield lambda: store
        return
    engine = sa.create_engine(sqlalchemy_url(request.getfixturevalue("migrated_database_url")))
    yield lambda: open_order_store(engine, RESOLVER)
    engine.dispose()


def an_order(name: str, **changes: object) -> OpenOrder:
    """An order whose run is at work."""
    fields = {"client_order_id": name, "task_id": submitted().id, "since": NOW}
    return OpenOrder(**(fields | changes))  # type: ignore[arg-type]


def test_an_empty_store_begins_at_the_beginning(reopen: Reopen) -> None:
    """Nothing was processed, nothing is open."""
    assert reopen().load() == (0, [])


def test_what_was_committed_comes_back(reopen: Reopen) -> None:
    """Every field of an order survives, and a later commit replaces it."""
    idle, due = an_order("o-1"), an_order("o-2", asks=3, ask_at=NOW)
    reopen().commit([idle, due], [], after=0, position=9)
    asked = an_order("o-1", task_id=idle.task_id, asks=1, ask_at=NOW, placed=True)
    reopen().commit([asked], [], after=9, position=9)

    position, orders = reopen().load()

    assert position == 9
    assert {order.client_order_id: order for order in orders} == {"o-1": asked, "o-2": due}


def test_a_settled_order_is_gone(reopen: Reopen) -> None:
    """A settled order leaves no row; settling one that never had a row is fine."""
    reopen().commit([an_order("o-1")], [], after=0, position=7)
    reopen().commit([], ["o-1", "o-2"], after=7, position=8)

    assert reopen().load() == (8, [])


def test_a_replica_that_is_behind_writes_nothing(reopen: Reopen) -> None:
    """One that was paused while another led cannot bring back an order that is settled, and learns of it."""
    reopen().commit([an_order("o-1")], [], after=0, position=7)
    reopen().commit([], ["o-1"], after=7, position=9)

    with pytest.raises(AlreadyProcessed):
        reopen().commit([an_order("o-1")], [], after=7, position=7)
    assert reopen().load() == (9, [])
