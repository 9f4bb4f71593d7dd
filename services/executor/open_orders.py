"""The orders whose end is not in the log, and when to ask the venue for them.

Pure: it is fed events and the time. While an attempt runs, its unanswered orders are its own affair; while its run
waits, the next attempt is given a minute to ask; once the run has ended, nobody else will. An order that the venue has
taken and not filled is followed whatever its run does (docs/rules.md, "Orders").
"""

import heapq
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from shared.domain import execution_events as happened
from shared.domain.events import Event
from shared.domain.execution_events import OrderOutcome
from shared.domain.orders import OrderState

GRACE = timedelta(minutes=1)
"""How long a run that waits to go on has for its next attempt to settle its orders."""
FIRST_DELAY = timedelta(seconds=1)
LONGEST_DELAY = timedelta(minutes=1)
PLACED_PATIENCE = timedelta(days=7)
"""How long an order at the venue is followed; it is good for one day, which after a holiday may be some days away."""


class OpenOrder(msgspec.Struct, kw_only=True):
    """An order without an end: unanswered, or `placed` at the venue and not filled.

    `since` is when its run was left, or when the venue last had news of it; `asks` counts the questions since then.
    `ask_at` is None while an attempt of its run is to settle it, and after the last question.
    """

    client_order_id: str
    task_id: UUID
    since: datetime
    asks: int = 0
    ask_at: datetime | None = None
    placed: bool = False


class OpenOrders:
    """All open orders; unanswered ones are asked for during `patience` after their run was left.

    Between two questions for placed ones is `pace` at least: a venue counts them, and they take the room of orders.
    """

    def __init__(self, orders: Iterable[OpenOrder] = (), *, patience: timedelta, pace: timedelta) -> None:
        self._patience = patience
        self._pace = pace
        self._follow_at: datetime | None = None
        self._orders: dict[str, OpenOrder] = {}
        self._of_run: dict[UUID, set[str]] = {}
        self._due: dict[bool, list[tuple[datetime, str]]] = {False: [], True: []}
        self._stored: set[str] = set()
        self._changed: set[str] = set()
        self._settled: set[str] = set()
        for order in orders:
            self._stored.add(order.client_order_id)
            self._add(order)
            self._schedule(order)

    def apply(self, event: Event) -> None:
        """Take in what happened."""
        match event:
            case happened.OrderRequested(client_order_id=name):
                self._add(OpenOrder(client_order_id=name, task_id=event.originator_id, since=event.at))
                self._changed.add(name)
            case happened.OrderPlaced(outcome=outcome) | happened.OrderUpdated(outcome=outcome):
                self._take_outcome(event, outcome)
            case happened.OrderRejected(client_order_id=name):
                self.settle(name)
            case happened.AttemptStarted():
                self._leave_to_run(event.originator_id)
            case happened.WorkerLost() | happened.RetryScheduled() | happened.StageOpened():
                self._begin(event.originator_id, event.at, event.at + GRACE)
            case happened.Failed() | happened.Cancelled() | happened.Succeeded():
                self._begin(event.originator_id, event.at, event.at)

    def _take_outcome(self, event: happened.OrderPlaced | happened.OrderUpdated, outcome: OrderOutcome) -> None:
        self.settle(event.client_order_id)
        if outcome.state == OrderState.PLACED:
            order = OpenOrder(
                client_order_id=event.client_order_id, task_id=event.originator_id, since=event.at, placed=True
            )
            self._add(order)
            self._ask(order, event.at + FIRST_DELAY)

    def _add(self, order: OpenOrder) -> None:
        self._settled.discard(order.client_order_id)
        self._orders[order.client_order_id] = order
        self._of_run.setdefault(order.task_id, set()).add(order.client_order_id)

    def _begin(self, task_id: UUID, since: datetime, ask_at: datetime) -> None:
        for order in self._unanswered(task_id):
            order.since, order.asks = since, 0
            self._ask(order, ask_at)

    def _leave_to_run(self, task_id: UUID) -> None:
        for order in self._unanswered(task_id):
            self.leave(order)

    def _unanswered(self, task_id: UUID) -> list[OpenOrder]:
        orders = (self._orders[name] for name in self._of_run.get(task_id, ()))
        return [order for order in orders if not order.placed]

    def _ask(self, order: OpenOrder, at: datetime | None) -> None:
        order.ask_at = at
        self._changed.add(order.client_order_id)
        self._schedule(order)

    def _schedule(self, order: OpenOrder) -> None:
        if order.ask_at is not None:
            heapq.heappush(self._due[order.placed], (order.ask_at, order.client_order_id))

    def leave(self, order: OpenOrder) -> None:
        """Ask no more for an order until its run's events say otherwise."""
        self._ask(order, None)

    def settle(self, client_order_id: str) -> None:
        """Forget an order that has its outcome; one that is not known any more is none."""
        order = self._orders.pop(client_order_id, None)
        if order is None:
            return
        siblings = self._of_run[order.task_id]
        siblings.discard(client_order_id)
        if not siblings:
            del self._of_run[order.task_id]
        self._changed.discard(client_order_id)
        if client_order_id in self._stored:
            self._settled.add(client_order_id)

    def asked_in_vain(self, order: OpenOrder, now: datetime) -> bool:
        """Note a question that brought nothing new; return whether there will be another, after a doubled delay."""
        order.asks += 1
        if now - order.since >= (PLACED_PATIENCE if order.placed else self._patience):
            self.leave(order)
            return False
        self._ask(order, now + min(FIRST_DELAY * 2 ** min(order.asks - 1, 10), LONGEST_DELAY))
        return True

    def next(self, now: datetime) -> OpenOrder | None:
        """Return the order to ask for first, None when none is due; it stays due until something is said of it."""
        for placed, due in self._due.items():
            at = self._first_at(placed=placed)
            if at is not None and at <= now:
                if placed:
                    self._follow_at = now + self._pace
                return self._orders[due[0][1]]
        return None

    def next_ask_at(self) -> datetime | None:
        """Return when the next order is to be asked for, None when none is."""
        return min((at for placed in self._due if (at := self._first_at(placed=placed)) is not None), default=None)

    def _first_at(self, *, placed: bool) -> datetime | None:
        due = self._due[placed]
        while due:
            at, name = due[0]
            order = self._orders.get(name)
            if order is not None and (order.placed, order.ask_at) == (placed, at):
                return max(at, self._follow_at or at) if placed else at
            heapq.heappop(due)
        return None

    def changes(self) -> tuple[list[OpenOrder], list[str]]:
        """Return the orders to write and the ids of those to delete since the last call."""
        changed, settled = [self._orders[name] for name in self._changed], list(self._settled)
        self._stored |= self._changed
        self._stored -= self._settled
        self._changed, self._settled = set(), set()
        return changed, settled
