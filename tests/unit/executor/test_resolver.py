"""Orders that no run settles any more: what the resolver asks, what it writes, and when it leaves them alone."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from services.executor.open_orders import GRACE
from services.executor.resolver import VENUE_PAUSE, Resolver
from shared.domain.execution import WorkflowExecution
from shared.domain.orders import OrderState
from shared.domain.outputs import Output
from shared.domain.phases import Phase
from shared.errors import PermanentError
from shared.trading.broker import OrderReport, OrderRequest, VenueUnavailable
from shared.workflow import Context, Decision, Order, Workflow
from tests.builders import failure, stamp
from tests.memory_store import MemoryOrderStore
from tests.unit.executor.bench import WORKER, Bench, Venue

PATIENCE = timedelta(hours=1)
PACE = timedelta(seconds=0.5)


class Crash(BaseException):
    """Ends a worker's process in the middle of a call."""


class AskedVenue(Venue):
    """A venue that counts the questions, and may be silent."""

    def __init__(self) -> None:
        super().__init__(refuses_duplicates=False)
        self.asked = 0
        self.silence: Exception | None = None

    def find(self, client_order_id: str) -> OrderReport | None:
        """Return what is in the book, or raise."""
        self.asked += 1
        if self.silence is not None:
            raise self.silence
        return super().find(client_order_id)


def trading() -> Workflow:
    """A workflow whose only step places one order."""
    workflow = Workflow("trading", title="Trading")

    @workflow.step(effect="orders")
    def trade(ctx: Context) -> list[Order]:
        return [ctx.broker.place(Decision(symbol="MSFT", action="buy", quantity=10, reason="cheap"))]

    return workflow


class Desk(Bench):
    """A bench with a resolver, and a run whose worker died while its order was on its way."""

    def __init__(self, *, arrived: bool = True) -> None:
        self.asked_venue = AskedVenue()
        super().__init__(trading(), venue=self.asked_venue)
        self.store = MemoryOrderStore()
        self.resolver = self.another_resolver()
        self.task_id = self._crash(arrived=arrived)

    def another_resolver(self) -> Resolver:
        """A resolver that starts from what the store holds."""
        resolver = Resolver(self.log, self.store, lambda: self.venue, patience=PATIENCE, pace=PACE, now=self.clock)
        resolver.start()
        return resolver

    def _crash(self, *, arrived: bool) -> UUID:
        task_id = self.submit("MSFT")
        self.venue.answers = [Crash()]  # type: ignore[list-item]
        self.venue.arrives_anyway = arrived
        with pytest.raises(Crash):
            self.runner.run(task_id, 1, worker=WORKER)
        return task_id

    def arrive(self) -> None:
        """Let the order reach the venue after all."""
        self.venue.submit(self.request())

    def request(self) -> OrderRequest:
        """The order that was sent."""
        return self.venue.received[0]

    def follow(self) -> timedelta | None:
        """Feed the resolver what is new in the log, and let it tick."""
        if batch := self.log.read(self.store.position, topics=self.resolver.topics):
            self.resolver.process(batch)
        return self.resolver.tick()

    def at(self, **changes: float) -> timedelta | None:
        """Let time pass, then follow."""
        self.clock.forward(**changes)
        return self.follow()

    def state(self) -> OrderState:
        """Where the order stands in the ledger."""
        (order,) = self.log.execution(self.task_id).orders.values()
        return order.state

    def fail(self) -> None:
        """End the run with an error."""
        self.change(self.task_id, lambda run: run.fail(stamp(), attempt=run.attempts, failure=failure()))

    def lose(self, max_losses: int = 3) -> None:
        """Tell the log that the worker is gone."""
        self.change(
            self.task_id,
            lambda run: run.lose_worker(
                stamp(), attempt=run.attempts, worker=WORKER, reason="killed", max_losses=max_losses
            ),
        )


def cancel(desk: Desk) -> None:
    """Cancel a run whose worker is dead."""
    desk.cancel(desk.task_id)
    desk.lose()


ENDINGS: dict[Phase, Callable[[Desk], None]] = {Phase.FAILED: Desk.fail, Phase.CANCELLED: cancel}


@pytest.mark.parametrize("phase", ENDINGS)
def test_an_order_of_an_ended_run_is_found_at_the_venue(phase: Phase) -> None:
    """The ledger then says what the venue says, the run stays as it is, and nothing is sent."""
    desk = Desk()
    ENDINGS[phase](desk)
    before = desk.log.execution(desk.task_id)
    desk.follow()

    execution = desk.log.execution(desk.task_id)
    (order,) = execution.orders.values()
    assert (order.state, order.outcome and order.outcome.average_price) == (OrderState.FILLED, "10")
    assert (execution.phase, execution.finished_at) == (phase, before.finished_at)
    assert desk.topics(desk.task_id)[-1] == "order_placed"
    assert len(desk.venue.received) == 1
    desk.follow()
    assert desk.store.rows == {}


def test_an_order_that_the_venue_refused_is_rejected_with_its_reason() -> None:
    """The venue's word goes into the ledger."""
    desk = Desk(arrived=False)
    desk.venue.book[desk.request().client_order_id] = _rejected(desk.request())
    desk.fail()
    desk.follow()

    (order,) = desk.log.execution(desk.task_id).orders.values()
    assert (order.state, order.reason) == (OrderState.REJECTED, "insufficient cash")


