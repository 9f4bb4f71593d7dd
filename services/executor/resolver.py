"""The resolver: settles every order that no attempt is left to settle, and follows those that the venue has taken until
they end, by asking the venue; it sends nothing.

It follows the log and remembers what is open in a table of its own, committed together with its position. An answer
goes into the log at the version that was read: an attempt that has started meanwhile wins, and settles it itself.
"Not found" is no proof that an order will not arrive yet, so it asks again, for a bounded time (docs/rules.md).
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from services.executor.open_orders import OpenOrder, OpenOrders
from services.executor.placing import outcome_of
from shared.domain import execution_events as happened
from shared.domain.errors import Refused, VersionConflict
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.orders import OrderState
from shared.errors import PermanentError
from shared.log.event_log import EventLog
from shared.log.positions import unseen
from shared.log.runs import Recorded
from shared.trading.broker import Broker, OrderReport, VenueUnavailable

RESOLVER = "executor.orders"
VENUE_PAUSE = timedelta(seconds=5)
"""How long a venue that did not answer is left alone, unless it says itself how long."""

logger = structlog.get_logger()


class Store(Protocol):
    """Where open orders outlast the process; `services.executor.store` keeps them in PostgreSQL."""

    def load(self) -> tuple[int, list[OpenOrder]]:
        """Return the position processed so far and the orders that were open then."""

    def commit(self, changed: Sequence[OpenOrder], settled: Sequence[str], *, after: int, position: int) -> None:
        """Write what changed and move from `after` to `position`, all or nothing; raises AlreadyProcessed."""


class Resolver:
    """The handler that a `Follower` feeds. It asks one question a tick, so that it can be stopped in between."""

    name = RESOLVER
    topics: Sequence[str] = (
        happened.AttemptStarted.TOPIC,
        happened.OrderRequested.TOPIC,
        happened.OrderPlaced.TOPIC,
        happened.OrderUpdated.TOPIC,
        happened.OrderRejected.TOPIC,
        happened.RetryScheduled.TOPIC,
        happened.StageOpened.TOPIC,
        happened.WorkerLost.TOPIC,
        happened.Cancelled.TOPIC,
        happened.Succeeded.TOPIC,
        happened.Failed.TOPIC,
    )

    def __init__(
        self,
        log: EventLog,
        store: Store,
        broker: Callable[[], Broker],
        *,
        patience: timedelta,
        pace: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._log = log
        self._store = store
        self._open_broker = broker
        self._patience = patience
        self._pace = pace
        self._now = now
        self._orders = OpenOrders(patience=patience, pace=pace)
        self._quiet_until: datetime | None = None
        self._position = 0

    def start(self) -> int:
        """Load the open orders as they were at the last commit."""
        self._position, orders = self._store.load()
        self._orders = OpenOrders(orders, patience=self._patience, pace=self._pace)
        return self._position

    def process(self, batch: Sequence[Recorded]) -> None:
        """Take in a batch and commit."""
        new = unseen(batch, self._position)
        for recorded in new:
            self._orders.apply(recorded.event)
        if new:
            self._commit(new[-1].position)

    def tick(self) -> timedelta | None:
        """Ask for the order that is due first; return the time until another is."""
        now = self._now()
        if self._quiet_until is None or now >= self._quiet_until:
            self._quiet_until = None
            if (order := self._orders.next(now)) is not None:
                self._look_into(order)
                self._commit(self._position)
        ask_at = self._orders.next_ask_at()
        return None if ask_at is None else max(ask_at, self._quiet_until or ask_at) - self._now()

    def _commit(self, position: int) -> None:
        changed, settled = self._orders.changes()
        if changed or settled or position != self._position:
            self._store.commit(changed, settled, after=self._position, position=position)
            self._position = position

    def _look_into(self, order: OpenOrder) -> None:
        execution = self._log.execution(order.task_id)
        record = execution.orders[order.client_order_id]
        mine = record.state is OrderState.PLACED if order.placed else record.is_open and not execution.phase.at_work
        if not mine:
            # An event that is still on its way here says what comes next.
            self._orders.leave(order)
            return
        try:
            report = self._open_broker().find(order.client_order_id)
        except VenueUnavailable as error:
            self._quiet_until = self._now() + (error.retry_after or VENUE_PAUSE)
            self._wait(order, execution, str(error))
        except PermanentError as error:
            self._wait(order, execution, str(error))
        else:
            if report is None:
                reason = "The venue does not know it, which is no proof that it will not arrive."
                self._wait(order, execution, reason)
            elif order.placed:
                self._follow(order, execution, report)
            else:
                self._settle(order, execution, report)

    def _wait(self, order: OpenOrder, execution: WorkflowExecution, reason: str) -> None:
        fields = {"task_id": str(order.task_id), "client_order_id": order.client_order_id, "reason": reason}
        if self._orders.asked_in_vain(order, self._now()):
            logger.info("order.unsettled", asks=order.asks, placed=order.placed, **fields)
            return
        logger.error("order.given_up", asks=order.asks, action="look at the venue's own book", **fields)
        if not order.placed:
            told = f"{reason} Nobody asks for it any more: look at the venue's own book."
            self._record(
                execution,
                lambda stamp: execution.give_up_order(stamp, client_order_id=order.client_order_id, reason=told),
            )

    def _settle(self, order: OpenOrder, execution: WorkflowExecution, report: OrderReport) -> None:
        rejected = report.state is OrderState.REJECTED
        refusal = self._record(
            execution,
            lambda stamp: execution.resolve_order(
                stamp,
                client_order_id=order.client_order_id,
                outcome=None if rejected else outcome_of(report),
                reason=report.reason or "The venue gave no reason.",
            ),
        )
        if refusal is not None:
            self._wait(order, execution, refusal)
            return
        self._orders.settle(order.client_order_id)
        logger.warning("order.resolved", client_order_id=order.client_order_id, state=str(report.state))

    def _follow(self, order: OpenOrder, execution: WorkflowExecution, report: OrderReport) -> None:
        """Record what is new of a placed order; what comes next its event says, when it is back here."""
        refusal = self._record(
            execution,
            lambda stamp: execution.follow_order(
                stamp, client_order_id=order.client_order_id, outcome=outcome_of(report), reason=report.reason
            ),
        )
        if refusal is not None:
            self._wait(order, execution, refusal)
            return
        self._orders.leave(order)
        logger.info("order.updated", client_order_id=order.client_order_id, state=str(report.state))

    def _record(self, execution: WorkflowExecution, decide: Callable[[Stamp], None]) -> str | None:
        """Append what was decided; return why not, when the run has moved on or the log knows it already."""
        try:
            decide(Stamp(at=self._now(), actor=self.name, trace=execution.submitted.trace))
            self._log.save_execution(execution)
        except (VersionConflict, Refused) as refusal:
            return str(refusal)
        return None
