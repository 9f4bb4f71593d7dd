"""Orders that the venue has taken and not filled: how they are followed to their end."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from services.executor.open_orders import LONGEST_DELAY, PLACED_PATIENCE
from services.executor.resolver import VENUE_PAUSE, Resolver
from shared.domain.execution_records import OrderRecord
from shared.domain.orders import OrderState
from shared.domain.phases import Phase
from shared.trading.broker import OrderReport, OrderRequest, VenueUnavailable
from shared.workflow import Context, Decision, Order, Workflow
from tests.builders import stamp
from tests.memory_store import MemoryOrderStore
from tests.unit.executor.bench import WORKER, Bench, Venue

PACE = timedelta(seconds=0.5)


class PatientVenue(Venue):
    """A venue that takes orders, fills none by itself, and counts questions."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.silence: Exception | None = None

    def submit(self, request: OrderRequest) -> OrderReport:
        """Take an order."""
        self.update(super().submit(request).client_order_id, OrderState.PLACED, 0)
        return self.book[request.client_order_id]

    def find(self, client_order_id: str) -> OrderReport | None:
        """Return what is in the book, or raise."""
        self.asked.append(client_order_id)
        if self.silence is not None:
            raise self.silence
        return super().find(client_order_id)

    def update(self, name: str, state: OrderState, filled: int, reason: str | None = None) -> None:
        """Let something become of an order."""
        self.book[name] = replace(self.book[name], state=state, filled_quantity=Decimal(filled), reason=reason)


def trading(orders: int) -> Workflow:
    """A workflow that places so many orders, then does something else."""
    workflow = Workflow("trading", title="Trading")

    @workflow.step(effect="orders")
    def trade(ctx: Context) -> list[Order]:
        decision = Decision(symbol="MSFT", action="buy", quantity=10, reason="cheap")
        return [ctx.broker.place(decision) for _ in range(orders)]

    @workflow.step
    def report(ctx: Context, trade: list[Order]) -> int:
        return len(trade)

    return workflow


class Desk(Bench):
    """A bench with a resolver, and a run that has succeeded with its orders at the venue."""

    def __init__(self, *, orders: int = 1, ends: bool = True) -> None:
        self.patient = PatientVenue()
        super().__init__(trading(orders), venue=self.patient)
        self.store = MemoryOrderStore()
        self.task_id = self.submit("MSFT")
        if ends:
            self.run(self.task_id, 1)
        self.restart()

    def lose_worker(self) -> None:
        """Tell the log that the worker is gone."""
        self.change(
            self.task_id,
            lambda run: run.lose_worker(stamp(), attempt=run.attempts, worker=WORKER, reason="killed", max_losses=3),
        )

    def restart(self) -> None:
        """Begin again from what was committed."""
        self.resolver = Resolver(
            self.log, self.store, lambda: self.venue, patience=timedelta(hours=1), pace=PACE, now=self.clock
        )
        self.resolver.start()

    def follow(self) -> timedelta | None:
        """Feed the resolver what is new in the log, and let it tick."""
        if batch := self.log.read(self.store.position, topics=self.resolver.topics):
            self.resolver.process(batch)
        return self.resolver.tick()

    def at(self, **changes: float) -> timedelta | None:
        """Let time pass, then follow."""
        self.clock.forward(**changes)
        return self.follow()

    def orders(self) -> list[OrderRecord]:
        """The ledger."""
        return list(self.log.execution(self.task_id).orders.values())

    def ledger(self) -> list[tuple[OrderState, str]]:
        """Where each order stands, and how much of it is filled."""
        return [(order.state, order.outcome.filled_quantity) for order in self.orders() if order.outcome is not None]

    def questions(self, duration: timedelta) -> Iterator[timedelta]:
        """Let time pass in small steps, and yield when each question was asked."""
        step, passed = timedelta(milliseconds=100), timedelta()
        while passed < duration:
            before = len(self.patient.asked)
            self.at(seconds=step.total_seconds())
            passed += step
            if len(self.patient.asked) > before:
                yield passed


def test_an_order_is_followed_until_it_is_filled() -> None:
    """In parts; each of them is an event, and after the last one nobody asks any more."""
    desk = Desk()
    desk.follow()
    (name,) = desk.patient.book
    for state, filled in ((OrderState.PLACED, 4), (OrderState.FILLED, 10)):
        desk.patient.update(name, state, filled)
        desk.at(seconds=1)
        assert desk.ledger() == [(state, str(filled))]
    asked = len(desk.patient.asked)
    assert desk.at(hours=1) is None
    assert len(desk.patient.asked) == asked
    assert desk.store.rows == {}
    assert desk.topics(desk.task_id)[-2:] == ["order_updated", "order_updated"]
    assert desk.log.execution(desk.task_id).phase is Phase.SUCCEEDED