def _rejected(request: OrderRequest) -> OrderReport:
    return OrderReport(
        client_order_id=request.client_order_id,
        venue_order_id="v-1",
        symbol=request.symbol,
        side=request.side,
        quantity=request.quantity,
        limit_price=None,
        state=OrderState.REJECTED,
        submitted_at=stamp().at,
        reason="insufficient cash",
    )


def test_not_found_is_asked_again_with_longer_delays_and_never_sent() -> None:
    """The order may arrive at any time: when it does, it is found."""
    desk = Desk(arrived=False)
    desk.fail()
    delays: list[float] = []
    due_in = desk.follow()
    while due_in is not None and len(delays) < 8:
        delays.append(due_in.total_seconds())
        due_in = desk.at(seconds=due_in.total_seconds())
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60]
    assert (desk.state(), len(desk.venue.received)) == (OrderState.REQUESTED, 1)

    desk.arrive()
    desk.at(seconds=60)
    assert desk.state() is OrderState.FILLED


def test_after_its_patience_it_asks_no_more() -> None:
    """The ledger says so, and it stays in the table: a run that goes on has it asked for again."""
    desk = Desk(arrived=False)
    desk.fail()
    desk.follow()
    assert desk.at(seconds=PATIENCE.total_seconds()) is None
    asked = desk.asked_venue.asked
    desk.at(hours=5)
    assert desk.asked_venue.asked == asked
    assert desk.state() is OrderState.AMBIGUOUS
    (order,) = desk.log.execution(desk.task_id).orders.values()
    assert "look at the venue's own book" in str(order.reason)
    assert [order.ask_at for order in desk.store.rows.values()] == [None]


def test_a_run_at_work_settles_its_own_orders() -> None:
    """Nobody else asks while an attempt runs, however long."""
    desk = Desk()
    desk.follow()
    assert desk.at(hours=2) is None
    assert desk.asked_venue.asked == 0


def test_a_run_that_waits_is_given_a_minute() -> None:
    """Its next attempt comes first; after that the resolver asks, and the attempt finds the outcome."""
    desk = Desk()
    desk.lose()
    assert desk.follow() == GRACE
    desk.at(seconds=GRACE.total_seconds() - 1)
    assert desk.asked_venue.asked == 0
    desk.at(seconds=1)
    assert desk.state() is OrderState.FILLED

    execution = desk.run(desk.task_id, 2)
    assert execution.phase is Phase.SUCCEEDED
    assert len(desk.venue.received) == 1


def test_an_attempt_that_starts_while_the_venue_is_asked_wins() -> None:
    """The log refuses what was decided on an older version, and the resolver leaves the order to the run."""
    desk = Desk()
    desk.lose()
    desk.follow()
    find = desk.asked_venue.find

    def claim_then_find(client_order_id: str) -> OrderReport | None:
        desk.change(desk.task_id, lambda run: run.claim(stamp(), attempt=2, worker=WORKER))
        return find(client_order_id)

    desk.asked_venue.find = claim_then_find  # type: ignore[method-assign]
    desk.at(seconds=GRACE.total_seconds())
    assert desk.state() is OrderState.REQUESTED
    desk.asked_venue.find = find  # type: ignore[method-assign]
    desk.at(hours=1)
    assert desk.state() is OrderState.REQUESTED
    assert desk.log.execution(desk.task_id).phase is Phase.RUNNING


@pytest.mark.parametrize(
    ("silence", "pause"),
    [
        (VenueUnavailable("closed"), VENUE_PAUSE),
        (VenueUnavailable("busy", retry_after=30), timedelta(seconds=30)),
        (PermanentError("wrong key"), timedelta(seconds=1)),
    ],
)
def test_a_venue_that_does_not_answer_is_asked_later(silence: Exception, pause: timedelta) -> None:
    """It is left alone for as long as it asks, and the order is found after that."""
    desk = Desk()
    desk.fail()
    desk.asked_venue.silence = silence
    assert desk.follow() == pause
    desk.asked_venue.silence = None
    desk.at(seconds=pause.total_seconds())
    assert desk.state() is OrderState.FILLED


def test_a_restarted_resolver_goes_on_where_it_was() -> None:
    """Open orders and their next question are in the store."""
    desk = Desk(arrived=False)
    desk.fail()
    desk.follow()
    desk.at(seconds=1)
    desk.resolver = desk.another_resolver()
    assert desk.follow() == timedelta(seconds=2)
    desk.arrive()
    desk.at(seconds=2)
    assert desk.state() is OrderState.FILLED


def test_what_was_resolved_before_a_crash_is_not_resolved_twice() -> None:
    """Between the append and the commit anything may die: the next one finds the order settled."""
    desk = Desk()
    desk.fail()
    batch = desk.log.read(0, topics=desk.resolver.topics)
    desk.resolver.process(batch)
    before = desk.store.load()
    desk.resolver.tick()
    desk.store.position, desk.store.rows = before[0], {order.client_order_id: order for order in before[1]}
    desk.resolver = desk.another_resolver()
    desk.resolver.tick()
    desk.follow()

    assert desk.topics(desk.task_id).count("order_placed") == 1
    assert desk.store.rows == {}


def test_an_order_that_a_step_left_behind_is_settled_after_success() -> None:
    """A step may catch what `place` raises and go on; its order is settled all the same."""
    desk = Desk()

    def succeed(run: WorkflowExecution) -> None:
        run.complete_step(
            stamp(),
            attempt=1,
            step="trade",
            symbol=None,
            output=Output(),
            started_at=stamp().at,
        )
        run.succeed(stamp(), attempt=1, result=Output())

    desk.change(desk.task_id, succeed)
    desk.follow()
    assert desk.state() is OrderState.FILLED