def test_an_order_that_ends_unfilled_is_rejected_with_its_reason() -> None:
    """It has expired at the venue."""
    desk = Desk()
    desk.follow()
    desk.patient.update(next(iter(desk.patient.book)), OrderState.REJECTED, 0, "expired")
    desk.at(seconds=1)
    (order,) = desk.orders()
    assert (order.state, order.reason) == (OrderState.REJECTED, "expired")
    desk.follow()
    assert desk.store.rows == {}


def test_it_is_asked_for_less_and_less_often_and_in_the_end_no_more() -> None:
    """Twice as long from question to question, up to a minute; the ledger says what the venue has said last."""
    desk = Desk()
    desk.follow()
    asked_at = list(desk.questions(timedelta(seconds=150)))
    assert [round(at.total_seconds()) for at in asked_at] == [1, 2, 4, 8, 16, 32, 64, 124]
    desk.clock.forward(seconds=PLACED_PATIENCE.total_seconds())
    desk.follow()
    asked = len(desk.patient.asked)
    desk.at(seconds=LONGEST_DELAY.total_seconds() * 2)
    assert len(desk.patient.asked) == asked
    assert desk.ledger() == [(OrderState.PLACED, "0")]


def test_many_orders_are_asked_for_one_after_the_other() -> None:
    """A venue counts questions: there is a pause between any two, and each order has its turn."""
    desk = Desk(orders=5)
    desk.follow()
    asked_at = list(desk.questions(timedelta(seconds=3.6)))
    assert asked_at[0] == timedelta(seconds=1)
    assert {later - earlier for earlier, later in pairwise(asked_at)} == {PACE}
    assert sorted(desk.patient.asked[:5]) == sorted(desk.patient.book)


def test_an_order_is_followed_while_its_run_is_at_work() -> None:
    """What the attempt appends next goes in after it."""
    desk = Desk(ends=False)
    updated = []

    @desk.workflow.step
    def later(ctx: Context) -> int:
        desk.follow()
        desk.patient.update(next(iter(desk.patient.book)), OrderState.FILLED, 10)
        desk.at(seconds=1)
        updated.append(desk.ledger())
        return 1

    desk.deploy(desk.workflow)
    desk.task_id = desk.submit("MSFT")
    assert desk.run(desk.task_id, 1).phase is Phase.SUCCEEDED
    assert updated == [[(OrderState.FILLED, "10")]]
    assert desk.topics(desk.task_id)[-3:] == ["order_updated", "step_completed", "succeeded"]


def test_a_venue_that_is_away_is_left_alone() -> None:
    """The order is found after that."""
    desk = Desk()
    desk.follow()
    desk.patient.silence = VenueUnavailable("closed")
    assert desk.at(seconds=1) == VENUE_PAUSE
    desk.patient.silence = None
    desk.patient.update(next(iter(desk.patient.book)), OrderState.FILLED, 10)
    desk.at(seconds=VENUE_PAUSE.total_seconds())
    assert desk.ledger() == [(OrderState.FILLED, "10")]


@pytest.mark.parametrize("forgets", ["the commit", "nothing"])
def test_a_restarted_resolver_follows_on_and_records_nothing_twice(forgets: str) -> None:
    """It dies between append and commit, or after it: the event is there once, and the next one comes."""
    desk = Desk()
    desk.follow()
    (name,) = desk.patient.book
    desk.patient.update(name, OrderState.PLACED, 4)
    before = desk.store.load()
    desk.at(seconds=1)
    if forgets == "the commit":
        desk.store.position, desk.store.rows = before[0], {order.client_order_id: order for order in before[1]}
    desk.restart()
    desk.follow()
    assert desk.topics(desk.task_id).count("order_updated") == 1
    desk.patient.update(name, OrderState.FILLED, 10)
    desk.at(seconds=2)
    desk.follow()
    assert desk.ledger() == [(OrderState.FILLED, "10")]
    assert desk.topics(desk.task_id).count("order_updated") == 2


def test_an_order_at_the_venue_is_followed_while_its_run_waits_to_go_on() -> None:
    """That its worker is lost concerns what is unanswered, and so does the next attempt."""
    desk = Desk(ends=False)

    @desk.workflow.step
    def lost(ctx: Context) -> int:
        desk.lose_worker()
        return 1

    desk.deploy(desk.workflow)
    desk.task_id = desk.submit("MSFT")
    desk.run(desk.task_id, 1)
    desk.follow()
    desk.change(desk.task_id, lambda run: run.claim(stamp(), attempt=2, worker=WORKER))
    desk.follow()
    desk.patient.update(next(iter(desk.patient.book)), OrderState.FILLED, 10)
    desk.at(seconds=1)
    assert desk.ledger() == [(OrderState.FILLED, "10")]
